//! Trimming: which edges full graphs and node views show if not all.

use super::{Edge, Graph, NodeIndex};
use std::ops::Range;

impl Graph {
    /// Returns true if full graphs and node views show only the newest open targets of each node.
    #[must_use]
    pub fn is_trimmed(&self) -> bool {
        self.shown_targets.is_some()
    }

    /// Returns the edges to show to people, held back or not: if the graph is trimmed, from each release, those to the newest targets, and
    /// those to the newest targets for which `is_open` returns true; otherwise all edges.
    #[must_use]
    pub fn shown_edges(&self, is_open: impl Fn(NodeIndex) -> bool) -> Vec<Edge> {
        let Some(shown) = self.shown_targets else { return self.edges().collect() };
        let mut edges = self.newest_edges(shown, |_| true);
        edges.extend(self.newest_edges(shown, is_open));
        edges.sort_unstable_by_key(|edge| (self.order_key(edge.to), edge.from));
        edges.dedup();
        edges
    }

    /// Returns the key by which the targets of edges are ordered.
    fn order_key(&self, to: NodeIndex) -> (bool, usize) {
        let is_last = self.open_barriers().binary_search(&to).is_ok();
        (is_last, if is_last { to.0 } else { self.nodes.len().saturating_sub(to.0) })
    }

    /// Returns, from each release, the edges to the newest `count` of the targets for which `is_target` returns true, in the order of the
    /// edges. Takes time in proportion to the number of these edges and of blocked updates. The edge rule must not be `explicit`.
    pub(super) fn newest_edges(&self, count: usize, is_target: impl Fn(NodeIndex) -> bool) -> Vec<Edge> {
        let mut pending = Pending::new(self.nodes.len(), count);
        let mut take = |edges: &mut Vec<Edge>, to: NodeIndex| {
            let Some(node) = self.node(to).filter(|node| !node.withdrawn && is_target(to)) else { return };
            let reach = self.reach(to);
            let unblocked = match self.blocked.to(node.age) {
                None => vec![reach],
                Some(blocked) => self.without(reach, blocked),
            };
            for range in unblocked {
                pending.take(range, |from| {
                    if self.nodes.get(from).is_some_and(|node| node.dead_end.is_none()) {
                        edges.push(Edge { from: NodeIndex(from), to });
                    }
                });
            }
        };
        // A barrier is the newest target of every release that has an edge to it. It is therefore counted first, wherever its edges are.
        let (mut edges, mut last) = (Vec::new(), Vec::new());
        self.open_barriers().iter().for_each(|to| take(&mut last, *to));
        let (newest_first, all) = self.newest_first();
        newest_first.iter().rev().for_each(|to| take(&mut edges, *to));
        all.rev().for_each(|to| take(&mut edges, NodeIndex(to)));
        edges.append(&mut last);
        edges
    }

    /// Returns the nodes whose edges a trimmed graph of some visibility may not contain, newest first.
    #[must_use]
    pub fn trimmable(&self) -> Vec<NodeIndex> {
        let Some(shown) = self.shown_targets else { return Vec::new() };
        let (mut found, mut newer) = (Vec::new(), 0);
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if node.is_barrier() {
                newer = 0;
            }
            if self.is_candidate(node) && !node.withdrawn {
                if newer >= shown {
                    found.push(NodeIndex(index));
                }
                newer += 1;
            }
        }
        found
    }
}

/// A set of indices, each of which is taken a number of times. Taking all of them costs little more than passing over each so many times.
struct Pending {
    /// For each index, a later index at or after which the next pending one is; itself if it is pending.
    next: Vec<usize>,
    /// For each index, how many times it may be taken.
    room: Vec<usize>,
}

impl Pending {
    /// Builds the set of the indices below `indices`, each of which is taken `times` times.
    fn new(indices: usize, times: usize) -> Self {
        Self { next: (0..=indices).collect(), room: vec![times; indices] }
    }

    /// Takes every pending index of a range once, the smallest first.
    fn take(&mut self, range: Range<usize>, mut taken: impl FnMut(usize)) {
        let mut start = range.start;
        while let Some(found) = self.first_from(start).filter(|index| *index < range.end) {
            taken(found);
            start = found + 1;
            let Some(room) = self.room.get_mut(found) else { return };
            *room = room.saturating_sub(1);
            if *room == 0
                && let Some(next) = self.next.get_mut(found)
            {
                *next = start;
            }
        }
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
