//! Generates `releases.json`.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key returns null")]

use super::{Document, DocumentInput, parse, set_field, unchanged, with_list};
use crate::domain::{
    finding::{Code, Finding},
    ids::Arch,
    payload::Scheme,
    release::Release,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Returns the lists of payloads in an entry: the name of the list, the field of the payload, and the scheme.
fn lists() -> [(&'static str, &'static str, Scheme); 2] {
    [("commits", "checksum", Scheme::checksum()), ("oci-images", "digest-ref", Scheme::oci())]
}

const NOTE: &str = "Made by Lockkeeper in the format of Fedora CoreOS's release index";

pub(super) fn document(input: &DocumentInput<'_>) -> Document {
    let original = parse(input.original);
    let entries = original.as_ref().and_then(|document| document["releases"].as_array());
    let mut known: HashMap<&str, Vec<&Value>> = HashMap::new();
    for entry in entries.into_iter().flatten().rev() {
        known.entry(entry["version"].as_str().unwrap_or_default()).or_default().push(entry);
    }
    let mut findings = Vec::new();
    let mut list = Vec::new();
    for (_, release) in input.stream.aged() {
        let entry = known.get_mut(release.version.as_str()).and_then(Vec::pop);
        list.push(build_entry(release, entry.cloned()));
        findings.extend(find_unsupported_scheme(release));
    }
    if let (Some(entries), Some(text)) = (entries, input.original)
        && *entries == list
    {
        return unchanged(text, findings);
    }
    let original = original.clone().or_else(|| Some(json!({"note": NOTE})));
    with_list(original, input, list, findings)
}

fn find_unsupported_scheme(release: &Release) -> Option<Finding> {
    let known = lists().map(|(_, _, scheme)| scheme);
    let other = release.payloads.keys().find(|key| !known.contains(&key.scheme))?;
    let message = format!("releases.json cannot contain payloads of scheme {}", other.scheme);
    Some(Finding::warning(Code::NotExpressible, format!("release {}", release.version), message))
}

fn build_entry(release: &Release, entry: Option<Value>) -> Value {
    // Upstream's `metadata` is the URL of the build; releases from elsewhere have none.
    let mut entry =
        entry.unwrap_or_else(|| json!({"version": release.version.as_str(), "metadata": "", "commits": []}));
    for (list, field, scheme) in lists() {
        let wanted: BTreeMap<&str, &str> = release
            .payloads
            .iter()
            .filter(|(key, _)| key.scheme == scheme)
            .map(|(key, payload)| (key.arch.as_str(), payload.id.as_str()))
            .collect();
        let imported = effective(&entry[list], field);
        if imported == wanted {
            continue;
        }
        let items = merged(&entry[list], field, &imported, &wanted);
        set_field(&mut entry, list, items);
    }
    entry
}

/// Returns the payload of each architecture. If there are several for one, the last one that is not empty counts.
fn effective<'a>(items: &'a Value, field: &str) -> BTreeMap<&'a str, &'a str> {
    let text = |item: &'a Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let items = items.as_array().into_iter().flatten();
    items
        .map(|item| (text(item, "architecture"), text(item, field)))
        .filter(|(arch, id)| Arch::parse(arch).is_ok() && !id.is_empty())
        .collect()
}

fn merged(items: &Value, field: &str, imported: &BTreeMap<&str, &str>, wanted: &BTreeMap<&str, &str>) -> Vec<Value> {
    let arch_of = |item: &Value| item["architecture"].as_str().unwrap_or_default().to_owned();
    let is_same = |arch: &str| wanted.get(arch) == imported.get(arch);
    let old = items.as_array().cloned().unwrap_or_default();
    let (unchanged, replaced): (Vec<Value>, Vec<Value>) = old.into_iter().partition(|item| is_same(&arch_of(item)));
    let mut items = unchanged;
    for (arch, id) in wanted.iter().filter(|(arch, _)| !is_same(arch)) {
        let before = replaced.iter().rev().find(|item| arch_of(item) == **arch).cloned();
        let mut item = before.unwrap_or_else(|| json!({"architecture": arch}));
        set_field(&mut item, field, *id);
        items.push(item);
    }
    items
}
