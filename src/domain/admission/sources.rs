//! Compares the releases from which updates lead to each release, before and after a change. The work grows with the number of releases and
//! blocked updates, not with the number of updates, of which there may be millions.

use crate::domain::{
    graph::{
        Graph, Node, NodeIndex,
        ages::{AgeCounts, Ages},
    },
    ids::Version,
    stream::Stream,
};
use std::collections::BTreeSet;

/// Places for the releases of two states of a stream, in an order that is the order of ages of both.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// For each release of the states, by its index, its place.
    places: [Vec<usize>; 2],
    /// The number of places.
    length: usize,
}

impl Timeline {
    /// Returns the places of two states with the same releases in the same order.
    pub(super) fn of_one_order(stream: &Stream) -> Self {
        let length = stream.releases.len();
        let places: Vec<usize> = (0..length).collect();
        Self { places: [places.clone(), places], length }
    }

    /// Finds the places of the releases that are not drafts. Returns `None` if known releases changed their order.
    pub(super) fn new(before: &Stream, after: &Stream) -> Option<Self> {
        let aged = |stream: &Stream| stream.aged().map(|(age, _)| age).collect::<Vec<_>>();
        let (old_ages, new_ages) = (aged(before), aged(after));
        let (old, new): (Vec<_>, Vec<_>) = (before.aged_identities().collect(), after.aged_identities().collect());
        let known: BTreeSet<_> = old.iter().collect();
        let kept: BTreeSet<_> = new.iter().filter(|identity| known.contains(identity)).collect();
        let mut places = [vec![0; before.releases.len()], vec![0; after.releases.len()]];
        let [old_places, new_places] = &mut places;
        let (mut old, mut new) = (old.iter().zip(old_ages).peekable(), new.iter().zip(new_ages).peekable());
        for place in 0.. {
            if let Some((_, age)) = old.next_if(|(identity, _)| !kept.contains(identity)) {
                *old_places.get_mut(age)? = place;
            } else if let Some((_, age)) = new.next_if(|(identity, _)| !kept.contains(identity)) {
                *new_places.get_mut(age)? = place;
            } else {
                match (old.next(), new.next()) {
                    (Some((one, old_age)), Some((two, new_age))) if one == two => {
                        (*old_places.get_mut(old_age)?, *new_places.get_mut(new_age)?) = (place, place);
                    }
                    (None, None) => return Some(Self { places, length: place }),
                    _ => return None,
                }
            }
        }
        None
    }

    fn place(&self, side: usize, age: usize) -> usize {
        self.places.get(side).and_then(|places| places.get(age)).copied().unwrap_or_default()
    }
}

/// Two graphs of one scope, before and after a change.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    graphs: [&'a Graph; 2],
    timeline: &'a Timeline,
    /// For each place, the nodes of both graphs.
    nodes: Vec<[Option<NodeIndex>; 2]>,
    /// Which nodes of each graph updates may leave.
    alive: [AgeCounts; 2],
    /// Which places have such nodes in both graphs.
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
    /// The places of the releases from which updates may lead to it, in each graph.
    places: [Ages; 2],
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
                let place = nodes.get_mut(timeline.place(side, node.age)).and_then(|sides| sides.get_mut(side));
                if let Some(place) = place {
                    *place = Some(NodeIndex(index));
                }
            }
        }
        let is_alive = |place: &[Option<NodeIndex>; 2], side: usize| is_alive(&graphs, *place, side);
        let alive = [0, 1].map(|side| AgeCounts::new(nodes.iter().map(|place| is_alive(place, side))));
        let alive_in_both = AgeCounts::new(nodes.iter().map(|place| is_alive(place, 0) && is_alive(place, 1)));
        Self { graphs, timeline, nodes, alive, alive_in_both }
    }

    /// Returns the releases to which updates lead in one of the graphs, held back or not, oldest first.
    pub(super) fn targets(&self) -> impl Iterator<Item = ComparedTarget<'a>> {
        self.nodes.iter().map(|place| self.target(*place)).filter(|target| target.sources != [0, 0])
    }

    fn target(&self, place: [Option<NodeIndex>; 2]) -> ComparedTarget<'a> {
        let [before, after] = place;
        let places = [self.source_places(0, before), self.source_places(1, after)];
        let [old, new] = &places;
        let [old_alive, new_alive] = &self.alive;
        let [old_graph, new_graph] = self.graphs;
        ComparedTarget {
            nodes: [before.and_then(|index| old_graph.node(index)), after.and_then(|index| new_graph.node(index))],
            sources: [old_alive.in_set(old), new_alive.in_set(new)],
            kept: self.alive_in_both.in_set(&old.intersection(new)),
            places,
        }
    }

    fn source_places(&self, side: usize, to: Option<NodeIndex>) -> Ages {
        let ages = to.zip(self.graphs.get(side)).map(|(to, graph)| graph.source_ages(to)).unwrap_or_default();
        ages.map(|age| self.timeline.place(side, age))
    }

    /// Returns the releases from which only this graph has an update to a target, oldest first.
    pub(super) fn sources_only_in(
        &self,
        side: usize,
        target: &ComparedTarget<'a>,
    ) -> impl Iterator<Item = &'a Version> {
        let is_source = {
            let places = target.places.clone();
            move |place: usize, nodes: [Option<NodeIndex>; 2], side: usize| {
                places.get(side).is_some_and(|places| places.contains(place)) && is_alive(&self.graphs, nodes, side)
            }
        };
        let ranges = target.places.get(side).cloned().unwrap_or_default().into_ranges();
        let places = ranges.into_iter().flatten();
        places.filter_map(move |place| {
            let nodes = *self.nodes.get(place)?;
            let is_only_here = is_source(place, nodes, side) && !is_source(place, nodes, 1 - side);
            let graph: &'a Graph = self.graphs.get(side).copied()?;
            let node = graph.node((*nodes.get(side)?)?)?;
            is_only_here.then_some(&node.version)
        })
    }
}

/// Returns true if the graph has a node at this place that updates may leave.
fn is_alive(graphs: &[&Graph; 2], place: [Option<NodeIndex>; 2], side: usize) -> bool {
    let node = graphs.get(side).zip(place.get(side)).and_then(|(graph, index)| graph.node((*index)?));
    node.is_some_and(|node| node.dead_end.is_none())
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
