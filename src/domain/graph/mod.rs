//! The update graph of one scope, built from releases and policies, before rollouts hold anything back.
//!
//! The order of nodes and edges is deterministic: equal input produces an equal graph.

pub(super) mod ages;
mod edges;
pub mod route;
mod size;
mod trim;
pub mod visibility;

use super::{
    ids::{Arch, Version},
    payload::{PayloadId, Repository, Scheme},
    policy::graph_rules::Identity,
    reason::Reason,
    release::{PayloadKey, ReleaseState},
    rollout::Rollout,
    stream::Stream,
};
use edges::{Blocked, Candidates};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// The index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// One release in one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The release's age index in its stream, which also counts releases outside this scope.
    pub age: usize,
    /// Its version.
    pub version: Version,
    /// Its payload in this scope.
    pub payload: PayloadId,
    /// Why it is a barrier here, if it is one.
    pub barrier: Option<Reason>,
    /// Why it is a dead end here, if it is one.
    pub dead_end: Option<Reason>,
    /// Its rollouts, in order.
    pub rollouts: Vec<Rollout>,
    /// True if the release is withdrawn: no edge leads to it.
    pub withdrawn: bool,
    /// Its index among the graph's nodes with rollouts.
    pub(super) rollout_index: Option<usize>,
    /// The index of the newest node that an edge from it may reach: the first barrier after it, or the newest node.
    end: usize,
}

impl Node {
    /// Returns true if rollouts decide which nodes are offered the release.
    #[must_use]
    pub fn is_rollout(&self) -> bool {
        self.rollout_index.is_some()
    }
}

/// An update from one release to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The older release.
    pub from: NodeIndex,
    /// The newer release.
    pub to: NodeIndex,
}

/// The update graph of one scope, before rollouts hold anything back. Edges are computed from the nodes when needed, because there may
/// be millions of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The architecture.
    pub arch: Arch,
    /// The scheme of the payloads.
    pub scheme: Scheme,
    nodes: Vec<Node>,
    /// The nodes with rollouts, oldest first.
    rollout_nodes: Vec<NodeIndex>,
    /// The edges before policies remove any.
    candidates: Candidates,
    /// How many of its open targets, counted from the newest, a node is shown; all if absent.
    shown_targets: Option<usize>,
    /// For each node, the index of the oldest node with an edge to it: the last barrier strictly before it, or the oldest node.
    starts: Vec<usize>,
    blocked: Blocked,
    /// Empty if the version identifies nodes.
    by_payload: HashMap<PayloadId, NodeIndex>,
    /// Empty if the payload identifies nodes.
    by_version: HashMap<Version, NodeIndex>,
    mirrors: BTreeSet<Repository>,
    /// Empty if the stream has no mirrors.
    by_digest: HashMap<String, NodeIndex>,
}

/// A node that was recognised by the payload or the version that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// The release that it runs.
    pub node: NodeIndex,
    /// The mirror that its payload names, if any. Its targets must be named in the same mirror.
    pub mirror: Option<&'a Repository>,
}

impl Graph {
    /// Builds the graph of a stream on one arch and scheme. Under the edge rule `derived` these are rules 1 and 3 to 6 of the wire contract,
    /// then blocked updates.
    #[must_use]
    pub fn new(stream: &Stream, arch: &Arch, scheme: &Scheme) -> Self {
        let mut graph = Self {
            arch: arch.clone(),
            scheme: scheme.clone(),
            nodes: Vec::new(),
            rollout_nodes: Vec::new(),
            candidates: Candidates::default(),
            shown_targets: stream.rules.shown_targets().map(|newest| newest.get().into()),
            starts: Vec::new(),
            blocked: Blocked::new(stream, arch),
            by_payload: HashMap::new(),
            by_version: HashMap::new(),
            mirrors: BTreeSet::new(),
            by_digest: HashMap::new(),
        };
        graph.add_nodes(stream);
        graph.add_names(stream);
        graph.compute_edge_ranges();
        graph.candidates = graph.find_candidates(stream);
        graph
    }

