//! Comparison of two servers that answer Fedora CoreOS agents: sends both the same polls and lists the differences.
//!
//! Compares full graphs and, for some releases, the updates that a node on that release may take. If two answers differ, both servers
//! are polled once more: a rollout may have admitted more nodes between the two polls.

use super::source::MAX_BYTES;
use crate::{
    exchange::{Difference, Round, Servers},
    outbound::{self, BodyError},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The polls to send.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The streams.
    pub streams: Vec<String>,
    /// The architectures.
    pub arches: Vec<String>,
    /// The node ids. Some wariness values and a node without any parameter are polled as well.
    pub ids: Vec<String>,
}

/// Why a scope cannot be compared.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// A server does not answer.
    #[error("{url} does not answer")]
    NoResponse {
        /// The URL of the poll.
        url: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The body of an answer cannot be read completely.
    #[error("the answer of {url} cannot be read")]
    Broken {
        /// The URL of the poll.
        url: String,
        /// The cause.
        source: BodyError,
    },
    /// An answer is not a graph.
    #[error("the answer of {url} is not a graph")]
    NoGraph {
        /// The URL of the poll.
        url: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A server cannot answer now.
    #[error("{url} cannot answer now: status {status}")]
    Unavailable {
        /// The URL of the poll.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// The wariness values that are polled with.
const WARINESS: [&str; 5] = ["0.0", "0.25", "0.5", "0.75", "1.0"];
/// The number of releases for which node views are compared.
const VIEWS: usize = 5;

/// A graph as agents receive it.
#[derive(Deserialize)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Node {
    version: String,
    payload: String,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
}

/// What identifies a release for agents: its version and its payload.
type Key = (String, String);

/// A graph without an order of its releases and updates.
#[derive(Debug, Default, PartialEq)]
struct GraphSummary {
    releases: BTreeMap<Key, BTreeMap<String, Value>>,
    updates: BTreeSet<(Key, Key)>,
}

/// An answer: a graph, or the HTTP status of an error.
type Answer = Result<GraphSummary, u16>;

/// Sends every poll to both servers and compares the answers.
pub async fn run_round(servers: &Servers, sample: &Sample, at: Timestamp) -> Round {
    let mut round = Round { at, ..Round::default() };
    for stream in &sample.streams {
        for arch in &sample.arches {
            for oci in [false, true] {
                let scope = query(&[("stream", stream), ("basearch", arch), ("oci", &oci.to_string())]);
                let name = format!("{stream} {arch} {}", if oci { "oci" } else { "checksum" });
                if let Err(error) = compare_scope(servers, &scope, &name, sample, &mut round).await {
                    round.unanswered.push(error.into());
                }
            }
        }
    }
    round
}

async fn compare_scope(
    servers: &Servers,
    scope: &str,
    name: &str,
    sample: &Sample,
    round: &mut Round,
) -> Result<(), ShadowError> {
    let warinesses = WARINESS.iter().map(|wariness| ("rollout_wariness", *wariness));
    let ids = sample.ids.iter().map(|id| ("node_uuid", id.as_str()));
    let parameters = std::iter::once(None).chain(warinesses.chain(ids).map(Some));
    for parameter in parameters {
        let (poll, node_name) = match parameter {
            Some((key, value)) => (format!("{scope}&{}", query(&[(key, value)])), format!("{key} {value}")),
            None => (scope.to_owned(), "no parameters".to_owned()),
        };
        let description = format!("{name}, {node_name}");
        let theirs = compare_answers(servers, &poll, None, &description, round).await?;
        // Without releases there are no node views.
        let Ok(graph) = theirs else { continue };
        if parameter.is_some_and(|(key, _)| key == "rollout_wariness") {
            for (version, payload) in select_releases(&graph) {
                let description = format!("{description}, from {version}");
                let node = (version.clone(), payload.clone());
                drop(compare_answers(servers, &poll, Some(&node), &description, round).await?);
            }
        }
    }
    Ok(())
}

/// Compares the answers to one poll and returns upstream's. With a `node`, compares only the updates from its release.
async fn compare_answers(
    servers: &Servers,
    poll: &str,
    node: Option<&Key>,
    description: &str,
    round: &mut Round,
) -> Result<Answer, ShadowError> {
    let our_poll = match node {
        None => format!("{poll}&view=full"),
        Some((_, payload)) => format!("{poll}&view=node&{}", query(&[("os_checksum", payload)])),
    };
    let mut is_repeated = false;
    let (theirs, found) = loop {
        let theirs = send_poll(servers, &servers.upstream, poll).await?;
        let local = send_poll(servers, &servers.local, &our_poll).await?;
        let found = match node {
            None => differences(&theirs, &local),
            Some(node) => view_differences(node, &theirs, &local),
        };
        if is_repeated || found.is_empty() {
            round.with_releases += usize::from([&theirs, &local].into_iter().all(has_releases));
            break (theirs, found);
        }
        is_repeated = true;
    };
    round.compared += 1;
    round.differences.extend(found.into_iter().map(|what| Difference { poll: description.into(), what }));
    Ok(theirs)
}

async fn send_poll(servers: &Servers, base: &str, poll: &str) -> Result<Answer, ShadowError> {
    let url = format!("{}/v1/graph?{poll}", base.trim_end_matches('/'));
    let failed = |source| ShadowError::NoResponse { url: url.clone(), source };
    let response = servers.client.get(&url).send().await.map_err(failed)?;
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(ShadowError::Unavailable { url, status: status.as_u16() });
    }
    if !status.is_success() {
        return Ok(Err(status.as_u16()));
    }
    let broken = |source| ShadowError::Broken { url: url.clone(), source };
    let graph = outbound::body(response, MAX_BYTES).await.map_err(broken)?;
    let graph = serde_json::from_slice(&graph).map_err(|source| ShadowError::NoGraph { url, source })?;
    Ok(Ok(GraphSummary::new(graph)))
}

impl GraphSummary {
    fn new(graph: Graph) -> Self {
        let keys: Vec<Key> = graph.nodes.iter().map(|node| (node.version.clone(), node.payload.clone())).collect();
        let end = |index: u64| usize::try_from(index).ok().and_then(|index| keys.get(index)).cloned();
        let updates = graph.edges.iter().filter_map(|(from, to)| Some((end(*from)?, end(*to)?))).collect();
        let releases = graph.nodes.into_iter().map(|node| ((node.version, node.payload), node.metadata));
        Self { releases: releases.collect(), updates }
    }
}

/// Returns some of the releases, spread evenly over the order of their names.
fn select_releases(graph: &GraphSummary) -> Vec<&Key> {
    let step = graph.releases.len().div_ceil(VIEWS).max(1);
    graph.releases.keys().step_by(step).collect()
}

fn differences(theirs: &Answer, local: &Answer) -> Vec<String> {
    let (theirs, local) = match (theirs, local) {
        (Ok(theirs), Ok(local)) => (theirs, local),
        (Err(theirs), Err(local)) if theirs == local => return Vec::new(),
        (theirs, local) => {
            return vec![format!("upstream answers {}, this service {}", summary(theirs), summary(local))];
        }
    };
    let mut found = Vec::new();
    for (key, attributes) in &theirs.releases {
        match local.releases.get(key) {
            None => found.push(format!("release {} is only upstream", name(key))),
            Some(local) => found.extend(attribute_differences(key, attributes, local)),
        }
    }
    let extra = local.releases.keys().filter(|key| !theirs.releases.contains_key(*key));
    found.extend(extra.map(|key| format!("release {} is only here", name(key))));
    found.extend(update_differences(&theirs.updates, &local.updates));
    found
}

/// Compares the part of a graph that an agent reads: the updates from its own release.
fn view_differences(node: &Key, theirs: &Answer, local: &Answer) -> Vec<String> {
    let (Ok(theirs), Ok(local)) = (theirs, local) else { return differences(theirs, local) };
    let out = |graph: &GraphSummary| graph.updates.iter().filter(|(from, _)| from == node).cloned().collect();
    update_differences(&out(theirs), &out(local))
}

fn attribute_differences(key: &Key, theirs: &BTreeMap<String, Value>, local: &BTreeMap<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = theirs.keys().chain(local.keys()).collect();
    let text = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let differ = names.into_iter().filter(|name| theirs.get(*name) != local.get(*name));
    differ
        .map(|attribute| {
            let (theirs, local) = (text(theirs.get(attribute)), text(local.get(attribute)));
            format!("{attribute} of {} is {theirs} upstream, {local} here", name(key))
        })
        .collect()
}

fn update_differences(theirs: &BTreeSet<(Key, Key)>, local: &BTreeSet<(Key, Key)>) -> Vec<String> {
    let describe = |what: &'static str| {
        move |(from, to): &(Key, Key)| format!("the update from {} to {} is {what}", name(from), name(to))
    };
    let missing = theirs.difference(local).map(describe("only upstream"));
    missing.chain(local.difference(theirs).map(describe("only here"))).collect()
}

