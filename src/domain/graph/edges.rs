//! The edges of a graph: which updates the edge rule of the stream allows, without those that policies remove.
//!
//! Under the edge rule `open` there are as many edges as pairs of releases. Full graphs are therefore trimmed: of the updates from a
//! release, they contain the one that a node would choose. Nothing computes all pairs.

use super::{Edge, Graph, Node, NodeIndex, ages::Ages};
use crate::domain::{
    ids::{Arch, Version},
    policy::graph_rules::EdgeRule,
    stream::Stream,
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

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

/// The blocked updates of one arch: for the age of each target, the ages of the releases that must not update to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Blocked(HashMap<usize, Ages>);

impl Blocked {
    pub(super) fn new(stream: &Stream, arch: &Arch) -> Self {
        let mut ranges: BTreeMap<usize, Vec<Range<usize>>> = BTreeMap::new();
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
    fn to(&self, age: usize) -> Option<&Ages> {
        self.0.get(&age)
    }
}

impl Graph {
    pub(super) fn find_candidates(&self, stream: &Stream) -> Candidates {
        match stream.rules.edge_rule {
            EdgeRule::Derived => {
                let indexed = self.nodes.iter().enumerate();
                let open_barriers = indexed.filter(|(_, node)| node.barrier.is_some() && !node.is_rollout());
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
    fn reach(&self, to: NodeIndex) -> Range<usize> {
        self.starts.get(to.0).copied().unwrap_or(to.0)..to.0
    }

    /// Returns true if no policy removes an edge that the edge rule allows.
    fn is_allowed(&self, edge: Edge) -> bool {
        let (Some(from), Some(to)) = (self.node(edge.from), self.node(edge.to)) else { return false };
        from.dead_end.is_none()
            && !to.withdrawn
            && self.blocked.to(to.age).is_none_or(|blocked| !blocked.contains(from.age))
    }

    /// Returns true if full graphs and node views show only the newest open target of each node.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        matches!(self.candidates, Candidates::Open)
    }

    /// Returns every edge, held back or not. Under the edge rule `derived` the order is: first the edges to releases with rollouts, newest
    /// first, then those to barriers without rollouts, oldest first; otherwise the newest target comes first. Under the edge rule `open`
    /// there may be millions: use [`Graph::shown_edges`] or [`Graph::open_edges`].
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        let (newest_first, oldest_first, all): (&[NodeIndex], &[NodeIndex], _) = match &self.candidates {
            Candidates::None => (&[], &[], 0..0),
            Candidates::Derived { open_barriers } => (&self.rollout_nodes, open_barriers, 0..0),
            Candidates::Open | Candidates::Explicit(_) => (&[], &[], 0..self.nodes.len()),
        };
        let targets = newest_first.iter().rev().chain(oldest_first).copied().chain(all.rev().map(NodeIndex));
        targets.flat_map(move |to| self.sources(to).map(move |from| Edge { from, to }))
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

    /// Returns true if the edge rule lets nodes update to a release that lists no predecessors.
    fn is_candidate(&self, node: &Node) -> bool {
        match self.candidates {
            Candidates::None | Candidates::Explicit(_) => false,
            Candidates::Derived { .. } => node.is_rollout() || node.barrier.is_some(),
            Candidates::Open => true,
        }
    }

    /// Returns the releases to which a node on `from` may update directly, held back or not, in the order of the edges.
    #[must_use]
    pub fn targets(&self, from: NodeIndex) -> Targets<'_> {
        let end = self.node(from).map_or(from.0, |node| node.end);
        let mut targets = Targets { graph: self, from, newest_first: &[], oldest_first: &[], all: 0..0 };
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

    /// Returns the edges to show to people, held back or not. Under the edge rule `open` these are, from each release, the one to the newest
    /// target, and the one to the newest target for which `is_open` returns true; otherwise all edges.
    #[must_use]
    pub fn shown_edges(&self, is_open: impl Fn(NodeIndex) -> bool) -> Vec<Edge> {
        if !self.is_trimmed() {
            return self.edges().collect();
        }
        let mut edges = self.newest_edges(|_| true);
        edges.extend(self.newest_edges(is_open));
        edges.sort_unstable_by_key(|edge| (std::cmp::Reverse(edge.to), edge.from));
        edges.dedup();
        edges
    }

    /// Returns, from each release, the edge to the newest of the targets for which `is_target` returns true, newest target first. Applies
    /// to the edge rule `open`, and takes time in proportion to the numbers of nodes and of blocked updates.
    pub(super) fn newest_edges(&self, is_target: impl Fn(NodeIndex) -> bool) -> Vec<Edge> {
        let mut pending = Pending::new(self.nodes.len());
        let mut edges = Vec::new();
        for to in (0..self.nodes.len()).rev().map(NodeIndex) {
            let Some(node) = self.node(to).filter(|node| !node.withdrawn && is_target(to)) else { continue };
            let reach = self.reach(to);
            let unblocked = match self.blocked.to(node.age) {
                None => vec![reach],
                Some(blocked) => self.without(reach, blocked),
            };
            for range in unblocked {
                let sources = std::iter::from_fn(|| pending.take_first(&range)).map(NodeIndex);
                let alive = sources.filter(|from| self.node(*from).is_some_and(|node| node.dead_end.is_none()));
                edges.extend(alive.map(|from| Edge { from, to }));
            }
        }
        edges
    }

    /// Returns the parts of a range of nodes that do not have these ages.
    fn without(&self, nodes: Range<usize>, ages: &Ages) -> Vec<Range<usize>> {
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
}

impl Targets<'_> {
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

/// A set of indices from which the smallest one of a range is taken. Taking all of them costs little more than one pass.
struct Pending {
    /// For each index, a later index at or after which the next pending one is; itself if it is pending.
    next: Vec<usize>,
}

impl Pending {
    /// Builds the set of the indices below `count`.
    fn new(count: usize) -> Self {
        Self { next: (0..=count).collect() }
    }

    fn take_first(&mut self, range: &Range<usize>) -> Option<usize> {
        let found = self.first_from(range.start).filter(|index| range.contains(index))?;
        *self.next.get_mut(found)? = found + 1;
        Some(found)
    }

    /// Returns the first pending index at or after `index`, and shortens the way to it.
    fn first_from(&mut self, index: usize) -> Option<usize> {
        let mut found = index;
        while *self.next.get(found)? != found {
            found = *self.next.get(found)?;
        }
        let mut passed = index;
        while passed != found {
            passed = std::mem::replace(self.next.get_mut(passed)?, found);
        }
        Some(found)
    }
}

#[cfg(test)]
#[path = "edges_tests.rs"]
mod tests;
