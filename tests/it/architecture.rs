//! Rules of `docs/ARCHITECTURE.md` about imports and the length of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Returns the table of imports in `docs/ARCHITECTURE.md`: the modules that each module may import, in addition to telemetry.
fn allowed_imports(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| module | may import |")).skip(2);
    let mut table = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (modules, imports) = (cells.next().unwrap(), cells.next().unwrap());
        let imports: BTreeSet<String> =
            imports.split(", ").filter(|name| *name != "none").map(ToOwned::to_owned).collect();
        for module in modules.split(", ") {
            assert!(table.insert(module.to_owned(), imports.clone()).is_none(), "{module} has two rows");
        }
    }
    let modules: BTreeSet<&String> = table.keys().collect();
    for name in table.values().flatten() {
        assert!(name == "all" || modules.contains(name), "the table allows {name}, which has no row");
    }
    table
}

fn sources() -> Vec<PathBuf> {
    rust_files("src")
}

/// Returns all Rust files below a folder of the project, sorted.
fn rust_files(folder: &str) -> Vec<PathBuf> {
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
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    files.sort();
    files
}

/// Returns the module of a file: its first folder, or its own name.
fn module(path: &Path) -> String {
    let inner = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inner.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Returns every module in `crate::module` paths of a text, including lists after `use crate::{`.
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
fn modules_import_only_allowed_modules() {
    let page = std::fs::read_to_string("docs/ARCHITECTURE.md").unwrap();
    let table = allowed_imports(&page);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources() {
        let module = module(&path);
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let allowed = table.get(&module).unwrap_or_else(|| panic!("{module} has no row in the table"));
        let text = std::fs::read_to_string(&path).unwrap();
        for import in imports(&text) {
            let is_allowed = allowed.contains("all") || allowed.contains(&import);
            if import != module && import != "telemetry" && !is_allowed {
                wrong.push(format!("{} imports {import}", path.display()));
            }
            seen.insert((module.clone(), import));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.contains(&("server".into(), "catalog".into())), "the imports were not found");
    let without_files: Vec<&String> =
        table.keys().filter(|name| !sources().iter().any(|path| module(path) == **name)).collect();
    assert!(without_files.is_empty(), "rows of modules that do not exist: {without_files:?}");
}

#[test]
fn the_rules_are_serialised_in_documents_only() {
    for path in rust_files("src/domain") {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_document = path.to_string_lossy().contains("/domain/document/");
        assert!(is_document || !text.contains("serde::"), "{} uses serde", path.display());
        let is_shape =
            ["document/shape.rs", "document/base_shape.rs", "document/preset_shape.rs", "document/follow_shape.rs"]
                .iter()
                .any(|shape| path.ends_with(shape));
        assert!(is_shape || !text.contains("utoipa"), "{} uses utoipa", path.display());
    }
}

#[test]
fn the_table_of_imports_is_read() {
    let page = "text\n\n| module | may import | notes |\n|---|---|---|\n| a, b | none | x |\n| c | a, b | |\n| d | all | |\n\n| e | a | |\n";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let rows = [("a", names(&[])), ("b", names(&[])), ("c", names(&["a", "b"])), ("d", names(&["all"]))];
    assert_eq!(allowed_imports(page), rows.map(|(module, imports)| (module.to_owned(), imports)).into());
}

#[test]
fn no_module_imports_the_composition_root_and_no_protocol_imports_another() {
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
        assert!(
            matches!(module.as_str(), "server" | "cli" | "fuzzing") || !imports.contains("server"),
            "{}",
            path.display()
        );
        for protocol in &protocols {
            let inside = path.to_string_lossy().contains(&format!("/protocol/{protocol}/"));
            let names_another =
                protocols.iter().any(|other| other != protocol && text.contains(&format!("protocol::{other}")));
            assert!(!(inside && names_another), "{}", path.display());
        }
    }
}

/// Names of protocols, and of the projects that they are of.
const PROTOCOLS: [&str; 11] = [
    "fcos",
    "fedora coreos",
    "zincati",
    "cincinnati",
    "omaha",
    "openshift",
    "bottlerocket",
    "rancheros",
    "fleetlock",
    "bootc",
    "flatcar",
];

/// The beginning of a literal that names the product, or a stream of the product, that upstream publishes.
const PRODUCT_LITERAL: &str = "\"fedora-coreos";

/// Returns the part of a file before its tests, without comments and attributes.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut code = String::new();
    // The number of brackets of an attribute that are still open.
    let mut open = 0;
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        if open > 0 || line.trim_start().starts_with("#[") {
            open = open + line.matches('[').count() - line.matches(']').count();
        } else {
            code.push_str(line);
            code.push('\n');
        }
    }
    assert_eq!(open, 0, "an attribute has no end: {text}");
    code
}

