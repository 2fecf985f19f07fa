//! The edges of a graph: which updates the edge rule of the stream allows, without those that policies remove.
//!
//! Under the edge rule `open`, and with a rollout on every release, there are as many edges as pairs of releases. Full graphs and node views
//! may therefore be trimmed: of the updates from a release that are open to a node, they contain those to the newest targets. Under the edge
//! rule `open` that is the one that a node would choose. Nothing computes all pairs of a trimmed graph.

use super::{Edge, Graph, Node, NodeIndex, ages::Ages, base_order::BaseOrder};
use crate::domain::{
    ids::{Arch, Version},
    policy::graph_rules::EdgeRule,
    stream::Stream,
};
use std::{collections::HashMap, ops::Range};

/// The edges of a graph before dead ends, withdrawals and blocked updates remove any. None of them skips a barrier.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Candidates {
    /// There are none, as during an emergency stop.
    #[default]
    None,
    /// Edges lead to releases with rollouts and to barriers.
    Derived {
        /// The barriers without rollouts, oldest first.
        open_barriers: Vec<NodeIndex>,
    },
    /// Edges lead from every release to every newer one.
    Open,
    /// Edges lead from the predecessors that each release lists.
    Explicit(Vec<Neighbours>),
}

/// The edges of a node under the edge rule `explicit`, both lists oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Neighbours {
    sources: Vec<NodeIndex>,
    targets: Vec<NodeIndex>,
}

/// The updates on one arch that are blocked, or that the base of the stream forbids: for the age of each target, the ages of the releases that must
/// not update to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Blocked(HashMap<usize, Ages>);

impl Blocked {
    pub(super) fn new(stream: &Stream, arch: &Arch) -> Self {
        let mut ranges = BaseOrder::new(stream, arch).map(|order| order.forbidden()).unwrap_or_default();
        let positions = if stream.blocked_updates.is_empty() { HashMap::new() } else { stream.positions() };
        for blocked in stream.blocked_updates.iter().filter(|blocked| blocked.applies_to(arch)) {
            let ages = [&blocked.first, &blocked.last, &blocked.target].map(|version| positions.get(version).copied());
            if let [Some(first), Some(last), Some(to)] = ages {
                ranges.entry(to).or_default().push(first..last + 1);
            }
        }
        Self(ranges.into_iter().map(|(to, ranges)| (to, Ages::from_ranges(ranges))).collect())
    }

    /// Returns the ages of the releases that must not update to the release of this age.
    pub(super) fn to(&self, age: usize) -> Option<&Ages> {
        self.0.get(&age)
    }
}

impl Graph {
    pub(super) fn find_candidates(&self, stream: &Stream) -> Candidates {
        match stream.rules.edge_rule {
            EdgeRule::Derived => {
                let indexed = self.nodes.iter().enumerate();
                let open_barriers = indexed.filter(|(_, node)| node.is_barrier() && !node.is_rollout());
                Candidates::Derived { open_barriers: open_barriers.map(|(index, _)| NodeIndex(index)).collect() }
            }
            EdgeRule::Open => Candidates::Open,
            EdgeRule::Explicit => Candidates::Explicit(self.listed_neighbours(stream)),
        }
    }

    fn listed_neighbours(&self, stream: &Stream) -> Vec<Neighbours> {
        let mut named: HashMap<&Version, Vec<NodeIndex>> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            named.entry(&node.version).or_default().push(NodeIndex(index));
        }
        let mut neighbours = vec![Neighbours::default(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            let to = NodeIndex(index);
            let predecessors = stream.releases.get(node.age).and_then(|release| release.predecessors.as_ref());
            let versions = predecessors.into_iter().flat_map(|predecessors| &predecessors.versions);
            let nodes = versions.filter_map(|version| named.get(version)).flatten().copied();
            let mut sources: Vec<NodeIndex> = nodes.filter(|from| self.reach(to).contains(&from.0)).collect();
            sources.sort_unstable();
            for from in &sources {
                if let Some(source) = neighbours.get_mut(from.0) {
                    source.targets.push(to);
                }
            }
            if let Some(target) = neighbours.get_mut(index) {
                target.sources = sources;
            }
        }
        neighbours
    }

