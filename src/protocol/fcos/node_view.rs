//! The view of one node, put together of pieces made ahead. Pure.

use super::render::json;
use crate::{
    catalog::Scope,
    domain::{
        epoch::Epoch,
        graph::{NodeIndex, Recognised},
        payload::{PayloadId, Repository},
        standing::{Asker, Place},
    },
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::borrow::Cow;

/// The view of one node: itself, bearing the payload that it sent, and the releases to which it may go now, named in the mirror
/// that it runs out of. It decides as the whole graph does, for the agent reads nothing else of that. And was any held back by a rollout that goes on?
#[must_use]
pub fn node_view(
    scope: &Scope,
    recognised: &Recognised<'_>,
    sent: &str,
    asker: &Asker<'_>,
    now: Epoch,
) -> (Bytes, bool) {
    let graph = scope.graph();
    let own = recognised.node;
    let (mut targets, mut held_back) = (SmallVec::<[(NodeIndex, Place); 16]>::new(), false);
    for (target, place) in graph.placed_targets(own, asker, now) {
        if place.held_back {
            held_back |= graph.node(target).is_some_and(|node| graph.keeps_waiting(node, place));
        } else {
            targets.push((target, place));
        }
    }
    // Nodes stand in the order of their age, and a node is older than its targets; edges have an order of their own.
    let mut shown = targets.clone();
    shown.sort_unstable_by_key(|(index, _)| *index);
    let mut answer = Answer(Vec::with_capacity(256 + 512 * (1 + shown.len())));
    answer.put(b"{\"edges\":[");
    for (nth, (target, _)) in targets.iter().enumerate() {
        let place = shown.partition_point(|(index, _)| index < target) + 1;
        answer.put(if nth == 0 { b"[0," } else { b",[0," });
        answer.put(itoa::Buffer::new().format(place).as_bytes());
        answer.put(b"]");
    }
    answer.put(b"],\"nodes\":[");
    if let Some(node) = graph.node(own)
        && let Some(piece) = scope.piece(own, graph.place(node, asker, now))
    {
        answer.put(piece.before);
        answer.put(&if node.payload.as_str() == sent { Cow::Borrowed(piece.payload) } else { json(sent).into() });
        answer.put(piece.after);
    }
    for (index, place) in &shown {
        if let (Some(node), Some(piece)) = (graph.node(*index), scope.piece(*index, *place)) {
            let named = recognised.mirror.and_then(|mirror| named_in(mirror, &node.payload));
            answer.put(b",");
            answer.put(piece.before);
            answer.put(named.as_deref().unwrap_or(piece.payload));
            answer.put(piece.after);
        }
    }
    answer.put(b"]}");
    (answer.0.into(), held_back)
}

/// A pull spec by digest with a mirror for its repository, as JSON.
fn named_in(mirror: &Repository, payload: &PayloadId) -> Option<Vec<u8>> {
    let (_, digest) = payload.pull_spec()?;
    Some(json(&format!("{mirror}@{digest}")))
}

struct Answer(Vec<u8>);

impl Answer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