/// Only these name a protocol, in code, comments and texts: the folders of protocols in `src/protocol/` and `src/exchange/`, and the
/// registry `src/server/protocols.rs`. Files with tests only are exempt, since tests beside the server's code run it with a real protocol.
///
/// `fedora-coreos` is the name of a product, and part of the address of its images. It may be an example: in comments, in attributes (the
/// description of the API), inside longer texts (messages), and in tests. Code does not have it as a value of its own: as a literal
/// that begins with it, which could be a default, or be compared with.
#[test]
fn only_protocols_exchange_and_the_registry_name_a_protocol() {
    let mut wrong = Vec::new();
    for path in sources() {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
        let may_name = name.starts_with("src/protocol/")
            || name.starts_with("src/exchange/")
            || name == "src/server/protocols.rs"
            || name.ends_with("_tests.rs");
        // Compiled for tests only.
        let is_for_tests = name == "src/domain/samples.rs";
        if may_name {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.to_lowercase();
            let names = PROTOCOLS.iter().filter(|protocol| line.contains(**protocol));
            wrong.extend(names.map(|protocol| format!("{name}:{number} names {protocol}")));
        }
        if !is_for_tests && code(&text).contains(PRODUCT_LITERAL) {
            wrong.push(format!("{name} has the literal {PRODUCT_LITERAL}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comments_attributes_and_tests_are_not_code() {
    let text = "#[schema(example = json!({\n    \"a\": [\"b\", [1]]\n}))]\n/// text\nstruct S([u8; 2]);\n#[cfg(test)]\nmod tests {}";
    assert_eq!(code(text).trim(), "struct S([u8; 2]);");
}

#[test]
fn files_have_at_most_400_lines() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

/// Calls that read without a limit, or write files that can be seen incomplete. Only `files` and `outbound` may use them.
const UNBOUNDED: [&str; 15] = [
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::copy(",
    "fs::rename(",
    "fs::hard_link(",
    "io::copy(",
    "io::read_to_string(",
    ".read_to_end(",
    ".read_to_string(",
    ".read_until(",
    ".read_line(",
    ".text().await",
    ".bytes().await",
    ".json().await",
];

#[test]
fn reads_are_bounded_and_writes_are_atomic() {
    for path in sources() {
        if matches!(module(&path).as_str(), "files" | "outbound") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in UNBOUNDED {
            assert!(!code.contains(call), "{} calls {call}: use crate::files or crate::outbound", path.display());
        }
    }
}

#[test]
fn imports_in_lists_are_found() {
    let text = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\nlet x = crate::g::h();";
    assert_eq!(imports(text), ["a", "d", "e", "g"].map(ToOwned::to_owned).into());
}

#[test]
fn tests_do_not_ignore_errors_or_run_kill() {
    // Concatenated, so that this file does not contain the forbidden text.
    let forbidden = [concat!("let _", " ="), concat!("Command::new(\"", "kill\")")];
    for path in rust_files("tests") {
        let text = std::fs::read_to_string(&path).unwrap();
        for call in forbidden {
            assert!(!text.contains(call), "{} has `{call}`: an error that is ignored is not tested", path.display());
        }
    }
}

/// An ignored test cannot fail in the usual runs. `scripts/run-tests.sh` runs those that need real metadata where it is.
#[test]
fn tests_are_ignored_only_for_want_of_real_metadata() {
    // In parts, so that this file does not break its own rule.
    let (attribute, reason) =
        (concat!("#[", "ignore"), concat!("#[", "ignore = \"needs real metadata in ../shared/fixtures\"]"));
    let needs = concat!("fixtures::", "fcos()");
    let mut found = 0;
    for path in ["src", "tests", "fuzz/src", "fuzz/fuzz_targets", "benches"].into_iter().flat_map(rust_files) {
        let text = std::fs::read_to_string(&path).unwrap();
        // The other attribute in this file is text that a test reads.
        let ignored = text.lines().filter(|line| line.trim().starts_with(attribute) && !line.contains("\\\""));
        let ignored: Vec<&str> = ignored.map(str::trim).collect();
        assert!(ignored.iter().all(|line| *line == reason), "{}: {ignored:?}", path.display());
        let count = text.matches(needs).count();
        assert_eq!(count, ignored.len(), "{}: tests that need real metadata, and tests ignored for it", path.display());
        found += ignored.len();
    }
    assert!(found >= 7, "only {found} were found");
}

/// Returns the rows of the table of features: the file and the item of each.
fn features(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().skip_while(|line| !line.starts_with("| feature | file | item |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').skip(2).map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].to_owned(), cells[1].to_owned())).collect()
}

#[test]
fn features_are_where_the_page_says() {
    let page = std::fs::read_to_string("docs/ARCHITECTURE.md").unwrap();
    let features = features(&page);
    assert!(features.len() >= 10, "{features:?}");
    for (file, item) in features {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_definition = |line: &str| {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let defines =
                |pair: &[&str]| ["fn", "struct", "enum", "trait", "const"].contains(&pair[0]) && pair[1] == item;
            words.windows(2).any(defines)
        };
        assert!(text.lines().any(is_definition), "{file} does not define {item}");
    }
}
