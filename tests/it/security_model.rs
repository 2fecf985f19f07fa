//! The tests and attacks that the security model names exist.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the text in backticks in the last column of the tables.
fn named(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    names.filter(|name| name.contains("::") || name.contains(".py")).collect()
}

fn exists(root: &Path, name: &str) -> bool {
    if let Some((file, attack)) = name.split_once(": ") {
        let text = read(&root.join(file));
        let listed = text.rsplit("ATTACKS = [").next().unwrap_or_default();
        let is_listed = listed.split(|c: char| !c.is_alphanumeric() && c != '_').any(|name| name == attack);
        return text.contains(&format!("\ndef {attack}(")) && is_listed;
    }
    let (module, test) = name.rsplit_once("::").unwrap();
    let mut files = Vec::new();
    match module.strip_suffix("::tests") {
        Some(module) => find_module(&root.join("src"), module, &mut files),
        None => files.push(root.join("tests/it").join(module.replace("::", "/")).with_extension("rs")),
    }
    files.iter().any(|file| {
        let code = read(file);
        let tests = tests(&code);
        match test {
            // A module with a single test is referred to by that test's name.
            "*" => tests.len() > 1,
            test => tests.contains(test),
        }
    })
}

/// Collects the files of a folder that are modules of this name, `NAME.rs` or `NAME/mod.rs`, and of their tests, `NAME_tests.rs`.
fn find_module(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_module(&path, name, found);
        } else if ["{}.rs", "{}/mod.rs", "{}_tests.rs"].iter().any(|form| path.ends_with(form.replace("{}", name))) {
            found.push(path);
        }
    }
}

/// Returns the names of the functions that run as tests.
fn tests(code: &str) -> BTreeSet<&str> {
    let (mut names, mut is_test) = (BTreeSet::new(), false);
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[ignore") {
            is_test = false;
        } else if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            let name = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).map(|(name, _)| name);
            names.extend(name.filter(|_| is_test));
            is_test = false;
        }
    }
    names
}

#[test]
fn only_functions_that_run_are_tests() {
    let code = "
        fn helper() {}
        #[test]
        fn first() {}
        fn after_it() {}
        #[tokio::test(flavor = \"multi_thread\")]
        #[expect(clippy::panic, reason = \"it is one\")]
        // Why.
        async fn second() {}
        #[test]
        #[ignore = \"slow\"]
        fn ignored() {}
        proptest! {
            #[test]
            fn third(
                n in 0..3,
            ) {}
        }";
    assert_eq!(tests(code), BTreeSet::from(["first", "second", "third"]));
}

#[test]
fn every_test_and_attack_that_the_security_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = named(&read(&root.join("docs/explanation/security-model.md")));
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|name| !exists(root, name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
