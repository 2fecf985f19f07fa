//! What a stream means for nodes: its graph, and the way of one node.

use crate::domain::{
    epoch::Epoch,
    graph::{Graph, Node, NodeIndex},
    route::{End, Hop, Route, Wait},
    share::OpenShare,
    standing::Asker,
    stream::Revision,
};
use serde::Serialize;
use utoipa::ToSchema;

/// The graph of one arch and scheme, at a revision and a time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "revision": 42, "at": "2026-07-23T02:00:00Z", "arch": "x86_64", "scheme": "oci", "wariness": 0.5,
    "releases": [
        { "version": "44.20260708.3.0", "age": 0, "payload": "quay.io/fedora/fedora-coreos@sha256:1f", "withdrawn": false },
        { "version": "44.20260722.3.0", "age": 1, "payload": "quay.io/fedora/fedora-coreos@sha256:2e", "withdrawn": false,
          "open_share": 0.25 }
    ],
    "updates": [{ "from": 0, "to": 1, "open": false }]
}))]
pub struct GraphModel {
    /// The revision.
    pub revision: i64,
    /// The time.
    #[schema(format = DateTime)]
    pub at: String,
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// The wariness that it is looked at with.
    pub wariness: f64,
    /// Oldest first.
    pub releases: Vec<GraphRelease>,
    /// The updates that there are, held back or not.
    pub updates: Vec<GraphUpdate>,
}

/// A release in a graph.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphRelease {
    /// Its version.
    pub version: String,
    /// Its age index.
    pub age: usize,
    /// What nodes on it run.
    pub payload: String,
    /// Nobody is sent to it.
    pub withdrawn: bool,
    /// Why nobody may skip it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<String>,
    /// Why no update leads on from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<String>,
    /// The open share of the rollout that counts for whoever looks; absent without one, or where it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share: Option<f64>,
}

/// An update, between places in the list of releases.
#[derive(Debug, Serialize, ToSchema)]
pub struct GraphUpdate {
    /// The place of the release that it starts from.
    pub from: usize,
    /// The place of the release that it leads to.
    pub to: usize,
    /// Is it offered to whoever looks, at that time?
    pub open: bool,
}

impl GraphModel {
    /// Of a graph, as somebody sees it at a time.
    #[must_use]
    pub fn of(revision: Revision, graph: &Graph, asker: &Asker<'_>, at: Epoch) -> Self {
        let place = |node: &Node| graph.place(node, asker, at);
        let open: Vec<bool> = graph.nodes().iter().map(|node| !place(node).held_back).collect();
        let releases = graph.nodes().iter().map(|node| GraphRelease {
            version: node.version.to_string(),
            age: node.age,
            payload: node.payload.to_string(),
            withdrawn: node.withdrawn,
            barrier: node.barrier.as_ref().map(|reason| reason.as_str().to_owned()),
            dead_end: node.dead_end.as_ref().map(|reason| reason.as_str().to_owned()),
            open_share: place(node).rollout.and_then(|index| node.rollouts.get(index)).and_then(
                |rollout| match rollout.open_share(at) {
                    OpenShare::Open(share) => Some(share),
                    OpenShare::Closed => None,
                },
            ),
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
            wariness: asker.wariness.get(),
            releases: releases.collect(),
            updates: updates.collect(),
        }
    }
}

/// The way of one node: every update that it will take, when, and what holds the others back, if nobody changes anything.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "revision": 42, "at": "2026-07-23T02:00:00Z", "arch": "x86_64", "scheme": "oci", "wariness": 0.5,
    "release": "44.20260708.3.0",
    "hops": [{ "to": "44.20260722.3.0", "at": "2026-07-23T14:00:00Z",
        "held_back": [{ "release": "44.20260722.3.0", "opens": "2026-07-23T14:00:00Z",
            "reason": "its rollout is open to a share of 0.25, and this node's wariness is 0.5" }] }],
    "end": "newest"
}))]
pub struct ExplainModel {
    /// The revision.
    pub revision: i64,
    /// The time from which on.
    #[schema(format = DateTime)]
    pub at: String,
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// Where the node stands in the order in which rollouts let nodes in.
    pub wariness: f64,
    /// The release that it runs.
    pub release: String,
    /// The updates that it will take, in order.
    pub hops: Vec<HopModel>,
    /// Why it goes no further: `newest` (it is on the newest release), `dead_end`, `no_way` (there are newer releases, but no
    /// update leads to them) or `closed` (those to which updates lead never open for it, as things stand).
    pub end: &'static str,
    /// Why the release where it ends is a dead end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// With `closed`: what never opens, as things stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<WaitModel>,
}

/// An update that a node will take.
#[derive(Debug, Serialize, ToSchema)]
pub struct HopModel {
    /// The release that it goes to.
    pub to: String,
    /// The first second at which it is sent there.
    #[schema(format = DateTime)]
    pub at: String,
    /// What was held back from it until then, the newest first.
    pub held_back: Vec<WaitModel>,
}

/// A release that is held back from a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitModel {
    /// The release.
    pub release: String,
    /// The second at which it opens for this node; absent if never, as things stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub opens: Option<String>,
    /// What holds it back.
    pub reason: String,
}

impl ExplainModel {
    /// The way of a node from a release on.
    #[must_use]
    pub fn of(revision: Revision, graph: &Graph, from: NodeIndex, asker: &Asker<'_>, at: Epoch) -> Self {
        let telling = Telling { graph, asker };
        let Route { hops, end } = graph.route(from, asker, at);
        let mut now = at;
        let hops = hops.iter().map(|hop| {
            let told = telling.hop(hop, now);
            now = hop.at;
            told
        });
        let hops: Vec<HopModel> = hops.collect();
        let (end, end_reason, closed) = match &end {
            End::Newest => ("newest", None, Vec::new()),
            End::DeadEnd(reason) => ("dead_end", Some(reason.as_str().to_owned()), Vec::new()),
            End::NoWay => ("no_way", None, Vec::new()),
            End::Closed(waits) => ("closed", None, waits.iter().map(|wait| telling.wait(wait, now)).collect()),
        };
        Self {
            revision: revision.0,
            at: at.to_string(),
            arch: graph.arch.to_string(),
            scheme: graph.scheme.to_string(),
            wariness: asker.wariness.get(),
            release: telling.version(from),
            hops,
            end,
            end_reason,
            closed,
        }
    }
}

struct Telling<'a> {
    graph: &'a Graph,
    asker: &'a Asker<'a>,
}

impl Telling<'_> {
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
        let place = self.graph.place(node, self.asker, now);
        let Some((number, rollout)) = place.rollout.and_then(|index| Some((index + 1, node.rollouts.get(index)?)))
        else {
            return "none of its rollouts is for this node".into();
        };
        match rollout.open_share(now) {
            OpenShare::Closed => format!("its rollout {number} was aborted"),
            OpenShare::Open(share) => format!(
                "its rollout {number} ({}) is open to a share of {share}, and this node's wariness is {}",
                super::rollout::state(rollout, now),
                self.asker.wariness.get()
            ),
        }
    }
}