    /// Returns the older nodes from which no barrier separates a node: the last barrier strictly before it, and everything after that.
    pub(super) fn reach(&self, to: NodeIndex) -> Range<usize> {
        self.starts.get(to.0).copied().unwrap_or(to.0)..to.0
    }

    /// Returns true if no policy removes an edge that the edge rule allows.
    fn is_allowed(&self, edge: Edge) -> bool {
        let (Some(from), Some(to)) = (self.node(edge.from), self.node(edge.to)) else { return false };
        from.dead_end.is_none()
            && !to.withdrawn
            && self.blocked.to(to.age).is_none_or(|blocked| !blocked.contains(from.age))
    }

    /// Returns every edge, held back or not. Under the edge rule `derived` the order is: first the edges to releases with rollouts, newest
    /// first, then those to barriers without rollouts, oldest first; otherwise the newest target comes first. If the graph is trimmed
    /// there may be millions: use [`Graph::shown_edges`] or [`Graph::open_edges`].
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        let (newest_first, all) = self.newest_first();
        let targets = newest_first.iter().rev().chain(self.open_barriers()).copied().chain(all.rev().map(NodeIndex));
        targets.flat_map(move |to| self.sources(to).map(move |from| Edge { from, to }))
    }

    /// Returns the targets of edges whose order is newest first, listed oldest first, or else as a range.
    pub(super) fn newest_first(&self) -> (&[NodeIndex], Range<usize>) {
        match &self.candidates {
            Candidates::None => (&[], 0..0),
            Candidates::Derived { .. } => (&self.rollout_nodes, 0..0),
            Candidates::Open | Candidates::Explicit(_) => (&[], 0..self.nodes.len()),
        }
    }

    /// Returns the targets of the last edges, oldest first.
    pub(super) fn open_barriers(&self) -> &[NodeIndex] {
        match &self.candidates {
            Candidates::Derived { open_barriers } => open_barriers,
            Candidates::None | Candidates::Open | Candidates::Explicit(_) => &[],
        }
    }

    /// Returns the releases that may update directly to `to`, held back or not, oldest first.
    pub fn sources(&self, to: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let (listed, all): (&[NodeIndex], _) = match &self.candidates {
            Candidates::Explicit(neighbours) => (neighbours.get(to.0).map_or(&[], |node| &node.sources), 0..0),
            _ if self.node(to).is_some_and(|node| self.is_candidate(node)) => (&[], self.reach(to)),
            _ => (&[], 0..0),
        };
        let sources = listed.iter().copied().chain(all.map(NodeIndex));
        sources.filter(move |from| self.is_allowed(Edge { from: *from, to }))
    }

    /// Returns at least the number of edges to `to`: without regard to dead ends and blocked updates.
    pub(super) fn count_sources(&self, to: NodeIndex) -> usize {
        match &self.candidates {
            Candidates::Explicit(neighbours) => neighbours.get(to.0).map_or(0, |node| node.sources.len()),
            _ if self.node(to).is_some_and(|node| self.is_candidate(node)) => self.reach(to).len(),
            _ => 0,
        }
    }

    /// Returns true if the edge rule lets nodes update to a release that lists no predecessors.
    pub(super) fn is_candidate(&self, node: &Node) -> bool {
        match self.candidates {
            Candidates::None | Candidates::Explicit(_) => false,
            Candidates::Derived { .. } => node.is_rollout() || node.is_barrier(),
            Candidates::Open => true,
        }
    }

    /// Returns the releases to which a node on `from` may update directly, held back or not, in the order of the edges.
    #[must_use]
    pub fn targets(&self, from: NodeIndex) -> Targets<'_> {
        let end = self.node(from).map_or(from.0, |node| node.end);
        let mut targets =
            Targets { graph: self, from, newest_first: &[], oldest_first: &[], all: 0..0, room: usize::MAX };
        match &self.candidates {
            Candidates::None => {}
            Candidates::Derived { open_barriers } => {
                targets.newest_first = within(&self.rollout_nodes, from, end);
                targets.oldest_first = within(open_barriers, from, end);
            }
            Candidates::Open => targets.all = from.0 + 1..end + 1,
            Candidates::Explicit(neighbours) => {
                targets.newest_first = neighbours.get(from.0).map_or(&[], |node| &node.targets);
            }
        }
        targets
    }

    /// Returns the parts of a range of nodes that do not have these ages.
    pub(super) fn without(&self, nodes: Range<usize>, ages: &Ages) -> Vec<Range<usize>> {
        let index_of = |age: usize| self.nodes.partition_point(|node| node.age < age);
        let removed = ages.ranges().iter().map(|ages| index_of(ages.start)..index_of(ages.end));
        Ages::from_range(nodes).minus(&Ages::from_ranges(removed.collect())).into_ranges()
    }

    /// Returns the ages of the releases from which the edge rule and blocked updates allow an update to `to`; none if it is withdrawn. Dead
    /// ends and ages without a node in this scope may be among them.
    pub(in crate::domain) fn source_ages(&self, to: NodeIndex) -> Ages {
        let Some(node) = self.node(to).filter(|node| !node.withdrawn) else { return Ages::default() };
        let age = |index: usize| self.nodes.get(index).map_or(node.age, |node| node.age);
        let ages = match &self.candidates {
            Candidates::Explicit(neighbours) => {
                let sources = neighbours.get(to.0).into_iter().flat_map(|node| &node.sources);
                Ages::from_ranges(sources.map(|from| age(from.0)..age(from.0) + 1).collect())
            }
            _ if self.is_candidate(node) => Ages::from_range(age(self.reach(to).start)..node.age),
            _ => Ages::default(),
        };
        self.blocked.to(node.age).map_or_else(|| ages.clone(), |blocked| ages.minus(blocked))
    }
}

