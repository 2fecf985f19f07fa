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
    /// For each release: as those see it whom no rollout picks, then one a rollout.
    pieces: Vec<Box<[Piece]>>,
    wholes: ArcSwap<HashMap<Standing, Arc<Rendered>>>,
}

/// Standings nest along a rollout, so that few are in use at a time; those of the past go when it gets crowded.
const MOST_STANDINGS: usize = 64;

impl Scope {
    pub(super) fn of(graph: Graph, render: &dyn Render) -> Self {
        let pieces = graph.nodes().iter().map(|node| {
            let rollouts = std::iter::once(None).chain((0..node.rollouts.len()).map(Some));
            rollouts.map(|rollout| render.piece(&graph, node, rollout)).collect()
        });
        Self { pieces: pieces.collect(), graph, wholes: ArcSwap::default() }
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// A release as somebody in this place sees it.
    #[must_use]
    pub fn piece(&self, index: NodeIndex, place: Place) -> Option<&Piece> {
        self.pieces.get(index.0)?.get(place.rollout.map_or(0, |rollout| rollout + 1))
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
