//! Releases and policies made into the update graph of one scope, nothing held back.
//!
//! The order of nodes and edges is part of the result: equal input gives an equal graph.

use super::{
    arch::Arch,
    payload::{PayloadId, Repository, Scheme},
    reason::Reason,
    release::{PayloadKey, ReleaseState},
    rollout::Rollout,
    stream::Stream,
    version::Version,
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

/// A node's place in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// One release in one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The release's age index in its stream, releases that are not in this scope counted.
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
    /// No edge leads into it any more.
    pub withdrawn: bool,
    /// Which of the graph's rollout releases it is.
    pub(super) gate: Option<usize>,
    /// The youngest that edges out of it reach: the first barrier after it, or the newest.
    end: usize,
}

impl Node {
    /// Is it opened by a rollout (or kept closed by one)?
    #[must_use]
    pub fn is_rollout(&self) -> bool {
        self.gate.is_some()
    }
}

/// An update that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// From the older release.
    pub from: NodeIndex,
    /// To the newer one.
    pub to: NodeIndex,
}

/// The update graph of one scope, nothing held back yet. Edges follow from the nodes and are not kept: there may be millions.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The architecture.
    pub arch: Arch,
    /// The scheme of the payloads.
    pub scheme: Scheme,
    nodes: Vec<Node>,
    /// The nodes with rollouts, oldest first.
    gates: Vec<NodeIndex>,
    /// The barriers without rollouts, oldest first.
    open_barriers: Vec<NodeIndex>,
    /// For each node, where edges into it begin: at the last barrier strictly before it, or at the oldest.
    starts: Vec<usize>,
    blocked: Vec<Blocked>,
    by_payload: HashMap<PayloadId, NodeIndex>,
    mirrors: BTreeSet<Repository>,
    /// Only where there are mirrors.
    by_digest: HashMap<String, NodeIndex>,
}

/// Edges that must not be.
#[derive(Debug, Clone, PartialEq)]
struct Blocked {
    /// From any of these ages.
    from: RangeInclusive<usize>,
    /// To the release of this age.
    to: usize,
}

/// A node that was recognised by what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// Where it stands.
    pub node: NodeIndex,
    /// The mirror that it runs out of: its targets are to be named there.
    pub mirror: Option<&'a Repository>,
}

impl Graph {
    /// Builds the graph of a stream on one arch and scheme (rules 1 and 3 to 6 of the wire contract, then blocked updates).
    #[must_use]
    pub fn of(stream: &Stream, arch: &Arch, scheme: &Scheme) -> Self {
        let mut graph = Self {
            arch: arch.clone(),
            scheme: scheme.clone(),
            nodes: Vec::new(),
            gates: Vec::new(),
            open_barriers: Vec::new(),
            starts: Vec::new(),
            blocked: Vec::new(),
            by_payload: HashMap::new(),
            mirrors: stream.mirrors.clone(),
            by_digest: HashMap::new(),
        };
        graph.add_nodes(stream);
        graph.find_ways();
        graph.block(stream);
        graph
    }

    fn add_nodes(&mut self, stream: &Stream) {
        let key = PayloadKey { arch: self.arch.clone(), scheme: self.scheme.clone() };
        let mut aliases = Vec::new();
        for (age, release) in stream.aged() {
            let Some(payload) = release.payloads.get(&key) else {
                continue;
            };
            let index = NodeIndex(self.nodes.len());
            let gate = (!release.rollouts.is_empty()).then_some(self.gates.len());
            if gate.is_some() {
                self.gates.push(index);
            }
            // Of two releases with one payload, an agent finds the older.
            self.by_payload.entry(payload.id.clone()).or_insert(index);
            aliases.extend(release.aliases.get(&key).into_iter().flatten().map(|alias| (alias.clone(), index)));
            self.nodes.push(Node {
                age,
                version: release.version.clone(),
                payload: payload.id.clone(),
                barrier: release
                    .barrier
                    .as_ref()
                    .filter(|barrier| barrier.stands_on(&self.arch))
                    .map(|barrier| barrier.reason.clone()),
                dead_end: release
                    .dead_end
                    .as_ref()
                    .filter(|dead_end| dead_end.holds_on(&self.arch))
                    .map(|dead_end| dead_end.reason.clone()),
                rollouts: release.rollouts.clone(),
                withdrawn: release.state == ReleaseState::Withdrawn,
                gate,
                end: 0,
            });
        }
        for (alias, index) in aliases {
            self.by_payload.entry(alias).or_insert(index);
        }
        if !self.mirrors.is_empty() {
            let digests = self.by_payload.iter().filter_map(|(id, index)| Some((id.pull_spec()?.1.to_owned(), *index)));
            for (digest, index) in digests {
                let known = self.by_digest.entry(digest).or_insert(index);
                *known = index.min(*known);
            }
        }
    }

