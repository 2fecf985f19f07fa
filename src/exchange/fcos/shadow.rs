//! Two services that answer Fedora CoreOS agents, asked the same: do they send nodes the same way?
//!
//! Whole graphs are compared, and for some releases what a node that runs them reads of its own view. What differs is asked again
//! on both sides: a rollout may have opened further between two questions.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// What is asked, of every scope.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which streams.
    pub streams: Vec<String>,
    /// On which arches.
    pub arches: Vec<String>,
    /// Who asks: ids, and besides them some wariness values and somebody who says nothing.
    pub ids: Vec<String>,
}

/// The two sides, by the base URL that an agent would be given.
#[derive(Debug, Clone)]
pub struct Sides {
    /// The one that nodes ask now.
    pub upstream: String,
    /// The one that they will.
    pub ours: String,
    /// What asks.
    pub client: reqwest::Client,
}

/// Something is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was asked.
    pub asked: String,
    /// What differs.
    pub what: String,
}

/// What a round found.
#[derive(Debug, Default)]
pub struct Round {
    /// When it began.
    pub at: Timestamp,
    /// How many answers were compared.
    pub compared: usize,
    /// How many of them had releases, on both sides.
    pub telling: usize,
    /// What could not be asked, and why: it was gone on with the next scope.
    pub unanswered: Vec<ShadowError>,
    /// In how many of them, and how, they differ.
    pub differences: Vec<Difference>,
}

/// Why nothing can be compared.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// One side does not answer.
    #[error("{url} does not answer")]
    Silent {
        /// What was asked.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// One side answers with no graph.
    #[error("{url} answers with something that is no graph")]
    NoGraph {
        /// What was asked.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A side cannot answer now.
    #[error("{url} cannot answer now: {status}")]
    Unwell {
        /// What was asked.
        url: String,
        /// With what it refused.
        status: u16,
    },
}

/// Where those stand who say where they stand.
const WARINESS: [&str; 5] = ["0.0", "0.25", "0.5", "0.75", "1.0"];
/// Of how many releases the nodes' own views are asked for.
const VIEWS: usize = 5;

/// A graph as agents get it.
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

/// A release, as agents tell releases apart.
type Key = (String, String);

/// A graph, in no order.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    releases: BTreeMap<Key, BTreeMap<String, Value>>,
    updates: BTreeSet<(Key, Key)>,
}

/// An answer: a graph, or a refusal.
type Answer = Result<Picture, u16>;

/// Asks everything once.
pub async fn round(sides: &Sides, sample: &Sample, at: Timestamp) -> Round {
    let mut round = Round { at, ..Round::default() };
    for stream in &sample.streams {
        for arch in &sample.arches {
            for oci in [false, true] {
                let scope = query(&[("stream", stream), ("basearch", arch), ("oci", &oci.to_string())]);
                let name = format!("{stream} {arch} {}", if oci { "oci" } else { "checksum" });
                if let Err(error) = scoped(sides, &scope, &name, sample, &mut round).await {
                    round.unanswered.push(error);
                }
            }
        }
    }
    round
}

async fn scoped(sides: &Sides, scope: &str, name: &str, sample: &Sample, round: &mut Round) -> Result<(), ShadowError> {
    let warinesses = WARINESS.iter().map(|wariness| ("rollout_wariness", *wariness));
    let ids = sample.ids.iter().map(|id| ("node_uuid", id.as_str()));
    let askers = std::iter::once(None).chain(warinesses.chain(ids).map(Some));
    for asker in askers {
        let (question, who) = match asker {
            Some((key, value)) => (format!("{scope}&{}", query(&[(key, value)])), format!("{key} {value}")),
            None => (scope.to_owned(), "nothing said".to_owned()),
        };
        let asked = format!("{name}, {who}");
        let theirs = compared(sides, &question, None, &asked, round).await?;
        // Where nobody is known, no view has to be looked at.
        let Ok(picture) = theirs else { continue };
        if asker.is_some_and(|(key, _)| key == "rollout_wariness") {
            for (version, payload) in spread(&picture) {
                let asked = format!("{asked}, from {version}");
                let node = (version.clone(), payload.clone());
                drop(compared(sides, &question, Some(&node), &asked, round).await?);
            }
        }
    }
    Ok(())
}

