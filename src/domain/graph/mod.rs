//! The update graph of one scope, built from releases and policies, before rollouts hold anything back.
//!
//! The order of nodes and edges is deterministic: equal input produces an equal graph.

pub(super) mod ages;
mod base_order;
mod edges;
mod names;
pub mod route;
mod size;
mod trim;
pub mod visibility;

use super::{
    base::BasePolicyKind,
    ids::{Arch, Version},
    payload::{PayloadId, Repository, Scheme},
    policy::graph_rules::Identity,
    reason::Reason,
    release::{Aliases, PayloadKey, Release, ReleaseState},
    rollout::Rollout,
    shared::Shared,
    stream::Stream,
};
use edges::{Blocked, Candidates};
use names::{Alias, Named, Names};
use std::{borrow::Cow, collections::BTreeSet, num::NonZeroU32, sync::Arc};

/// The index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// One release in one scope.
#[derive(Debug, Clone)]
pub struct Node {
    /// The release's age index in its stream, which also counts releases outside this scope.
    pub age: usize,
    /// Its version.
    pub version: Version,
    /// Its payload in this scope.
    pub payload: PayloadId,
    /// Why it is a barrier here, if it is one, or if it is built on a barrier of the base.
    pub barrier: Option<Reason>,
    /// Why it is a dead end here, if it is one, or if it is built on a dead end of the base.
    pub dead_end: Option<Reason>,
    /// True if the release is withdrawn: no edge leads to it.
    pub withdrawn: bool,
    /// True if it is a barrier itself. What is built on a barrier of the base holds back no node that is past it.
    is_barrier: bool,
    /// Its number among the graph's nodes with rollouts, counted from 1.
    rollout_number: Option<NonZeroU32>,
    /// The index of the newest node that an edge from it may reach: the first barrier after it, or the newest node.
    end: usize,
    /// Shared with the stream.
    release: Shared<Release>,
}

impl Node {
    /// Returns its index among the graph's nodes with rollouts.
    pub(super) fn rollout_index(&self) -> Option<usize> {
        usize::try_from(self.rollout_number?.get() - 1).ok()
    }

    /// Returns true if all older nodes must update to it first.
    pub(in crate::domain) fn is_barrier(&self) -> bool {
        self.is_barrier
    }

    /// Returns its rollouts, in order.
    #[must_use]
    pub fn rollouts(&self) -> &[Rollout] {
        &self.release.rollouts
    }

    /// Returns true if both are the same release in memory, with the same age and with equal policies: in graphs of one scope, all else that is
    /// shown of them is equal then.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.age == other.age
            && self.release.is_same(&other.release)
            && (&self.barrier, &self.dead_end) == (&other.barrier, &other.dead_end)
    }

    /// Returns true if rollouts decide which nodes are offered the release.
    #[must_use]
    pub fn is_rollout(&self) -> bool {
        self.rollout_number.is_some()
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
    mirrors: BTreeSet<Repository>,
    /// Shared with the graph of the previous revision if they did not change.
    names: Arc<Names>,
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
        Self::new_after(stream, arch, scheme, None)
    }

    /// Builds the same graph as [`Graph::new`]. It shares with the graph of the same scope at the previous revision what did not change.
    #[must_use]
    pub fn new_after(stream: &Stream, arch: &Arch, scheme: &Scheme, before: Option<&Self>) -> Self {
        let key = PayloadKey { arch: arch.clone(), scheme: scheme.clone() };
        let nodes = nodes(stream, &key);
        let names = names(stream, &key, &nodes, before);
        let with_rollouts = nodes.iter().enumerate().filter(|(_, node)| node.is_rollout());
        let mut graph = Self {
            rollout_nodes: with_rollouts.map(|(index, _)| NodeIndex(index)).collect(),
            candidates: Candidates::default(),
            shown_targets: stream.rules.shown_targets().map(|newest| newest.get().into()),
            starts: Vec::new(),
            blocked: Blocked::new(stream, arch),
            mirrors: if names.has_mirrors() { stream.mirrors.clone() } else { BTreeSet::new() },
            arch: key.arch,
            scheme: key.scheme,
            nodes,
            names,
        };
        graph.compute_edge_ranges();
        graph.candidates = graph.find_candidates(stream);
        graph
    }

    fn compute_edge_ranges(&mut self) {
        let is_barrier = |index: usize| self.nodes.get(index).is_some_and(Node::is_barrier);
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
            if node.is_barrier {
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
        let own = self.names.texts(&self.nodes).map(Cow::Borrowed);
        let mirrored = self.mirrors.iter().flat_map(|mirror| {
            self.names.digests(&self.nodes).map(move |digest| Cow::Owned(format!("{mirror}@{digest}")))
        });
        own.chain(mirrored)
    }

    /// Returns true if both graphs have the same names in memory.
    #[must_use]
    pub fn shares_names_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names) && self.mirrors == other.mirrors
    }

    /// Returns the node that `name` identifies: as its payload, as an alias, or by the digest of either in a mirror. If versions identify
    /// nodes, `name` must be the version.
    #[must_use]
    pub fn recognise(&self, name: &str) -> Option<Recognised<'_>> {
        if let Some(node) = self.names.find(&self.nodes, name) {
            return Some(Recognised { node, mirror: None });
        }
        let (repository, digest) = name.split_once('@')?;
        let mirror = self.mirrors.get(repository)?;
        self.names.find_digest(&self.nodes, digest).map(|node| Recognised { node, mirror: Some(mirror) })
    }
}