    fn find_ways(&mut self) {
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
        let indexed = self.nodes.iter().enumerate();
        let open_barriers = indexed.filter(|(_, node)| node.barrier.is_some() && !node.is_rollout());
        self.open_barriers = open_barriers.map(|(index, _)| NodeIndex(index)).collect();
    }

    fn block(&mut self, stream: &Stream) {
        for blocked in stream.blocked_updates.iter().filter(|blocked| blocked.holds_on(&self.arch)) {
            let ages = [&blocked.first, &blocked.last, &blocked.target].map(|version| stream.position_of(version));
            if let [Some(first), Some(last), Some(to)] = ages {
                self.blocked.push(Blocked { from: first..=last, to });
            }
        }
    }

    /// Is it an edge, given that no barrier lies between?
    fn leads(&self, edge: Edge) -> bool {
        let (Some(from), Some(to)) = (self.node(edge.from), self.node(edge.to)) else { return false };
        let is_blocked = |blocked: &Blocked| blocked.to == to.age && blocked.from.contains(&from.age);
        from.dead_end.is_none() && !to.withdrawn && !self.blocked.iter().any(is_blocked)
    }

    /// The nodes, oldest first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.0)
    }

    /// Every edge, held back or not: into rollouts, the newest first, then into barriers, the oldest first.
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        let into = |to: &NodeIndex| {
            let (to, start) = (*to, self.starts.get(to.0).copied().unwrap_or(to.0));
            (start..to.0).map(move |from| Edge { from: NodeIndex(from), to })
        };
        let edges = self.gates.iter().rev().chain(&self.open_barriers).flat_map(into);
        edges.filter(|edge| self.leads(*edge))
    }

    /// The releases to which a node on `from` may go directly, held back or not, in the order of the edges.
    pub fn targets(&self, from: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let end = self.node(from).map_or(from.0, |node| node.end);
        let targets =
            within(&self.gates, from, end).iter().rev().chain(within(&self.open_barriers, from, end)).copied();
        targets.filter(move |to| self.leads(Edge { from, to: *to }))
    }

    /// The nodes with rollouts, oldest first.
    pub(super) fn gates(&self) -> &[NodeIndex] {
        &self.gates
    }

    /// The node that runs this: a payload, an alias, or either's digest out of a mirror.
    #[must_use]
    pub fn recognise(&self, payload: &str) -> Option<Recognised<'_>> {
        if let Some(node) = self.by_payload.get(payload) {
            return Some(Recognised { node: *node, mirror: None });
        }
        let (repository, digest) = payload.split_once('@')?;
        let mirror = self.mirrors.get(repository)?;
        self.by_digest.get(digest).map(|node| Recognised { node: *node, mirror: Some(mirror) })
    }
}

/// Those after `from`, as far as `end`.
fn within(sorted: &[NodeIndex], from: NodeIndex, end: usize) -> &[NodeIndex] {
    let first = sorted.partition_point(|index| *index <= from);
    let last = sorted.partition_point(|index| index.0 <= end);
    sorted.get(first..last).unwrap_or_default()
}