/// The targets of a node. Every poll walks through them, so this is a plain loop.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    graph: &'a Graph,
    from: NodeIndex,
    /// The first targets, taken from the end.
    newest_first: &'a [NodeIndex],
    /// The next targets.
    oldest_first: &'a [NodeIndex],
    /// The indices of the last targets, taken from the end.
    all: Range<usize>,
    /// How many targets have yet to be counted before the rest is left out.
    room: usize,
}

impl Targets<'_> {
    /// Leaves out what follows the newest `count` targets that are counted. A barrier without rollouts is the newest target of a node: it
    /// comes last, and is counted from the beginning.
    pub(super) fn keep_newest(&mut self, count: usize) {
        self.room = count;
        if self.oldest_first.iter().any(|to| self.graph.is_allowed(Edge { from: self.from, to: *to })) {
            self.count_one();
        }
    }

    /// Counts a target.
    pub(super) fn count_one(&mut self) {
        self.room = self.room.saturating_sub(1);
        if self.room == 0 {
            self.newest_first = &[];
            self.all = 0..0;
        }
    }

    fn next_candidate(&mut self) -> Option<NodeIndex> {
        if let Some((newest, rest)) = self.newest_first.split_last() {
            self.newest_first = rest;
            return Some(*newest);
        }
        if let Some((oldest, rest)) = self.oldest_first.split_first() {
            self.oldest_first = rest;
            return Some(*oldest);
        }
        self.all.next_back().map(NodeIndex)
    }
}

impl Iterator for Targets<'_> {
    type Item = NodeIndex;

    fn next(&mut self) -> Option<NodeIndex> {
        loop {
            let to = self.next_candidate()?;
            if self.graph.is_allowed(Edge { from: self.from, to }) {
                return Some(to);
            }
        }
    }
}

/// Returns the indices after `from`, up to and including `end`.
fn within(sorted: &[NodeIndex], from: NodeIndex, end: usize) -> &[NodeIndex] {
    let first = sorted.partition_point(|index| *index <= from);
    let last = sorted.partition_point(|index| index.0 <= end);
    sorted.get(first..last).unwrap_or_default()
}

#[cfg(test)]
#[path = "edges_tests.rs"]
mod tests;
