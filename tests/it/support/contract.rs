//! The rules of the wire contract written down a second time, plainly and on raw JSON, to hold the real code against.

use super::upstream::{Documents, Question};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

const PREFIX: &str = "org.fedoraproject.coreos.";

/// The answer to a question about two documents.
pub(crate) fn answer(documents: &Documents, question: &Question) -> Value {
    let policies = policies(&documents.updates);
    let nodes = nodes(documents, question, &policies);
    let is = |index: usize, key: &str| nodes[index]["metadata"].get(format!("{PREFIX}updates.{key}")).is_some();
    let start = |index: usize| (0..index).rev().find(|before| is(*before, "barrier")).unwrap_or(0);
    let mut edges = Vec::new();
    for to in (0..nodes.len()).rev().filter(|index| is(*index, "rollout")) {
        edges.extend((start(to)..to).map(|from| (from, to)));
    }
    for to in (0..nodes.len()).filter(|index| is(*index, "barrier") && !is(*index, "rollout")) {
        edges.extend((start(to)..to).map(|from| (from, to)));
    }
    edges.retain(|(from, to)| !is(*from, "deadend") && wariness(question) <= share(&nodes[*to], question.now));
    json!({"nodes": nodes, "edges": edges})
}

/// Rule 2.
fn policies(updates: &Value) -> BTreeMap<&str, Map<String, Value>> {
    let mut merged: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in updates["releases"].as_array().unwrap() {
        let told = merged.entry(entry["version"].as_str().unwrap()).or_default();
        let mut tell = |key: &str, value: String| told.insert(format!("{PREFIX}updates.{key}"), value.into());
        for (name, key) in [("barrier", "barrier"), ("deadend", "deadend")] {
            if let Some(reason) = entry["metadata"][name]["reason"].as_str() {
                tell(key, "true".into());
                tell(&format!("{key}_reason"), if reason.is_empty() { "generic".into() } else { reason.into() });
            }
        }
        let rollout = &entry["metadata"]["rollout"];
        if rollout.is_object() {
            tell("rollout", "true".into());
        }
        if let Some(epoch) = rollout["start_epoch"].as_i64() {
            tell("start_epoch", epoch.to_string());
        }
        if let Some(share) = rollout["start_percentage"].as_f64() {
            tell("start_value", share.to_string());
        }
        if let Some(minutes) = rollout["duration_minutes"].as_u64() {
            tell("duration_minutes", minutes.to_string());
        }
    }
    merged
}

/// Rule 1.
fn nodes(documents: &Documents, question: &Question, policies: &BTreeMap<&str, Map<String, Value>>) -> Vec<Value> {
    let (list, field, scheme) =
        if question.oci { ("oci-images", "digest-ref", "oci") } else { ("commits", "checksum", "checksum") };
    let mut nodes = Vec::new();
    for (index, release) in documents.releases["releases"].as_array().unwrap().iter().enumerate() {
        let payloads = release[list].as_array().into_iter().flatten();
        let mut fitting = payloads.filter(|payload| payload["architecture"] == question.arch && payload[field] != "");
        let Some(payload) = fitting.next_back() else { continue };
        let version = release["version"].as_str().unwrap();
        let mut metadata = policies.get(version).cloned().unwrap_or_default();
        metadata.insert(format!("{PREFIX}releases.age_index"), index.to_string().into());
        metadata.insert(format!("{PREFIX}scheme"), scheme.into());
        nodes.push(json!({"version": version, "payload": payload[field], "metadata": metadata}));
    }
    nodes
}

/// Rule 7; what is no rollout is open.
fn share(node: &Value, now: i64) -> f64 {
    let told = |key: &str| node["metadata"].get(format!("{PREFIX}updates.{key}")).and_then(Value::as_str);
    if told("rollout").is_none() {
        return f64::INFINITY;
    }
    let start: i64 = told("start_epoch").map_or(0, |text| text.parse().unwrap());
    let from: f64 = told("start_value").map_or(0.0, |text| text.parse().unwrap());
    if now < start {
        return 0.0;
    }
    let Some(minutes) = told("duration_minutes").map(|text| text.parse::<u64>().unwrap().max(1)) else { return from };
    let end = start.saturating_add(i64::try_from(minutes.saturating_mul(60)).unwrap_or(i64::MAX));
    if now > end {
        return 1.0;
    }
    from + ((1.0 - from) / end.saturating_sub(start) as f64) * now.saturating_sub(start) as f64
}

/// Rule 8, on the hash that the incumbent leans on.
fn wariness(question: &Question) -> f64 {
    match question.wariness.and_then(|text| text.parse::<f64>().ok()) {
        Some(given) if given.is_nan() => 0.0,
        Some(given) => given.clamp(0.0, 1.0),
        None => {
            let mut hasher = DefaultHasher::new();
            question.node.as_deref().unwrap_or_default().hash(&mut hasher);
            (hasher.finish() as f64 / 2f64.powi(64)).max(0.000_001)
        }
    }
}
