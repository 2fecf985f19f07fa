//! `releases.json`, out.

#![expect(clippy::indexing_slicing, reason = "a JSON value asked by name for what it has not answers null")]

use super::{Document, Origin, parsed, put, untouched, with_list};
use crate::domain::{arch::Arch, finding::Finding, payload::Scheme, release::Release};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The lists of payloads in an entry: the list, the field of the payload, the scheme.
fn lists() -> [(&'static str, &'static str, Scheme); 2] {
    [("commits", "checksum", Scheme::checksum()), ("oci-images", "digest-ref", Scheme::oci())]
}

const NOTE: &str = "Made by Lockkeeper in the format of Fedora CoreOS's release index";

pub(super) fn document(origin: &Origin<'_>) -> Document {
    let original = parsed(origin.original);
    let entries = original.as_ref().and_then(|document| document["releases"].as_array());
    let mut known: HashMap<&str, Vec<&Value>> = HashMap::new();
    for entry in entries.into_iter().flatten().rev() {
        known.entry(entry["version"].as_str().unwrap_or_default()).or_default().push(entry);
    }
    let mut findings = Vec::new();
    let mut list = Vec::new();
    for (_, release) in origin.stream.aged() {
        let entry = known.get_mut(release.version.as_str()).and_then(Vec::pop);
        list.push(entry_of(release, entry.cloned()));
        findings.extend(unsaid(release));
    }
    if let (Some(entries), Some(text)) = (entries, origin.original)
        && *entries == list
    {
        return untouched(text, findings);
    }
    let original = original.clone().or_else(|| Some(json!({"note": NOTE})));
    with_list(original, origin, list, findings)
}

fn unsaid(release: &Release) -> Option<Finding> {
    let known = lists().map(|(_, _, scheme)| scheme);
    let other = release.payloads.keys().find(|key| !known.contains(&key.scheme))?;
    let message = format!("payloads of scheme {} have no place in releases.json", other.scheme);
    Some(Finding::warning(format!("release {}", release.version), message))
}

fn entry_of(release: &Release, entry: Option<Value>) -> Value {
    // Where a release was made, upstream tells by an address; ours have none.
    let mut entry =
        entry.unwrap_or_else(|| json!({"version": release.version.as_str(), "metadata": "", "commits": []}));
    for (list, field, scheme) in lists() {
        let ours: BTreeMap<&str, &str> = release
            .payloads
            .iter()
            .filter(|(key, _)| key.scheme == scheme)
            .map(|(key, payload)| (key.arch.as_str(), payload.id.as_str()))
            .collect();
        let theirs = effective(&entry[list], field);
        if theirs == ours {
            continue;
        }
        let items = merged(&entry[list], field, &theirs, &ours);
        put(&mut entry, list, items);
    }
    entry
}

/// Of several payloads for one arch the last that is not empty counts.
fn effective<'a>(items: &'a Value, field: &str) -> BTreeMap<&'a str, &'a str> {
    let text = |item: &'a Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let items = items.as_array().into_iter().flatten();
    items
        .map(|item| (text(item, "architecture"), text(item, field)))
        .filter(|(arch, id)| Arch::parse(arch).is_ok() && !id.is_empty())
        .collect()
}

fn merged(items: &Value, field: &str, theirs: &BTreeMap<&str, &str>, ours: &BTreeMap<&str, &str>) -> Vec<Value> {
    let arch_of = |item: &Value| item["architecture"].as_str().unwrap_or_default().to_owned();
    let is_same = |arch: &str| ours.get(arch) == theirs.get(arch);
    let old = items.as_array().cloned().unwrap_or_default();
    let (kept, replaced): (Vec<Value>, Vec<Value>) = old.into_iter().partition(|item| is_same(&arch_of(item)));
    let mut items = kept;
    for (arch, id) in ours.iter().filter(|(arch, _)| !is_same(arch)) {
        let before = replaced.iter().rev().find(|item| arch_of(item) == **arch).cloned();
        let mut item = before.unwrap_or_else(|| json!({"architecture": arch}));
        put(&mut item, field, *id);
        items.push(item);
    }
    items
}