/// Compares the answers to one question, in whole or as a node reads them, and returns upstream's.
async fn compared(
    sides: &Sides,
    question: &str,
    node: Option<&Key>,
    asked: &str,
    round: &mut Round,
) -> Result<Answer, ShadowError> {
    let ours = match node {
        None => format!("{question}&view=full"),
        Some((_, payload)) => format!("{question}&view=node&{}", query(&[("os_checksum", payload)])),
    };
    let mut asked_once = false;
    let (theirs, last) = loop {
        let theirs = ask(sides, &sides.upstream, question).await?;
        let ours = ask(sides, &sides.ours, &ours).await?;
        let found = match node {
            None => differences(&theirs, &ours),
            Some(node) => view_differences(node, &theirs, &ours),
        };
        if asked_once || found.is_empty() {
            round.telling += usize::from([&theirs, &ours].into_iter().all(has_releases));
            break (theirs, found);
        }
        asked_once = true;
    };
    round.compared += 1;
    round.differences.extend(last.into_iter().map(|what| Difference { asked: asked.into(), what }));
    Ok(theirs)
}

async fn ask(sides: &Sides, base: &str, question: &str) -> Result<Answer, ShadowError> {
    let url = format!("{}/v1/graph?{question}", base.trim_end_matches('/'));
    let failed = |source| ShadowError::Silent { url: url.clone(), source };
    let response = sides.client.get(&url).send().await.map_err(failed)?;
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(ShadowError::Unwell { url, status: status.as_u16() });
    }
    if !status.is_success() {
        return Ok(Err(status.as_u16()));
    }
    let text = response.text().await.map_err(failed)?;
    let graph = serde_json::from_str(&text).map_err(|source| ShadowError::NoGraph { url, source })?;
    Ok(Ok(Picture::of(graph)))
}

impl Picture {
    fn of(graph: Graph) -> Self {
        let keys: Vec<Key> = graph.nodes.iter().map(|node| (node.version.clone(), node.payload.clone())).collect();
        let end = |index: u64| usize::try_from(index).ok().and_then(|index| keys.get(index)).cloned();
        let updates = graph.edges.iter().filter_map(|(from, to)| Some((end(*from)?, end(*to)?))).collect();
        let releases = graph.nodes.into_iter().map(|node| ((node.version, node.payload), node.metadata));
        Self { releases: releases.collect(), updates }
    }
}

/// Some releases from the oldest to the newest, as their names go.
fn spread(picture: &Picture) -> Vec<&Key> {
    let step = picture.releases.len().div_ceil(VIEWS).max(1);
    picture.releases.keys().step_by(step).collect()
}

fn differences(theirs: &Answer, ours: &Answer) -> Vec<String> {
    let (theirs, ours) = match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => (theirs, ours),
        (Err(theirs), Err(ours)) if theirs == ours => return Vec::new(),
        (theirs, ours) => return vec![format!("upstream answers {}, we {}", kind(theirs), kind(ours))],
    };
    let mut found = Vec::new();
    for (key, attributes) in &theirs.releases {
        match ours.releases.get(key) {
            None => found.push(format!("release {} is missing here", named(key))),
            Some(own) => found.extend(attribute_differences(key, attributes, own)),
        }
    }
    let extra = ours.releases.keys().filter(|key| !theirs.releases.contains_key(*key));
    found.extend(extra.map(|key| format!("release {} is here alone", named(key))));
    found.extend(update_differences(&theirs.updates, &ours.updates));
    found
}

