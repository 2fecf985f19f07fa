//! What a stream means for nodes: its update graph, and the updates of one node.

use crate::{
    domain::{
        document::{shape::StopDocument, stop as stop_document},
        graph::NodeIndex,
        ids::Version,
        rollout::share::rounded,
    },
    manage::read::{Explanation, ExplanationEnd, GraphView, HeldBack, Update},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The update graph of one arch and scheme, at a revision and a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "revision": 42, "at": "2026-07-23T02:00:00Z", "arch": "x86_64", "scheme": "oci", "wariness": 0.5,
    "releases": [
        { "version": "44.20260708.3.0", "age": 0, "payload": "quay.io/fedora/fedora-coreos@sha256:1f3e5d7c9b8a706152433425160718293a4b5c6d7e8f90a1b2c3d4e5f6a7b8c9", "withdrawn": false },
        { "version": "44.20260722.3.0", "age": 1, "payload": "quay.io/fedora/fedora-coreos@sha256:2e4d6c8b0a19283746556473829100f1e2d3c4b5a69788796a5b4c3d2e1f0011", "withdrawn": false,
          "open_share": 0.25 }
    ],
    "updates": [{ "from": 0, "to": 1, "open": false }]
}))]
pub struct GraphModel {
    /// The revision of the stream.
    pub revision: i64,
    /// The time for which shares are computed.
    #[schema(format = DateTime)]
    pub at: String,
    /// The architecture.
    pub arch: String,
    /// The payload scheme: `checksum` or `oci`.
    pub scheme: String,
    /// The wariness of the node, 0 to 1.
    pub wariness: f64,
    /// The emergency stop in force at that time; absent without one. During a stop there are no updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopDocument>,
    /// The releases with a payload on the arch and scheme, oldest first.
    pub releases: Vec<GraphRelease>,
    /// The updates, whether held back from the node or not. Under the edge rule `open` these are, from each release, the one to the newest
    /// release, and the newest one that is open to the node.
    pub updates: Vec<GraphUpdate>,
}

/// A release in a graph.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphRelease {
    /// The version.
    pub version: String,
    /// The age index: 0 is the oldest release of the stream.
    pub age: usize,
    /// The payload that nodes on this release run.
    pub payload: String,
    /// True if the release is withdrawn: no update leads to it.
    pub withdrawn: bool,
    /// The reason why the release is a barrier; absent if it is not one. Older nodes must update to a barrier first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<String>,
    /// The reason why the release is a dead end; absent if it is not one. No update leaves a dead end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<String>,
    /// The share, 0 to 1, of the rollout that applies to the node; absent if no rollout applies, or if it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share: Option<f64>,
}

/// An update between two releases, given by their positions in the list of releases, from 0.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphUpdate {
    /// The position of the release that the update starts from.
    pub from: usize,
    /// The position of the release that the update leads to.
    pub to: usize,
    /// True if the update is offered to the node at that time.
    pub open: bool,
}

impl GraphModel {
    /// Describes a graph as a node sees it at a time.
    #[must_use]
    pub fn new(view: &GraphView) -> Self {
        let graph = &view.graph;
        let releases = graph.nodes().iter().zip(&view.offers).map(|(node, offer)| GraphRelease {
            version: node.version.to_string(),
            age: node.age,
            payload: node.payload.to_string(),
            withdrawn: node.withdrawn,
            barrier: node.barrier.as_ref().map(|reason| reason.as_str().to_owned()),
            dead_end: node.dead_end.as_ref().map(|reason| reason.as_str().to_owned()),
            open_share: offer.share.map(rounded),
        });
        let is_open = |to: NodeIndex| view.offers.get(to.0).is_some_and(|offer| offer.is_open);
        let edges = graph.shown_edges(is_open).into_iter();
        let updates = edges.map(|edge| GraphUpdate { from: edge.from.0, to: edge.to.0, open: is_open(edge.to) });
        Self {
            revision: view.revision.0,
            at: view.at.to_string(),
            arch: graph.arch.to_string(),
            scheme: graph.scheme.to_string(),
            wariness: view.wariness.get(),
            stopped: view.stop.as_ref().map(stop_document),
            releases: releases.collect(),
            updates: updates.collect(),
        }
    }
}