fn has_releases(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|graph| !graph.releases.is_empty())
}

fn summary(answer: &Answer) -> String {
    match answer {
        Ok(graph) => format!("with {} releases", graph.releases.len()),
        Err(status) => format!("with status {status}"),
    }
}

/// Formats a release as its version and the beginning of its digest.
fn name(key: &Key) -> String {
    let (version, payload) = key;
    let digest = payload.rsplit(':').next().unwrap_or(payload);
    format!("{version} ({})", digest.chars().take(12).collect::<String>())
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph(nodes: &[(&str, &str)], edges: &[(usize, usize)]) -> GraphSummary {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|(version, reason)| json!({"version": version, "payload": format!("p{version}"), "metadata": {"reason": reason}}))
            .collect();
        GraphSummary::new(serde_json::from_value(json!({"nodes": nodes, "edges": edges})).unwrap())
    }

    fn answer(nodes: &[(&str, &str)], edges: &[(usize, usize)]) -> Answer {
        Some(graph(nodes, edges)).ok_or(0)
    }

    #[test]
    fn the_order_of_releases_and_updates_is_ignored() {
        let one = answer(&[("1", ""), ("2", ""), ("3", "")], &[(0, 2), (1, 2)]);
        let other = answer(&[("3", ""), ("1", ""), ("2", "")], &[(2, 0), (1, 0)]);
        assert_eq!(differences(&one, &other), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_listed() {
        let theirs = answer(&[("1", ""), ("2", "a"), ("3", "")], &[(0, 1), (1, 2)]);
        let local = answer(&[("1", ""), ("2", "b"), ("4", "")], &[(0, 1), (0, 2)]);
        assert_eq!(
            differences(&theirs, &local),
            [
                "reason of 2 (p2) is \"a\" upstream, \"b\" here",
                "release 3 (p3) is only upstream",
                "release 4 (p4) is only here",
                "the update from 2 (p2) to 3 (p3) is only upstream",
                "the update from 1 (p1) to 4 (p4) is only here",
            ]
        );
        assert_eq!(differences(&Err(404), &Err(404)), Vec::<String>::new());
        assert_eq!(differences(&local, &Err(404)), ["upstream answers with 3 releases, this service with status 404"]);
    }

    #[test]
    fn views_differ_only_by_updates_from_the_nodes_release() {
        let theirs = answer(&[("1", "x"), ("2", ""), ("3", "")], &[(0, 1), (1, 2)]);
        let node = ("1".to_owned(), "p1".to_owned());
        assert!(view_differences(&node, &theirs, &answer(&[("1", ""), ("2", "")], &[(0, 1)])).is_empty());
        assert_eq!(
            view_differences(&node, &theirs, &answer(&[("1", "")], &[])),
            ["the update from 1 (p1) to 2 (p2) is only upstream"]
        );
    }
}
