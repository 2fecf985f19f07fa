//! A second, simple implementation of the wire contract on raw JSON, to compare the real one with.

use super::upstream::{Documents, Poll};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

const PREFIX: &str = "org.fedoraproject.coreos.";

/// Returns the answer to a poll, computed from upstream's documents.
pub(crate) fn answer(documents: &Documents, poll: &Poll) -> Value {
    let graph = full_graph(documents, poll);
    let own = poll.payload.as_ref().and_then(|payload| {
        let nodes = graph["nodes"].as_array().unwrap();
        nodes.iter().position(|node| node["payload"] == **payload)
    });
    own.map_or(graph.clone(), |own| node_view(&graph, own))
}

/// Returns the part of a graph that the agent on one of its nodes reads: the node itself, the edges from it, and their targets.
pub(crate) fn node_view(graph: &Value, own: usize) -> Value {
    let edges = graph["edges"].as_array().unwrap().iter().filter(|edge| edge[0] == own);
    let targets: Vec<usize> = edges.map(|edge| usize::try_from(edge[1].as_u64().unwrap()).unwrap()).collect();
    let mut shown = targets.clone();
    shown.sort_unstable();
    shown.insert(0, own);
    let position = |target: &usize| shown.iter().position(|index| index == target).unwrap();
    let edges: Vec<(usize, usize)> = targets.iter().map(|target| (0, position(target))).collect();
    let nodes: Vec<&Value> = shown.iter().map(|index| &graph["nodes"][index]).collect();
    json!({"nodes": nodes, "edges": edges})
}

