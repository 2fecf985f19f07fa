//! No file of `src/` imports itself, directly or through other files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the text of each module, by its path below the crate. Unit tests are left out: they may use the modules above.
fn modules(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = if prefix.is_empty() { name.clone() } else { format!("{prefix}::{name}") };
        if path.is_dir() {
            modules(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            found.insert(if name == "mod" { prefix.to_owned() } else { module }, code.join("\n"));
        }
    }
}

/// Parses what follows `crate::` or `super::`: a path, or a list of paths in braces. Returns the rest of the text.
fn parse<'a>(text: &'a str, prefix: &str, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(end) = rest.strip_prefix('}') {
                return end;
            }
            let after = parse(rest, prefix, found).trim_start();
            let after = after.strip_prefix(',').unwrap_or(after);
            if after.len() == rest.len() {
                return after;
            }
            rest = after;
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = format!("{prefix}::{name}");
    if let Some(rest) = rest.strip_prefix("::") {
        return parse(rest, &path, found);
    }
    found.push(path);
    // An alias: `a as b`.
    rest.find([',', '}', ';']).filter(|_| rest.starts_with(" as ")).map_or(rest, |end| &rest[end..])
}

/// Returns the modules that a text imports. `supers` counts the steps up.
fn imported(module: &str, text: &str, names: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with("super::") {
                continue;
            }
            let (mut rest, mut base) = (&text[at..], module.split("::").collect::<Vec<_>>());
            if start == "crate::" {
                (rest, base) = (&rest[start.len()..], Vec::new());
            }
            while let Some(inner) = rest.strip_prefix("super::") {
                (rest, _) = (inner, base.pop());
            }
            parse(rest, &format!("::{}", base.join("::")), &mut paths);
        }
    }
    let resolve = |path: &String| {
        let segments: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
        (1..=segments.len()).rev().map(|length| segments[..length].join("::")).find(|name| names.contains_key(name))
    };
    // A module may use what its parents declare.
    let is_other = |name: &String| name != module && !module.starts_with(&format!("{name}::"));
    paths.iter().filter_map(resolve).filter(is_other).collect()
}

/// Returns a circle, if there is one.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut left = imports.clone();
    // Modules whose imports are all done are in no circle.
    loop {
        let done: BTreeSet<String> = left
            .iter()
            .filter(|(_, of)| of.iter().all(|name| !left.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if done.is_empty() {
            break;
        }
        left.retain(|name, _| !done.contains(name));
    }
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let next = left[path.last().unwrap()].iter().find(|name| left.contains_key(*name)).unwrap().clone();
        if let Some(at) = path.iter().position(|name| *name == next) {
            return Some(path.split_off(at));
        }
        path.push(next);
    }
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let mut texts = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut texts);
    let imports: Imports = texts.iter().map(|(name, text)| (name.clone(), imported(name, text, &texts))).collect();
    assert!(imports["manage::executor"].contains("domain::stream"), "the imports were not found: {imports:?}");
    assert_eq!(circle(&imports), None);
}

#[test]
fn imports_and_circles_are_found() {
    let texts = [
        ("a", "use super::b::{c::D, e as f};\nfn g() { crate::h::i() }"),
        ("b", ""),
        ("b::c", "use super::super::a::{self, X};"),
        ("h", ""),
    ];
    let texts: BTreeMap<String, String> = texts.map(|(name, text)| (name.into(), text.into())).into();
    let imports: Imports = texts.iter().map(|(name, text)| (name.clone(), imported(name, text, &texts))).collect();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(imports["a"], names(&["b", "b::c", "h"]));
    assert_eq!(imports["b::c"], names(&["a"]));
    assert_eq!(circle(&imports).map(|circle| circle.into_iter().collect()), Some(names(&["a", "b::c"])));
}