/// What an agent reads of a graph: which releases it may go to from its own.
fn view_differences(node: &Key, theirs: &Answer, ours: &Answer) -> Vec<String> {
    let (Ok(theirs), Ok(ours)) = (theirs, ours) else { return differences(theirs, ours) };
    let out = |picture: &Picture| picture.updates.iter().filter(|(from, _)| from == node).cloned().collect();
    update_differences(&out(theirs), &out(ours))
}

fn attribute_differences(key: &Key, theirs: &BTreeMap<String, Value>, ours: &BTreeMap<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let told = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let differ = names.into_iter().filter(|name| theirs.get(*name) != ours.get(*name));
    differ
        .map(|name| {
            let (theirs, ours) = (told(theirs.get(name)), told(ours.get(name)));
            format!("{name} of {} is {theirs} upstream, {ours} here", named(key))
        })
        .collect()
}

fn update_differences(theirs: &BTreeSet<(Key, Key)>, ours: &BTreeSet<(Key, Key)>) -> Vec<String> {
    let tell = |what: &'static str| {
        move |(from, to): &(Key, Key)| format!("the update from {} to {} is {what}", named(from), named(to))
    };
    let missing = theirs.difference(ours).map(tell("missing here"));
    missing.chain(ours.difference(theirs).map(tell("here alone"))).collect()
}

fn has_releases(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|picture| !picture.releases.is_empty())
}

fn kind(answer: &Answer) -> String {
    match answer {
        Ok(picture) => format!("with {} releases", picture.releases.len()),
        Err(status) => format!("with {status}"),
    }
}

/// A payload is long, and its beginning tells enough.
fn named((version, payload): &Key) -> String {
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

    fn graph(nodes: &[(&str, &str)], edges: &[(usize, usize)]) -> Picture {
        let nodes: Vec<Value> = nodes
            .iter()
            .map(|(version, reason)| json!({"version": version, "payload": format!("p{version}"), "metadata": {"reason": reason}}))
            .collect();
        Picture::of(serde_json::from_value(json!({"nodes": nodes, "edges": edges})).unwrap())
    }

    fn picture(nodes: &[(&str, &str)], edges: &[(usize, usize)]) -> Answer {
        Some(graph(nodes, edges)).ok_or(0)
    }

    #[test]
    fn the_order_of_things_is_no_difference() {
        let one = picture(&[("1", ""), ("2", ""), ("3", "")], &[(0, 2), (1, 2)]);
        let other = picture(&[("3", ""), ("1", ""), ("2", "")], &[(2, 0), (1, 0)]);
        assert_eq!(differences(&one, &other), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_told_from_both_sides() {
        let theirs = picture(&[("1", ""), ("2", "a"), ("3", "")], &[(0, 1), (1, 2)]);
        let ours = picture(&[("1", ""), ("2", "b"), ("4", "")], &[(0, 1), (0, 2)]);
        assert_eq!(
            differences(&theirs, &ours),
            [
                "reason of 2 (p2) is \"a\" upstream, \"b\" here",
                "release 3 (p3) is missing here",
                "release 4 (p4) is here alone",
                "the update from 2 (p2) to 3 (p3) is missing here",
                "the update from 1 (p1) to 4 (p4) is here alone",
            ]
        );
        assert_eq!(differences(&Err(404), &Err(404)), Vec::<String>::new());
        assert_eq!(differences(&ours, &Err(404)), ["upstream answers with 3 releases, we with 404"]);
    }

    #[test]
    fn of_a_view_the_ways_out_alone_count() {
        let theirs = picture(&[("1", "x"), ("2", ""), ("3", "")], &[(0, 1), (1, 2)]);
        let node = ("1".to_owned(), "p1".to_owned());
        assert!(view_differences(&node, &theirs, &picture(&[("1", ""), ("2", "")], &[(0, 1)])).is_empty());
        assert_eq!(
            view_differences(&node, &theirs, &picture(&[("1", "")], &[])),
            ["the update from 1 (p1) to 2 (p2) is missing here"]
        );
    }
}
