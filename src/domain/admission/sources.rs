//! Compares the releases from which updates lead to each release, before and after a change. The work grows with the number of releases and
//! blocked updates, not with the number of updates, of which there may be millions.

use crate::domain::{
    changes::Changes,
    graph::{
        Graph, Node, NodeIndex,
        ages::{AgeCounts, Ages},
    },
    ids::Version,
    stream::Stream,
};
use std::collections::BTreeSet;

/// Positions for the releases of two states of a stream, in an order that is the order of ages of both.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// For each release of the states, by its index, its position.
    positions: [Vec<usize>; 2],
    /// The number of positions.
    length: usize,
}

impl Timeline {
    /// Returns the positions of two states with the same releases in the same order.
    pub(super) fn of_one_order(stream: &Stream) -> Self {
        let length = stream.releases.len();
        let positions: Vec<usize> = (0..length).collect();
        Self { positions: [positions.clone(), positions], length }
    }

    /// Finds the positions of the releases that are not drafts. Returns `None` if known releases changed their order.
    pub(super) fn new(before: &Stream, after: &Stream) -> Option<Self> {
        if Changes::between(before, after).keep_indices() {
            let [old, new] = [before, after].map(|stream| stream.releases.len());
            let positions = [old, new].map(|length| (0..length).collect());
            return Some(Self { positions, length: old.max(new) });
        }
        let aged = |stream: &Stream| stream.aged().map(|(age, _)| age).collect::<Vec<_>>();
        let (old_ages, new_ages) = (aged(before), aged(after));
        let (old, new): (Vec<_>, Vec<_>) = (before.aged_identities().collect(), after.aged_identities().collect());
        let known: BTreeSet<_> = old.iter().collect();
        let kept: BTreeSet<_> = new.iter().filter(|identity| known.contains(identity)).collect();
        let mut positions = [vec![0; before.releases.len()], vec![0; after.releases.len()]];
        let [old_positions, new_positions] = &mut positions;
        let (mut old, mut new) = (old.iter().zip(old_ages).peekable(), new.iter().zip(new_ages).peekable());
        for position in 0.. {
            if let Some((_, age)) = old.next_if(|(identity, _)| !kept.contains(identity)) {
                *old_positions.get_mut(age)? = position;
            } else if let Some((_, age)) = new.next_if(|(identity, _)| !kept.contains(identity)) {
                *new_positions.get_mut(age)? = position;
            } else {
                match (old.next(), new.next()) {
                    (Some((one, old_age)), Some((two, new_age))) if one == two => {
                        (*old_positions.get_mut(old_age)?, *new_positions.get_mut(new_age)?) = (position, position);
                    }
                    (None, None) => return Some(Self { positions, length: position }),
                    _ => return None,
                }
            }
        }
        None
    }

    fn position(&self, side: usize, age: usize) -> usize {
        self.positions.get(side).and_then(|positions| positions.get(age)).copied().unwrap_or_default()
    }
}

/// Two graphs of one scope, before and after a change.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    graphs: [&'a Graph; 2],
    timeline: &'a Timeline,
    /// For each position, the nodes of both graphs.
    nodes: Vec<[Option<NodeIndex>; 2]>,
    /// Which nodes of each graph updates may leave.
    alive: [AgeCounts; 2],
    /// Which positions have such nodes in both graphs.
    alive_in_both: AgeCounts,
}

/// A release to which updates lead in one of the graphs.
#[derive(Debug)]
pub(super) struct ComparedTarget<'a> {
    /// Its nodes in both graphs.
    pub(super) nodes: [Option<&'a Node>; 2],
    /// The number of releases from which updates lead to it, in each graph.
    sources: [usize; 2],
    /// The number of updates to it that are in both graphs.
    kept: usize,
    /// The positions of the releases from which updates may lead to it, in each graph.
    positions: [Ages; 2],
}

