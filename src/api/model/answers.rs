//! What a stream means for nodes: its update graph, and the updates of one node.

use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    document::{shape::StopDocument, stop as stop_document},
    epoch::Epoch,
    graph::{
        Graph, Node, NodeIndex,
        route::{End, Hop, Route, Wait},
        visibility::NodeContext,
    },
    rollout::share::OpenShare,
    stream::Revision,
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
    /// All updates, whether held back from the node or not.
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

/// A time, and the emergency stop that is in force at it.
type At<'a> = (Epoch, Option<&'a EmergencyStop>);

impl GraphModel {
    /// Describes a graph as a node sees it at a time.
    #[must_use]
    pub fn new(revision: Revision, graph: &Graph, node_context: &NodeContext<'_>, (at, stop): At<'_>) -> Self {
        let visibility = |node: &Node| graph.target_visibility(node, node_context, at);
        let open: Vec<bool> = graph.nodes().iter().map(|node| !visibility(node).held_back).collect();
        let releases = graph.nodes().iter().map(|node| GraphRelease {
            version: node.version.to_string(),
            age: node.age,
            payload: node.payload.to_string(),
            withdrawn: node.withdrawn,
            barrier: node.barrier.as_ref().map(|reason| reason.as_str().to_owned()),
            dead_end: node.dead_end.as_ref().map(|reason| reason.as_str().to_owned()),
            open_share: visibility(node).rollout.and_then(|index| node.rollouts.get(index)).and_then(|rollout| {
                match rollout.open_share(at) {
                    OpenShare::Open(_) if stop.is_some() => Some(0.0),
                    OpenShare::Open(share) => Some(share),
                    OpenShare::Closed => None,
                }
            }),
        });
        let updates = graph.edges().map(|edge| GraphUpdate {
            from: edge.from.0,
            to: edge.to.0,
            open: open.get(edge.to.0).copied().unwrap_or(false),
        });
        Self {
            revision: revision.0,
            at: at.to_string(),
            arch: graph.arch.to_string(),
            scheme: graph.scheme.to_string(),
            wariness: node_context.wariness.get(),
            stopped: stop.map(stop_document),
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
    /// With `dead_end`: the reason why the last release is a dead end.
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
    /// The releases that were held back from the node until then, newest first.
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
    /// Explains the updates of a node that runs the release `from`.
    #[must_use]
    pub fn new(
        revision: Revision,
        graph: &Graph,
        from: NodeIndex,
        node_context: &NodeContext<'_>,
        (at, stop): At<'_>,
    ) -> Self {
        let explainer = Explainer { graph, node_context };
        let Route { hops, end } = graph.route(from, node_context, at);
        let mut now = at;
        let hops = hops.iter().map(|hop| {
            let model = explainer.hop(hop, now);
            now = hop.at;
            model
        });
        let hops: Vec<HopModel> = hops.collect();
        let (end, end_reason, closed) = match &end {
            End::Newest => ("newest", None, Vec::new()),
            End::DeadEnd(reason) => ("dead_end", Some(reason.as_str().to_owned()), Vec::new()),
            End::NoTarget if stop.is_some() => ("stopped", None, Vec::new()),
            End::NoTarget => ("no_update", None, Vec::new()),
            End::Closed(waits) => ("closed", None, waits.iter().map(|wait| explainer.wait(wait, now)).collect()),
        };
        Self {
            revision: revision.0,
            at: at.to_string(),
            arch: graph.arch.to_string(),
            scheme: graph.scheme.to_string(),
            wariness: node_context.wariness.get(),
            stopped: stop.map(stop_document),
            release: explainer.version(from),
            hops,
            end,
            end_reason,
            closed,
        }
    }
}

struct Explainer<'a> {
    graph: &'a Graph,
    node_context: &'a NodeContext<'a>,
}

impl Explainer<'_> {
    fn version(&self, index: NodeIndex) -> String {
        self.graph.node(index).map(|node| node.version.to_string()).unwrap_or_default()
    }

    fn hop(&self, hop: &Hop, now: Epoch) -> HopModel {
        HopModel {
            to: self.version(hop.to),
            at: hop.at.to_string(),
            held_back: hop.waiting.iter().map(|wait| self.wait(wait, now)).collect(),
        }
    }

    fn wait(&self, wait: &Wait, now: Epoch) -> WaitModel {
        WaitModel {
            release: self.version(wait.target),
            opens: wait.opens.map(|opens| opens.to_string()),
            reason: self.graph.node(wait.target).map(|node| self.reason(node, now)).unwrap_or_default(),
        }
    }

    fn reason(&self, node: &Node, now: Epoch) -> String {
        let visibility = self.graph.target_visibility(node, self.node_context, now);
        let Some((number, rollout)) = visibility.rollout.and_then(|index| Some((index + 1, node.rollouts.get(index)?)))
        else {
            return "no selector of its rollouts matches this node".into();
        };
        match rollout.open_share(now) {
            OpenShare::Closed => format!("rollout {number} was aborted"),
            OpenShare::Open(share) => format!(
                "rollout {number} ({}) is open to a share of {share}, and the wariness of this node is {}",
                super::rollout::state(rollout, now),
                self.node_context.wariness.get()
            ),
        }
    }
}
