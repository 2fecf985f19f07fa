//! One scope: its graph, and answers made ahead.

use super::rendered::{Piece, Render, Rendered};
use crate::domain::{
    graph::{Graph, NodeIndex},
    standing::{Place, Standing},
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};

/// One graph, its releases ready to be put into answers, and its answers by what they hold back.
#[derive(Debug)]
pub struct Scope {
    graph: Graph,
    pieces: Pieces,
    wholes: ArcSwap<HashMap<Standing, Arc<Rendered>>>,
}

/// All pieces in one text, so that few lines of memory are touched for one: for each release first as those see it whom no rollout
/// picks, then one a rollout.
#[derive(Debug, Default)]
struct Pieces {
    text: Vec<u8>,
    /// Where a piece begins, and its payload, and what stands after, and where that ends.
    ends: Vec<[usize; 4]>,
    /// For each release, the number of its first piece.
    first: Vec<usize>,
}

impl Pieces {
    fn add(&mut self, piece: &Piece<Vec<u8>>) {
        let start = self.text.len();
        let mut put = |part: &[u8]| {
            self.text.extend_from_slice(part);
            self.text.len()
        };
        let ends = [start, put(&piece.before), put(&piece.payload), put(&piece.after)];
        self.ends.push(ends);
    }

    fn get(&self, number: usize) -> Option<Piece<&[u8]>> {
        let [start, before, payload, after] = *self.ends.get(number)?;
        Some(Piece {
            before: self.text.get(start..before)?,
            payload: self.text.get(before..payload)?,
            after: self.text.get(payload..after)?,
        })
    }
}

/// Standings nest along a rollout, so that few are in use at a time; those of the past go when it gets crowded.
const MOST_STANDINGS: usize = 64;

impl Scope {
    pub(super) fn of(graph: Graph, render: &dyn Render) -> Self {
        let mut pieces = Pieces::default();
        for node in graph.nodes() {
            pieces.first.push(pieces.ends.len());
            for rollout in std::iter::once(None).chain((0..node.rollouts.len()).map(Some)) {
                pieces.add(&render.piece(&graph, node, rollout));
            }
        }
        pieces.text.shrink_to_fit();
        Self { pieces, graph, wholes: ArcSwap::default() }
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// A release as somebody in this place sees it.
    #[must_use]
    pub fn piece(&self, index: NodeIndex, place: Place) -> Option<Piece<&[u8]>> {
        let first = self.pieces.first.get(index.0)?;
        self.pieces.get(first + place.rollout.map_or(0, |rollout| rollout + 1))
    }

    /// The whole graph as this standing sees it, rendered when it is first needed.
    #[must_use]
    pub fn whole(&self, standing: &Standing, render: &dyn Render) -> Arc<Rendered> {
        if let Some(rendered) = self.wholes.load().get(standing) {
            return rendered.clone();
        }
        let rendered = Arc::new(Rendered::new(render.whole(&self.graph, standing)));
        self.wholes.rcu(|wholes| {
            let mut next = if wholes.len() < MOST_STANDINGS { HashMap::clone(wholes) } else { HashMap::new() };
            next.insert(standing.clone(), rendered.clone());
            next
        });
        rendered
    }
}
