//! `updates.json`, out.

#![expect(clippy::indexing_slicing, reason = "a JSON value asked by name for what it has not answers null")]

use super::{
    Document, Origin, parsed,
    policies::{Told, ToldRollout, tell},
    put, untouched, with_list,
};
use crate::domain::{finding::Finding, version::Version};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn document(origin: &Origin<'_>) -> Document {
    let original = parsed(origin.original);
    let old = original.as_ref().and_then(|document| document["releases"].as_array());
    let mut list = old.cloned().unwrap_or_default();
    let mut findings = Vec::new();
    for (version, told) in wanted(origin, &mut findings) {
        if merged(&list, &version) != told {
            lay_over(&mut list, &version, &told);
        }
    }
    if let (Some(old), Some(text)) = (old, origin.original)
        && *old == list
    {
        return untouched(text, findings);
    }
    with_list(original.clone(), origin, list, findings)
}

/// What is to be told of each version, in the order of their age. A version that upstream lists twice can be told once.
fn wanted(origin: &Origin<'_>, findings: &mut Vec<Finding>) -> Vec<(Version, Told)> {
    let mut order: Vec<Version> = Vec::new();
    let mut wanted: BTreeMap<Version, Told> = BTreeMap::new();
    for (_, release) in origin.stream.aged() {
        let told = tell(origin.stream, release, origin.now, findings);
        match wanted.get_mut(&release.version) {
            None => {
                order.push(release.version.clone());
                wanted.insert(release.version.clone(), told);
            }
            Some(first) if *first != told => {
                findings.push(Finding::warning(
                    format!("release {}", release.version),
                    "stands there twice with different policies; the stricter of each are told",
                ));
                *first = stricter(first.clone(), told);
            }
            Some(_) => {}
        }
    }
    order.into_iter().filter_map(|version| wanted.remove_entry(&version)).collect()
}

fn stricter(first: Told, second: Told) -> Told {
    let barrier = first.barrier.clone().or_else(|| second.barrier.clone());
    // Without a rollout a barrier is open to all, and anything else is closed.
    let alike = first.rollout.is_some() || first.barrier.is_some() == second.barrier.is_some();
    let closed = barrier.is_some().then_some(ToldRollout::CLOSED);
    Told {
        dead_end: first.dead_end.or(second.dead_end),
        rollout: if first.rollout == second.rollout && alike { first.rollout } else { closed },
        barrier,
    }
}

/// What the entries of a version say together (rule 2 of the wire contract).
fn merged(list: &[Value], version: &Version) -> Told {
    let mut told = Told::default();
    for entry in list.iter().filter(|entry| is_of(entry, version)) {
        let metadata = &entry["metadata"];
        let reason =
            |policy: &Value| policy.is_object().then(|| policy["reason"].as_str().unwrap_or_default().to_owned());
        told.barrier = reason(&metadata["barrier"]).or(told.barrier);
        told.dead_end = reason(&metadata["deadend"]).or(told.dead_end);
        let rollout = &metadata["rollout"];
        if rollout.is_object() {
            let before = told.rollout.unwrap_or_default();
            told.rollout = Some(ToldRollout {
                start_epoch: rollout["start_epoch"].as_i64().or(before.start_epoch),
                start_percentage: rollout["start_percentage"].as_f64().or(before.start_percentage),
                duration_minutes: rollout["duration_minutes"].as_u64().or(before.duration_minutes),
            });
        }
    }
    told
}

fn is_of(entry: &Value, version: &Version) -> bool {
    entry["version"].as_str() == Some(version.as_str())
}

/// Makes the entries of a version say this together, and leaves whatever else stands in them.
fn lay_over(list: &mut Vec<Value>, version: &Version, told: &Told) {
    if !list.iter().any(|entry| is_of(entry, version)) {
        list.push(json!({"version": version.as_str(), "metadata": {}}));
    }
    let now = merged(list, version);
    let reason = |text: &Option<String>| text.as_ref().map(|text| json!({"reason": text}));
    for (key, differs, value) in [
        ("barrier", now.barrier != told.barrier, reason(&told.barrier)),
        ("deadend", now.dead_end != told.dead_end, reason(&told.dead_end)),
        ("rollout", now.rollout != told.rollout, told.rollout.map(rollout)),
    ] {
        if differs {
            set(list, version, key, value.as_ref());
        }
    }
}

fn rollout(told: ToldRollout) -> Value {
    let mut rollout = Map::new();
    let mut put = |key: &str, value: Option<Value>| value.and_then(|value| rollout.insert(key.into(), value));
    put("start_epoch", told.start_epoch.map(Value::from));
    put("start_percentage", told.start_percentage.map(Value::from));
    put("duration_minutes", told.duration_minutes.map(Value::from));
    Value::Object(rollout)
}

const MODELLED: [&str; 4] = ["reason", "start_epoch", "start_percentage", "duration_minutes"];

/// Sets one policy on the first entry that has it, or the first, and takes it out of the others.
fn set(list: &mut [Value], version: &Version, key: &str, value: Option<&Value>) {
    let mut entries: Vec<&mut Value> = list.iter_mut().filter(|entry| is_of(entry, version)).collect();
    let home = entries.iter().position(|entry| entry["metadata"][key].is_object()).unwrap_or(0);
    for (index, entry) in entries.iter_mut().enumerate() {
        if !entry["metadata"].is_object() {
            put(entry, "metadata", json!({}));
        }
        let Some(metadata) = entry.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        match value {
            Some(Value::Object(fields)) if index == home => {
                let before = metadata.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                let unknown = before.into_iter().filter(|(name, _)| !MODELLED.contains(&name.as_str()));
                let policy: Map<String, Value> = fields.clone().into_iter().chain(unknown).collect();
                metadata.insert(key.into(), Value::Object(policy));
            }
            _ => drop(metadata.shift_remove(key)),
        }
    }
}
