//! One scope: its graph, and answers made ahead.

use super::rendered::{Piece, Render, Rendered};
use crate::{
    domain::{
        graph::{Graph, NodeIndex},
        standing::{Place, Standing},
    },
    telemetry::PollTally,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// One graph, its releases ready to be put into answers, and its answers by what they hold back.
#[derive(Debug)]
pub struct Scope {
    graph: Graph,
    pieces: Pieces,
    wholes: ArcSwap<HashMap<Standing, Arc<Rendered>>>,
    tally: OnceLock<Arc<PollTally>>,
}

/// All pieces in one text, so that few lines of memory are touched for one.
#[derive(Debug, Default)]
struct Pieces {
    text: Vec<u8>,
    releases: Vec<PiecesOfRelease>,
    /// Those of one release's rollouts stand together, in their order.
    of_rollouts: Vec<Ends>,
}

/// Where a piece begins, and its payload, and what stands after, and where that ends.
type Ends = [usize; 4];

#[derive(Debug)]
struct PiecesOfRelease {
    /// As those see it whom no rollout picks.
    plain: Ends,
    /// Where those of its rollouts begin.
    rollouts: usize,
}

impl Pieces {
    fn of(graph: &Graph, render: &dyn Render) -> Self {
        let mut pieces = Self::default();
        for node in graph.nodes() {
            let plain = pieces.write(&render.piece(graph, node, None));
            pieces.releases.push(PiecesOfRelease { plain, rollouts: pieces.of_rollouts.len() });
            for rollout in 0..node.rollouts.len() {
                let ends = pieces.write(&render.piece(graph, node, Some(rollout)));
                pieces.of_rollouts.push(ends);
            }
        }
        pieces.text.shrink_to_fit();
        pieces
    }

    fn write(&mut self, piece: &Piece<Vec<u8>>) -> Ends {
        let start = self.text.len();
        let mut put = |part: &[u8]| {
            self.text.extend_from_slice(part);
            self.text.len()
        };
        [start, put(&piece.before), put(&piece.payload), put(&piece.after)]
    }

    fn get(&self, index: NodeIndex, place: Place) -> Option<Piece<&[u8]>> {
        let release = self.releases.get(index.0)?;
        let [start, before, payload, after] = match place.rollout {
            None => release.plain,
            Some(rollout) => *self.of_rollouts.get(release.rollouts + rollout)?,
        };
        Some(Piece {
            before: self.text.get(start..before)?,
            payload: self.text.get(before..payload)?,
            after: self.text.get(payload..after)?,
        })
    }
}

/// Standings nest along a rollout, so that few are in use at a time; those of the past go when it gets crowded.
const MOST_STANDINGS: usize = 64;
/// A large stream's answers are large, each in up to three encodings: fewer of them are kept.
const MOST_BYTES: usize = 16 << 20;

impl Scope {
    pub(super) fn of(graph: Graph, render: &dyn Render) -> Self {
        Self { pieces: Pieces::of(&graph, render), graph, wholes: ArcSwap::default(), tally: OnceLock::new() }
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where the polls of this scope are counted, looked up when the first one comes.
    pub fn tally(&self, find: impl FnOnce() -> Arc<PollTally>) -> &PollTally {
        self.tally.get_or_init(find)
    }

    /// A release as somebody in this place sees it.
    #[must_use]
    pub fn piece(&self, index: NodeIndex, place: Place) -> Option<Piece<&[u8]>> {
        self.pieces.get(index, place)
    }

    /// The whole graph as this standing sees it, rendered when it is first needed.
    #[must_use]
    pub fn whole(&self, standing: &Standing, render: &dyn Render) -> Arc<Rendered> {
        if let Some(rendered) = self.wholes.load().get(standing) {
            return rendered.clone();
        }
        let rendered = Arc::new(Rendered::new(render.whole(&self.graph, standing)));
        self.wholes.rcu(|wholes| {
            let is_crowded = wholes.len() >= MOST_STANDINGS || wholes.len() * rendered.body.len() > MOST_BYTES;
            let mut next = if is_crowded { HashMap::new() } else { HashMap::clone(wholes) };
            next.insert(standing.clone(), rendered.clone());
            next
        });
        rendered
    }
}