/// Returns an answer in the form in which it is served: compact, with sorted keys.
pub(crate) fn compact(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let fields = sorted.iter().map(|(key, value)| format!("{}:{}", json!(key), compact(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(compact).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

fn full_graph(documents: &Documents, poll: &Poll) -> Value {
    let policies = policies(&documents.updates);
    let nodes = nodes(documents, poll, &policies);
    let has = |index: usize, key: &str| nodes[index]["metadata"].get(format!("{PREFIX}updates.{key}")).is_some();
    let start = |index: usize| (0..index).rev().find(|before| has(*before, "barrier")).unwrap_or(0);
    let mut edges = Vec::new();
    for to in (0..nodes.len()).rev().filter(|index| has(*index, "rollout")) {
        edges.extend((start(to)..to).map(|from| (from, to)));
    }
    for to in (0..nodes.len()).filter(|index| has(*index, "barrier") && !has(*index, "rollout")) {
        edges.extend((start(to)..to).map(|from| (from, to)));
    }
    edges.retain(|(from, to)| !has(*from, "deadend") && wariness(poll) <= share(&nodes[*to], poll.now));
    json!({"nodes": nodes, "edges": edges})
}

/// Returns the shares of the rollouts that concern a poll, if they are between 0 and 1.
pub(crate) fn shares(documents: &Documents, poll: &Poll) -> Vec<f64> {
    let policies = policies(&documents.updates);
    let nodes = nodes(documents, poll, &policies);
    let shares = nodes.iter().map(|node| share(node, poll.now));
    shares.filter(|share| (0.0..=1.0).contains(share)).collect()
}

/// Returns the times at which rollouts begin and end.
pub(crate) fn rollout_times(documents: &Documents) -> Vec<(i64, i64)> {
    let parsed = |policies: &Map<String, Value>, key: &str| -> Option<i64> {
        policies.get(&format!("{PREFIX}updates.{key}"))?.as_str()?.parse().ok()
    };
    let merged = policies(&documents.updates);
    let ramps = merged.values().map(|policies| {
        let start = parsed(policies, "start_epoch").unwrap_or(0);
        let minutes = parsed(policies, "duration_minutes").unwrap_or(0);
        (start, start.saturating_add(minutes.saturating_mul(60)))
    });
    ramps.collect()
}

/// Returns the merged policies of each version (rule 2).
fn policies(updates: &Value) -> BTreeMap<&str, Map<String, Value>> {
    let mut merged: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in updates["releases"].as_array().unwrap() {
        let metadata = merged.entry(entry["version"].as_str().unwrap()).or_default();
        let mut insert = |key: &str, value: String| metadata.insert(format!("{PREFIX}updates.{key}"), value.into());
        for (name, key) in [("barrier", "barrier"), ("deadend", "deadend")] {
            let policy = &entry["metadata"][name];
            if policy.is_object() {
                let reason = policy["reason"].as_str().unwrap_or_default();
                insert(key, "true".into());
                insert(&format!("{key}_reason"), if reason.is_empty() { "generic".into() } else { reason.into() });
            }
        }
        let rollout = &entry["metadata"]["rollout"];
        if rollout.is_object() {
            insert("rollout", "true".into());
        }
        if let Some(epoch) = rollout["start_epoch"].as_i64() {
            insert("start_epoch", epoch.to_string());
        }
        if let Some(share) = rollout["start_percentage"].as_f64() {
            insert("start_value", share.to_string());
        }
        if let Some(minutes) = rollout["duration_minutes"].as_u64() {
            insert("duration_minutes", minutes.to_string());
        }
    }
    merged
}

/// Returns the nodes of the graph (rule 1).
fn nodes(documents: &Documents, poll: &Poll, policies: &BTreeMap<&str, Map<String, Value>>) -> Vec<Value> {
    let (list, field, scheme) =
        if poll.oci { ("oci-images", "digest-ref", "oci") } else { ("commits", "checksum", "checksum") };
    let mut nodes = Vec::new();
    for (index, release) in documents.releases["releases"].as_array().unwrap().iter().enumerate() {
        let payloads = release[list].as_array().into_iter().flatten();
        let mut fitting = payloads.filter(|payload| payload["architecture"] == poll.arch && is_text(&payload[field]));
        let Some(payload) = fitting.next_back() else { continue };
        let version = release["version"].as_str().unwrap();
        let mut metadata = policies.get(version).cloned().unwrap_or_default();
        metadata.insert(format!("{PREFIX}releases.age_index"), index.to_string().into());
        metadata.insert(format!("{PREFIX}scheme"), scheme.into());
        nodes.push(json!({"version": version, "payload": payload[field], "metadata": metadata}));
    }
    nodes
}

/// Returns true if a payload is present: upstream may also omit it, or write null or an empty string.
fn is_text(payload: &Value) -> bool {
    payload.as_str().is_some_and(|text| !text.is_empty())
}

/// Returns the open share of a node (rule 7). A release without a rollout is open.
fn share(node: &Value, now: i64) -> f64 {
    let value = |key: &str| node["metadata"].get(format!("{PREFIX}updates.{key}")).and_then(Value::as_str);
    if value("rollout").is_none() {
        return f64::INFINITY;
    }
    let start: i64 = value("start_epoch").map_or(0, |text| text.parse().unwrap());
    let from: f64 = value("start_value").map_or(0.0, |text| text.parse().unwrap());
    if now < start {
        return 0.0;
    }
    let Some(minutes) = value("duration_minutes").map(|text| text.parse::<u64>().unwrap().max(1)) else { return from };
    let end = start.saturating_add(i64::try_from(minutes.saturating_mul(60)).unwrap_or(i64::MAX));
    if now > end {
        return 1.0;
    }
    from + ((1.0 - from) / end.saturating_sub(start) as f64) * now.saturating_sub(start) as f64
}

/// Returns the wariness of a node (rule 8), with the hash that the incumbent uses.
fn wariness(poll: &Poll) -> f64 {
    match poll.wariness.as_ref().and_then(|text| text.parse::<f64>().ok()) {
        Some(given) if given.is_nan() => 0.0,
        Some(given) => given.clamp(0.0, 1.0),
        None => {
            let mut hasher = DefaultHasher::new();
            poll.node.as_deref().unwrap_or_default().hash(&mut hasher);
            (hasher.finish() as f64 / 2f64.powi(64)).max(0.000_001)
        }
    }
}
