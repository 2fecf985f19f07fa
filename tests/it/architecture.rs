//! Who may import whom, and how long a file may be: `docs/ARCHITECTURE.md`, held against the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What each module may import, besides telemetry, which everybody may.
const MAY: [(&str, &[&str]); 16] = [
    ("domain", &[]),
    ("clock", &[]),
    ("telemetry", &[]),
    ("config", &["domain"]),
    ("http", &["config"]),
    ("store", &["domain", "config"]),
    ("catalog", &["domain", "store", "clock", "config"]),
    ("auth", &["domain", "store", "config", "clock"]),
    ("fleet", &["domain", "store", "catalog", "clock"]),
    ("manage", &["domain", "store", "auth", "clock"]),
    ("protocol", &["domain", "catalog", "fleet", "http", "clock"]),
    ("exchange", &["domain", "manage", "clock", "protocol"]),
    ("api", &["domain", "manage", "exchange", "auth", "fleet", "http", "catalog"]),
    ("operate", &["domain", "store", "catalog", "auth", "config", "clock", "http"]),
    ("server", &["*"]),
    ("cli", &["*"]),
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.sort();
    files
}

/// The module that a file is of: its first folder, or its own name.
fn module(path: &Path) -> String {
    let inner = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inner.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every `crate::module` that a text names, also in a list behind `use crate::{`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(first_name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.insert(first_name(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn modules_import_only_what_they_may() {
    let table: BTreeMap<&str, &[&str]> = MAY.into();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources() {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let may = table.get(module.as_str()).unwrap_or_else(|| panic!("{module} has no row in the table"));
        let text = std::fs::read_to_string(&path).unwrap();
        for import in imports(&text) {
            let allowed = may.contains(&"*") || may.contains(&import.as_str());
            if import != module && import != "telemetry" && !allowed {
                wrong.push(format!("{} imports {import}", path.display()));
            }
            seen.insert((module.clone(), import));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.contains(&("server".into(), "catalog".into())), "the imports were not found");
}

#[test]
fn nobody_imports_the_composition_root_and_no_protocol_knows_another() {
    let protocols: Vec<String> = std::fs::read_dir("src/protocol")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(protocols.contains(&"fcos".to_owned()));
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let module = module(&path);
        let imports = imports(&text);
        assert!(module == "main" || !imports.contains("cli"), "{}", path.display());
        assert!(matches!(module.as_str(), "server" | "cli") || !imports.contains("server"), "{}", path.display());
        for protocol in &protocols {
            let inside = path.to_string_lossy().contains(&format!("/protocol/{protocol}/"));
            let names_another =
                protocols.iter().any(|other| other != protocol && text.contains(&format!("protocol::{other}")));
            assert!(!(inside && names_another), "{}", path.display());
        }
    }
}

#[test]
fn files_are_read_at_one_sitting() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_parser_of_imports_sees_lists() {
    let text = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\nlet x = crate::g::h();";
    assert_eq!(imports(text), ["a", "d", "e", "g"].map(ToOwned::to_owned).into());
}
