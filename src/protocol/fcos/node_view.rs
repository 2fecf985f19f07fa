//! The view of one node, assembled from fragments that were rendered in advance. Pure.

use super::render::json;
use crate::{
    catalog::{NodeFragment, Scope},
    domain::{
        epoch::Epoch,
        graph::{
            Node, NodeIndex, Recognised,
            visibility::{NodeContext, TargetVisibility},
        },
        payload::{PayloadId, Repository},
    },
};
use bytes::Bytes;
use smallvec::SmallVec;

/// Builds the view of one node: its own release with the payload that it sent, and the releases that it may update to now, with
/// pull specs of the mirror that it uses. An agent decides the same with it as with the full graph.
///
/// The returned boolean is true if a live rollout holds the node back from a release.
#[must_use]
pub fn node_view(
    scope: &Scope,
    recognised: &Recognised<'_>,
    sent: &str,
    node_context: &NodeContext<'_>,
    now: Epoch,
) -> (Bytes, bool) {
    let graph = scope.graph();
    let own = recognised.node;
    let (mut targets, mut held_back) = (SmallVec::<[(NodeIndex, TargetVisibility); 16]>::new(), false);
    for (target, visibility) in graph.targets_with_visibility(own, node_context, now) {
        if visibility.held_back {
            held_back |= graph.node(target).is_some_and(|node| graph.is_held_back(node, visibility));
        } else {
            targets.push((target, visibility));
        }
    }
    // Releases are sorted by age, and the node's own release is older than its targets. Edges keep the order of the graph.
    let mut shown = targets.clone();
    shown.sort_unstable_by_key(|(index, _)| *index);
    let mut answer = Answer(Vec::with_capacity(256 + 512 * (1 + shown.len())));
    answer.push(b"{\"edges\":[");
    for (nth, (target, _)) in targets.iter().enumerate() {
        let position = shown.partition_point(|(index, _)| index < target) + 1;
        answer.push(if nth == 0 { b"[0," } else { b",[0," });
        answer.push(itoa::Buffer::new().format(position).as_bytes());
        answer.push(b"]");
    }
    answer.push(b"],\"nodes\":[");
    if let Some(node) = graph.node(own)
        && let Some(fragment) = scope.fragment(own, graph.target_visibility(node, node_context, now))
    {
        let is_alias = node.payload.as_str() != sent;
        answer.push_node(node, fragment, is_alias.then(|| json(sent)).as_deref());
    }
    for (index, visibility) in &shown {
        if let (Some(node), Some(fragment)) = (graph.node(*index), scope.fragment(*index, *visibility)) {
            let mirrored = recognised.mirror.and_then(|mirror| mirrored_payload(mirror, &node.payload));
            answer.push(b",");
            answer.push_node(node, fragment, mirrored.as_deref());
        }
    }
    answer.push(b"]}");
    (answer.0.into(), held_back)
}

/// Returns a pull spec by digest with its repository replaced by a mirror, as JSON.
fn mirrored_payload(mirror: &Repository, payload: &PayloadId) -> Option<Vec<u8>> {
    let (_, digest) = payload.pull_spec()?;
    Some(json(&format!("{mirror}@{digest}")))
}

struct Answer(Vec<u8>);

impl Answer {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Writes one release, with another payload if the node knows it by that.
    fn push_node(&mut self, node: &Node, fragment: NodeFragment<&[u8]>, payload: Option<&[u8]>) {
        self.push(fragment.before);
        match (payload, fragment.names) {
            (Some(payload), _) | (None, Some((payload, _))) => self.push(payload),
            (None, None) => {
                self.push(b"\"");
                self.push(node.payload.as_str().as_bytes());
                self.push(b"\"");
            }
        }
        if let Some((_, after)) = fragment.names {
            self.push(after);
        } else {
            self.push(b",\"version\":\"");
            self.push(node.version.as_str().as_bytes());
            self.push(b"\"}");
        }
    }
}