/// Returns the releases of a scope, oldest first.
fn nodes(stream: &Stream, key: &PayloadKey) -> Vec<Node> {
    let mut rollout_numbers = (1..).map_while(NonZeroU32::new);
    let published = stream.releases.iter().enumerate().filter(|(_, release)| release.state != ReleaseState::Draft);
    let nodes = published.filter_map(|(age, release)| {
        let barrier = release.barrier.as_ref().filter(|barrier| barrier.applies_to(&key.arch));
        let dead_end = release.dead_end.as_ref().filter(|dead_end| dead_end.applies_to(&key.arch));
        let inherited = |kind| stream.inherited_reason(release, kind, &key.arch).cloned();
        Some(Node {
            payload: release.payloads.get(key)?.id.clone(),
            age,
            version: release.version.clone(),
            barrier: barrier.map(|barrier| barrier.reason.clone()).or_else(|| inherited(BasePolicyKind::Barrier)),
            dead_end: dead_end.map(|dead_end| dead_end.reason.clone()).or_else(|| inherited(BasePolicyKind::DeadEnd)),
            is_barrier: barrier.is_some(),
            withdrawn: release.state == ReleaseState::Withdrawn,
            rollout_number: if release.rollouts.is_empty() { None } else { rollout_numbers.next() },
            end: 0,
            release: release.clone(),
        })
    });
    let mut nodes: Vec<Node> = nodes.collect();
    nodes.shrink_to_fit();
    nodes
}

/// Collects by what nodes are recognised, or takes it from the graph of the previous revision.
fn names(stream: &Stream, key: &PayloadKey, nodes: &[Node], before: Option<&Graph>) -> Arc<Names> {
    let identity = stream.rules.identity;
    let mut aliases = Vec::new();
    if identity == Identity::Payload {
        for (index, node) in (0u32..).zip(nodes) {
            let ids = node.release.aliases.get(key).into_iter().flat_map(Aliases::keys);
            aliases.extend(ids.map(|id| Alias { node: index, id: id.clone() }));
        }
    }
    let has_mirrors = identity == Identity::Payload && !stream.mirrors.is_empty();
    let named = Named { identity, nodes, aliases, has_mirrors };
    match before.filter(|before| before.names.are_of(&before.nodes, &named)) {
        Some(before) => before.names.clone(),
        None => Arc::new(Names::new(named)),
    }
}

/// Compares what is shown of two nodes; other parts of their releases may differ.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        (self.age, &self.version, &self.payload) == (other.age, &other.version, &other.payload)
            && (&self.barrier, &self.dead_end, self.withdrawn) == (&other.barrier, &other.dead_end, other.withdrawn)
            && (self.is_barrier, self.rollout_number, self.end) == (other.is_barrier, other.rollout_number, other.end)
            && self.rollouts() == other.rollouts()
    }
}
