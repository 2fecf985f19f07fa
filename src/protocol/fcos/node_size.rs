//! How many bytes a node takes in a full graph, without rendering it.

use super::render::{WireRamp, reason_text};
use crate::domain::graph::{Graph, Node};
use std::fmt::{self, Display, Write};

/// Returns the bytes of a node and of the comma after it in a full graph, for the rollout with the longest metadata. It does not depend on
/// the time.
#[must_use]
pub(super) fn max_node_bytes(graph: &Graph, node: &Node) -> usize {
    let mut bytes = r#"{"metadata":{},"payload":,"version":},"#.len()
        + text(node.payload.as_str())
        + text(node.version.as_str())
        + entry("org.fedoraproject.coreos.releases.age_index", written(node.age))
        + entry("org.fedoraproject.coreos.scheme", text(graph.scheme.as_str()));
    if let Some(reason) = &node.barrier {
        bytes += entry("org.fedoraproject.coreos.updates.barrier", text("true"))
            + entry("org.fedoraproject.coreos.updates.barrier_reason", text(reason_text(reason)));
    }
    if let Some(reason) = &node.dead_end {
        bytes += entry("org.fedoraproject.coreos.updates.deadend", text("true"))
            + entry("org.fedoraproject.coreos.updates.deadend_reason", text(reason_text(reason)));
    }
    if node.is_rollout() {
        let ramps = node.rollouts().iter().map(|rollout| ramp(&WireRamp::from_rollout(rollout)));
        bytes += entry("org.fedoraproject.coreos.updates.rollout", text("true")) + ramps.max().unwrap_or(0);
    }
    bytes
}

fn ramp(ramp: &WireRamp) -> usize {
    let field = |name: &str, value: Option<usize>| value.map_or(0, |value| entry(name, value));
    field("org.fedoraproject.coreos.updates.duration_minutes", ramp.duration_minutes.map(written))
        + field("org.fedoraproject.coreos.updates.start_epoch", ramp.start_epoch.map(written))
        + field("org.fedoraproject.coreos.updates.start_value", ramp.start_value.map(written))
}

/// Returns the bytes of an entry of the metadata, with its comma.
fn entry(name: &str, value: usize) -> usize {
    r#""":,"#.len() + name.len() + value
}

/// Returns the bytes of a text in JSON, with its quotes. Every control character is counted as `\u0000`.
fn text(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    escaped.sum::<usize>() + 2
}

/// Returns the bytes of a number that is written as a text.
fn written(value: impl Display) -> usize {
    let mut count = Count(2);
    // Counting never fails.
    write!(count, "{value}").unwrap_or_default();
    count.0
}

struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
