//! Generates `updates.json`.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key returns null")]

use super::{
    Document, DocumentInput, parse,
    policies::{WirePolicies, WireRollout, policies},
    set_field,
    trimming::Trimmable,
    unchanged, with_list,
};
use crate::domain::{
    finding::{Code, Finding},
    ids::Version,
    policy::graph_rules::Identity,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn document(input: &DocumentInput<'_>) -> Document {
    let original = parse(input.original);
    let old = original.as_ref().and_then(|document| document["releases"].as_array());
    let mut list = old.cloned().unwrap_or_default();
    let mut findings = Vec::new();
    if input.stream.rules.identity == Identity::Version {
        let message = "updates.json cannot express that versions identify nodes: it is read with the payloads";
        findings.push(Finding::warning(Code::NotExpressible, format!("stream {}", input.stream.id.stream), message));
    }
    for (version, wanted) in wanted_policies(input, &mut findings) {
        if merge_entries(&list, &version) != wanted {
            update_entries(&mut list, &version, &wanted);
        }
    }
    if let (Some(old), Some(text)) = (old, input.original)
        && *old == list
    {
        return unchanged(text, findings);
    }
    with_list(original.clone(), input, list, findings)
}

/// Returns the policies of each version, oldest first. A version that the stream lists twice gets one set of policies.
fn wanted_policies(input: &DocumentInput<'_>, findings: &mut Vec<Finding>) -> Vec<(Version, WirePolicies)> {
    let mut order: Vec<Version> = Vec::new();
    let mut wanted: BTreeMap<Version, WirePolicies> = BTreeMap::new();
    let mut trimmable = Trimmable::new(input.stream);
    for (age, release) in input.stream.aged() {
        let policies = trimmable.close(age, release, policies(input, release, findings));
        match wanted.get_mut(&release.version) {
            None => {
                order.push(release.version.clone());
                wanted.insert(release.version.clone(), policies);
            }
            Some(first) if *first != policies => {
                findings.push(Finding::warning(
                    Code::DifferentPolicies,
                    format!("release {}", release.version),
                    "is listed twice with different policies; the stricter ones are written",
                ));
                *first = stricter(first.clone(), policies);
            }
            Some(_) => {}
        }
    }
    findings.extend(trimmable.finding(&input.stream.id.stream));
    order.into_iter().filter_map(|version| wanted.remove_entry(&version)).collect()
}

fn stricter(first: WirePolicies, second: WirePolicies) -> WirePolicies {
    let barrier = first.barrier.clone().or_else(|| second.barrier.clone());
    // Without a rollout a barrier admits all nodes, and any other release none.
    let alike = first.rollout.is_some() || first.barrier.is_some() == second.barrier.is_some();
    let closed = barrier.is_some().then_some(WireRollout::CLOSED);
    WirePolicies {
        dead_end: first.dead_end.or(second.dead_end),
        rollout: if first.rollout == second.rollout && alike { first.rollout } else { closed },
        barrier,
    }
}

/// Merges the entries of a version (rule 2 of the wire contract).
fn merge_entries(list: &[Value], version: &Version) -> WirePolicies {
    let mut merged = WirePolicies::default();
    for entry in list.iter().filter(|entry| has_version(entry, version)) {
        let metadata = &entry["metadata"];
        let reason =
            |policy: &Value| policy.is_object().then(|| policy["reason"].as_str().unwrap_or_default().to_owned());
        merged.barrier = reason(&metadata["barrier"]).or(merged.barrier);
        merged.dead_end = reason(&metadata["deadend"]).or(merged.dead_end);
        let rollout = &metadata["rollout"];
        if rollout.is_object() {
            let before = merged.rollout.unwrap_or_default();
            merged.rollout = Some(WireRollout {
                start_epoch: rollout["start_epoch"].as_i64().or(before.start_epoch),
                start_percentage: rollout["start_percentage"].as_f64().or(before.start_percentage),
                duration_minutes: rollout["duration_minutes"].as_u64().or(before.duration_minutes),
            });
        }
    }
    merged
}

fn has_version(entry: &Value, version: &Version) -> bool {
    entry["version"].as_str() == Some(version.as_str())
}

/// Changes the entries of a version to these policies when merged. Keeps all other fields of the entries.
fn update_entries(list: &mut Vec<Value>, version: &Version, wanted: &WirePolicies) {
    if !list.iter().any(|entry| has_version(entry, version)) {
        list.push(json!({"version": version.as_str(), "metadata": {}}));
    }
    let now = merge_entries(list, version);
    let reason = |text: &Option<String>| text.as_ref().map(|text| json!({"reason": text}));
    for (key, differs, value) in [
        ("barrier", now.barrier != wanted.barrier, reason(&wanted.barrier)),
        ("deadend", now.dead_end != wanted.dead_end, reason(&wanted.dead_end)),
        ("rollout", now.rollout != wanted.rollout, wanted.rollout.map(rollout_json)),
    ] {
        if differs {
            set_policy(list, version, key, value.as_ref());
        }
    }
}

fn rollout_json(wire: WireRollout) -> Value {
    let mut rollout = Map::new();
    let mut insert = |key: &str, value: Option<Value>| value.and_then(|value| rollout.insert(key.into(), value));
    insert("start_epoch", wire.start_epoch.map(Value::from));
    insert("start_percentage", wire.start_percentage.map(Value::from));
    insert("duration_minutes", wire.duration_minutes.map(Value::from));
    Value::Object(rollout)
}

/// The fields of a policy that Lockkeeper writes; all others are kept from the imported document.
const KNOWN_FIELDS: [&str; 4] = ["reason", "start_epoch", "start_percentage", "duration_minutes"];

/// Sets one policy on the first entry that has it, or else on the first entry, and removes it from the others.
fn set_policy(list: &mut [Value], version: &Version, key: &str, value: Option<&Value>) {
    let mut entries: Vec<&mut Value> = list.iter_mut().filter(|entry| has_version(entry, version)).collect();
    let home = entries.iter().position(|entry| entry["metadata"][key].is_object()).unwrap_or(0);
    for (index, entry) in entries.iter_mut().enumerate() {
        if !entry["metadata"].is_object() {
            set_field(entry, "metadata", json!({}));
        }
        let Some(metadata) = entry.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        match value {
            Some(Value::Object(fields)) if index == home => {
                let before = metadata.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                let unknown = before.into_iter().filter(|(name, _)| !KNOWN_FIELDS.contains(&name.as_str()));
                let policy: Map<String, Value> = fields.clone().into_iter().chain(unknown).collect();
                metadata.insert(key.into(), Value::Object(policy));
            }
            _ => drop(metadata.shift_remove(key)),
        }
    }
}