    fn add_nodes(&mut self, stream: &Stream) {
        let key = PayloadKey { arch: self.arch.clone(), scheme: self.scheme.clone() };
        for (age, release) in stream.aged() {
            let Some(payload) = release.payloads.get(&key) else {
                continue;
            };
            let index = NodeIndex(self.nodes.len());
            let rollout_index = (!release.rollouts.is_empty()).then_some(self.rollout_nodes.len());
            if rollout_index.is_some() {
                self.rollout_nodes.push(index);
            }
            self.nodes.push(Node {
                age,
                version: release.version.clone(),
                payload: payload.id.clone(),
                barrier: release
                    .barrier
                    .as_ref()
                    .filter(|barrier| barrier.applies_to(&self.arch))
                    .map(|barrier| barrier.reason.clone()),
                dead_end: release
                    .dead_end
                    .as_ref()
                    .filter(|dead_end| dead_end.applies_to(&self.arch))
                    .map(|dead_end| dead_end.reason.clone()),
                rollouts: release.rollouts.clone(),
                withdrawn: release.state == ReleaseState::Withdrawn,
                rollout_index,
                end: 0,
            });
        }
    }

    /// Records by what nodes are recognised.
    fn add_names(&mut self, stream: &Stream) {
        let indexed = || self.nodes.iter().enumerate().map(|(index, node)| (NodeIndex(index), node));
        if stream.rules.identity == Identity::Version {
            for (index, node) in indexed() {
                // If upstream lists a version twice, it identifies the older release.
                self.by_version.entry(node.version.clone()).or_insert(index);
            }
            return;
        }
        for (index, node) in indexed() {
            // If two releases share a payload, agents identify the older one.
            self.by_payload.entry(node.payload.clone()).or_insert(index);
        }
        let key = PayloadKey { arch: self.arch.clone(), scheme: self.scheme.clone() };
        for (index, node) in indexed() {
            let aliases = stream.releases.get(node.age).and_then(|release| release.aliases.get(&key));
            for alias in aliases.into_iter().flat_map(BTreeMap::keys) {
                self.by_payload.entry(alias.clone()).or_insert(index);
            }
        }
        self.mirrors.clone_from(&stream.mirrors);
        if !self.mirrors.is_empty() {
            let digests = self.by_payload.iter().filter_map(|(id, index)| Some((id.pull_spec()?.1.to_owned(), *index)));
            for (digest, index) in digests {
                let known = self.by_digest.entry(digest).or_insert(index);
                *known = index.min(*known);
            }
        }
    }

    fn compute_edge_ranges(&mut self) {
        let is_barrier = |index: usize| self.nodes.get(index).is_some_and(|node| node.barrier.is_some());
        let count = self.nodes.len();
        self.starts = (0..count)
            .scan(0, |last_barrier, index| {
                let start = *last_barrier;
                if is_barrier(index) {
                    *last_barrier = index;
                }
                Some(start)
            })
            .collect();
        let mut next_barrier = count.saturating_sub(1);
        for (index, node) in self.nodes.iter_mut().enumerate().rev() {
            node.end = next_barrier;
            if node.barrier.is_some() {
                next_barrier = index;
            }
        }
    }

    /// Returns this graph without edges, which is what nodes see during an emergency stop.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { rollout_nodes: Vec::new(), candidates: Candidates::default(), ..self }
    }

    /// Returns the nodes, oldest first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the node at `index`.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.0)
    }

    /// Returns the nodes with rollouts, oldest first.
    pub(super) fn rollout_nodes(&self) -> &[NodeIndex] {
        &self.rollout_nodes
    }

    /// Returns every text by which [`Graph::recognise`] finds a node.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let own = self.by_payload.keys().map(|id| Cow::Borrowed(id.as_str()));
        let versions = self.by_version.keys().map(|version| Cow::Borrowed(version.as_str()));
        let mirrored = self
            .mirrors
            .iter()
            .flat_map(|mirror| self.by_digest.keys().map(move |digest| Cow::Owned(format!("{mirror}@{digest}"))));
        own.chain(versions).chain(mirrored)
    }

    /// Returns the node that `name` identifies: as its payload, as an alias, or by the digest of either in a mirror. If versions identify
    /// nodes, `name` must be the version.
    #[must_use]
    pub fn recognise(&self, name: &str) -> Option<Recognised<'_>> {
        if let Some(node) = self.by_payload.get(name).or_else(|| self.by_version.get(name)) {
            return Some(Recognised { node: *node, mirror: None });
        }
        let (repository, digest) = name.split_once('@')?;
        let mirror = self.mirrors.get(repository)?;
        self.by_digest.get(digest).map(|node| Recognised { node: *node, mirror: Some(mirror) })
    }
}
