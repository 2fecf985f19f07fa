//! The limit on the size of full graphs. With a rollout on every release, the edges of a full graph grow with the square of the number of
//! releases, unless the stream limits the targets that nodes are shown.

use super::{
    command::{Command, Provenance},
    refusal::Refusal,
};
use crate::domain::{
    changes::{Changes, Pair},
    dialect::Dialect,
    document::Problem,
    finding::{Code, Finding},
    graph::Graph,
    policy::graph_rules::EdgeRule,
    release::Release,
    stream::Stream,
};

/// What a refused change must not exceed.
const SETTING: &str = "limits.graph_bytes";

/// The limit on full graphs, and the protocol that renders them.
#[derive(Clone, Copy)]
pub(super) struct GraphLimit<'a> {
    /// `None` if this service does not speak the protocol: it renders no graph.
    pub(super) dialect: Option<&'a dyn Dialect>,
    /// The largest number of bytes.
    pub(super) max_bytes: usize,
}

/// Checks the largest full graph that a change leads to. It may exceed the limit only if it does not grow. A local change is refused,
/// unless it is restrictive; an import is accepted, and a finding returned.
pub(super) fn check_graph_size(
    command: &dyn Command,
    limit: GraphLimit<'_>,
    before: &Stream,
    after: &Stream,
) -> Result<Option<Finding>, Refusal> {
    let is_import = match command.provenance() {
        Provenance::Local if command.action().is_restrictive => return Ok(None),
        Provenance::Local => false,
        Provenance::Upstream(_) => true,
        Provenance::Recorded => return Ok(None),
    };
    let Some(dialect) = limit.dialect else { return Ok(None) };
    let Some(message) = growth(dialect, before, after, limit.max_bytes) else { return Ok(None) };
    if is_import {
        return Ok(Some(Finding::warning(Code::GraphTooLarge, format!("stream {}", after.id.stream), message)));
    }
    Err(Refusal::Invalid(vec![Problem { path: "targets".into(), message }]))
}

/// Returns what is wrong with the largest full graph after a change: that it is larger than `max` bytes, and larger than before.
fn growth(dialect: &dyn Dialect, before: &Stream, after: &Stream, max: usize) -> Option<String> {
    if is_of_the_same_size(before, after) {
        return None;
    }
    let size = largest_graph(dialect, after);
    if size <= max {
        return None;
    }
    let known = largest_graph(dialect, before);
    let remedy = match after.rules.edge_rule {
        EdgeRule::Derived => "show nodes their newest targets only (`targets = { newest = 2 }`), or raise the limit",
        EdgeRule::Open | EdgeRule::Explicit => "raise the limit",
    };
    (size > known).then(|| {
        format!(
            "the largest full graph would have up to {size} bytes, {known} before; `{SETTING}` allows {max}: {remedy}"
        )
    })
}

/// Returns an upper bound of the bytes of the largest full graph of a stream. Nothing is rendered, and no edge is enumerated.
fn largest_graph(dialect: &dyn Dialect, stream: &Stream) -> usize {
    let bytes = |graph: &Graph| {
        let nodes = graph.nodes().iter().map(|node| dialect.max_node_bytes(graph, node));
        nodes.fold(graph.max_edges_bytes(), usize::saturating_add)
    };
    let keys = stream.payload_keys().into_iter();
    keys.map(|key| bytes(&Graph::new(stream, &key.arch, &key.scheme))).max().unwrap_or(0)
}

/// Returns true if a change does not increase the size of a full graph, apart from the few bytes that describe a rollout: no release,
/// payload, policy or rule changed. Blocked updates are not counted.
fn is_of_the_same_size(before: &Stream, after: &Stream) -> bool {
    let changes = Changes::between(before, after);
    let is_same = |pair: &Pair<'_>| match (pair.old_release(), pair.new_release()) {
        (Some(old), Some(new)) => has_same_size(old, new),
        _ => false,
    };
    before.rules == after.rules && changes.keep_indices() && changes.changed().all(is_same)
}

fn has_same_size(one: &Release, other: &Release) -> bool {
    one.state == other.state
        && one.version == other.version
        && one.payloads == other.payloads
        && one.barrier == other.barrier
        && one.dead_end == other.dead_end
        && one.predecessors == other.predecessors
        && one.rollouts.is_empty() == other.rollouts.is_empty()
}

#[cfg(test)]
#[path = "graph_size_tests.rs"]
mod tests;