/// The future updates of one node, if the stream does not change: each update, when it is first offered, and what holds back the
/// releases that the node skips until then.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "revision": 42, "at": "2026-07-23T02:00:00Z", "arch": "x86_64", "scheme": "oci", "wariness": 0.5,
    "release": "44.20260708.3.0",
    "hops": [{ "to": "44.20260722.3.0", "at": "2026-07-23T14:00:00Z",
        "held_back": [{ "release": "44.20260722.3.0", "opens": "2026-07-23T14:00:00Z",
            "reason": "rollout 1 (running) is open to a share of 0.25, and the wariness of this node is 0.5" }] }],
    "end": "newest"
}))]
pub struct ExplainModel {
    /// The revision of the stream.
    pub revision: i64,
    /// The time at which the explanation begins.
    #[schema(format = DateTime)]
    pub at: String,
    /// The architecture.
    pub arch: String,
    /// The payload scheme: `checksum` or `oci`.
    pub scheme: String,
    /// The node's position in rollouts, 0 (first) to 1 (last).
    pub wariness: f64,
    /// The emergency stop in force at that time; absent without one. During a stop there are no updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopDocument>,
    /// The version that the node runs at the beginning.
    pub release: String,
    /// The updates that the node will take, in order.
    pub hops: Vec<HopModel>,
    /// Why there are no further updates: `newest` (the node is on the newest release), `dead_end`, `no_update` (no update leads to
    /// the newer releases), `closed` (the possible targets will never open for this node) or `stopped` (an emergency stop is in
    /// force).
    pub end: &'static str,
    /// With `dead_end`: the reason why the last release is a dead end. With `no_update`: the barrier of the base that no image is built on, if that
    /// is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// With `closed`: the possible targets that will never open for this node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<WaitModel>,
}

/// An update that a node will take.
#[derive(Debug, Serialize, ToSchema)]
pub struct HopModel {
    /// The version that the update leads to.
    pub to: String,
    /// The first second at which the update is offered to the node.
    #[schema(format = DateTime)]
    pub at: String,
    /// The releases that were held back from the node until then, newest first. A release that newer ones keep out of what the node is
    /// shown is not held back.
    pub held_back: Vec<WaitModel>,
}

/// A release that is held back from a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitModel {
    /// The version of the release.
    pub release: String,
    /// The first second at which the release is open for this node; absent if it will never open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub opens: Option<String>,
    /// Why the release is held back.
    pub reason: String,
}

impl ExplainModel {
    /// Describes the updates of a node.
    #[must_use]
    pub fn new(explanation: &Explanation) -> Self {
        let (end, end_reason, closed) = match &explanation.end {
            ExplanationEnd::Newest => ("newest", None, Vec::new()),
            ExplanationEnd::DeadEnd(reason) => ("dead_end", Some(reason.as_str().to_owned()), Vec::new()),
            ExplanationEnd::Stopped => ("stopped", None, Vec::new()),
            ExplanationEnd::NoUpdate { base_barrier } => {
                let waits = |barrier: &Version| format!("no image is built on {barrier}, a barrier of the base");
                ("no_update", base_barrier.as_ref().map(waits), Vec::new())
            }
            ExplanationEnd::Closed(targets) => ("closed", None, targets.iter().map(WaitModel::new).collect()),
        };
        Self {
            revision: explanation.revision.0,
            at: explanation.at.to_string(),
            arch: explanation.arch.to_string(),
            scheme: explanation.scheme.to_string(),
            wariness: explanation.wariness.get(),
            stopped: explanation.stop.as_ref().map(stop_document),
            release: explanation.release.to_string(),
            hops: explanation.updates.iter().map(HopModel::new).collect(),
            end,
            end_reason,
            closed,
        }
    }
}

impl HopModel {
    fn new(update: &Update) -> Self {
        Self {
            to: update.to.to_string(),
            at: update.at.to_string(),
            held_back: update.held_back.iter().map(WaitModel::new).collect(),
        }
    }
}

impl WaitModel {
    fn new(held_back: &HeldBack) -> Self {
        Self {
            release: held_back.release.to_string(),
            opens: held_back.opens.map(|opens| opens.to_string()),
            reason: held_back.reason.to_string(),
        }
    }
}