impl ComparedTarget<'_> {
    /// Returns the number of releases from which updates lead to it in this graph.
    pub(super) fn sources_in(&self, side: usize) -> usize {
        self.sources.get(side).copied().unwrap_or_default()
    }

    /// Returns the number of updates that only this graph has.
    pub(super) fn only_in(&self, side: usize) -> usize {
        self.sources_in(side) - self.kept
    }

    /// Returns its version.
    pub(super) fn version(&self) -> Option<&Version> {
        self.nodes.iter().flatten().next().map(|node| &node.version)
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(graphs: [&'a Graph; 2], timeline: &'a Timeline) -> Self {
        let mut nodes = vec![[None; 2]; timeline.length];
        for (side, graph) in graphs.iter().enumerate() {
            for (index, node) in graph.nodes().iter().enumerate() {
                let position = nodes.get_mut(timeline.position(side, node.age)).and_then(|sides| sides.get_mut(side));
                if let Some(position) = position {
                    *position = Some(NodeIndex(index));
                }
            }
        }
        let is_alive = |position: &[Option<NodeIndex>; 2], side: usize| is_alive(&graphs, *position, side);
        let alive = [0, 1].map(|side| AgeCounts::new(nodes.iter().map(|position| is_alive(position, side))));
        let alive_in_both = AgeCounts::new(nodes.iter().map(|position| is_alive(position, 0) && is_alive(position, 1)));
        Self { graphs, timeline, nodes, alive, alive_in_both }
    }

    /// Returns the releases to which updates lead in one of the graphs, held back or not, oldest first.
    pub(super) fn targets(&self) -> impl Iterator<Item = ComparedTarget<'a>> {
        self.nodes.iter().map(|position| self.target(*position)).filter(|target| target.sources != [0, 0])
    }

    fn target(&self, position: [Option<NodeIndex>; 2]) -> ComparedTarget<'a> {
        let [before, after] = position;
        let positions = [self.source_positions(0, before), self.source_positions(1, after)];
        let [old, new] = &positions;
        let [old_alive, new_alive] = &self.alive;
        let [old_graph, new_graph] = self.graphs;
        ComparedTarget {
            nodes: [before.and_then(|index| old_graph.node(index)), after.and_then(|index| new_graph.node(index))],
            sources: [old_alive.in_set(old), new_alive.in_set(new)],
            kept: self.alive_in_both.in_set(&old.intersection(new)),
            positions,
        }
    }

    fn source_positions(&self, side: usize, to: Option<NodeIndex>) -> Ages {
        let ages = to.zip(self.graphs.get(side)).map(|(to, graph)| graph.source_ages(to)).unwrap_or_default();
        ages.map(|age| self.timeline.position(side, age))
    }

    /// Returns the releases from which only this graph has an update to a target, oldest first.
    pub(super) fn sources_only_in(
        &self,
        side: usize,
        target: &ComparedTarget<'a>,
    ) -> impl Iterator<Item = &'a Version> {
        let is_source = {
            let positions = target.positions.clone();
            move |position: usize, nodes: [Option<NodeIndex>; 2], side: usize| {
                positions.get(side).is_some_and(|positions| positions.contains(position))
                    && is_alive(&self.graphs, nodes, side)
            }
        };
        let ranges = target.positions.get(side).cloned().unwrap_or_default().into_ranges();
        let positions = ranges.into_iter().flatten();
        positions.filter_map(move |position| {
            let nodes = *self.nodes.get(position)?;
            let is_only_here = is_source(position, nodes, side) && !is_source(position, nodes, 1 - side);
            let graph: &'a Graph = self.graphs.get(side).copied()?;
            let node = graph.node((*nodes.get(side)?)?)?;
            is_only_here.then_some(&node.version)
        })
    }
}

/// Returns true if the graph has a node at this position that updates may leave.
fn is_alive(graphs: &[&Graph; 2], position: [Option<NodeIndex>; 2], side: usize) -> bool {
    let node = graphs.get(side).zip(position.get(side)).and_then(|(graph, index)| graph.node((*index)?));
    node.is_some_and(|node| node.dead_end.is_none())
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
