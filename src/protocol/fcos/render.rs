//! Renders graphs as agents read them: compact JSON with sorted keys. Pure; equal graphs have equal bytes.

use crate::{
    catalog::{NodeFragment, Render},
    domain::{
        graph::{Edge, Graph, Node, visibility::Visibility},
        reason::Reason,
        rollout::{Rollout, RolloutState, ramp::Course, share::Share},
    },
};
use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Renders full graphs and fragments for the catalog.
#[derive(Debug, Clone, Copy, Default)]
pub struct GraphJson;

impl Render for GraphJson {
    fn full_graph(&self, graph: &Graph, visibility: &Visibility) -> Bytes {
        let nodes = graph.nodes().iter().map(|node| NodeJson::new(graph, visibility, node)).collect();
        let edges = graph.open_edges(visibility).map(|Edge { from, to }| (from.0, to.0)).collect();
        to_bytes(&AnswerJson { edges, nodes })
    }

    fn fragment(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> NodeFragment<Vec<u8>> {
        let rollout = rollout.and_then(|index| node.rollouts().get(index));
        let metadata = json(&Metadata { graph, node, rollout });
        NodeFragment {
            before: [&b"{\"metadata\":"[..], &metadata, b",\"payload\":"].concat(),
            names: (!is_plain(node)).then(|| {
                let after = [&b",\"version\":"[..], &json(node.version.as_str()), b"}"].concat();
                (json(node.payload.as_str()), after)
            }),
        }
    }
}

/// Returns true if the payload and the version of a release are the same in JSON, in quotes.
fn is_plain(node: &Node) -> bool {
    let is_plain = |text: &str| text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    is_plain(node.payload.as_str()) && is_plain(node.version.as_str())
}

fn to_bytes(answer: &AnswerJson<'_>) -> Bytes {
    // The buffer is larger, and it is free for the next one; what is cached for long has its exact size.
    Bytes::copy_from_slice(&json(answer))
}

/// Serializes a value. Values of strings and numbers always serialize to memory.
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    edges: Vec<(usize, usize)>,
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    metadata: Metadata<'a>,
    payload: &'a str,
    version: &'a str,
}

impl<'a> NodeJson<'a> {
    fn new(graph: &'a Graph, visibility: &Visibility, node: &'a Node) -> Self {
        Self {
            metadata: Metadata { graph, node, rollout: graph.rollout_for(node, visibility) },
            payload: node.payload.as_str(),
            version: node.version.as_str(),
        }
    }
}

struct Metadata<'a> {
    graph: &'a Graph,
    node: &'a Node,
    rollout: Option<&'a Rollout>,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("org.fedoraproject.coreos.releases.age_index", &self.node.age.to_string())?;
        map.serialize_entry("org.fedoraproject.coreos.scheme", self.graph.scheme.as_str())?;
        if let Some(reason) = &self.node.barrier {
            map.serialize_entry("org.fedoraproject.coreos.updates.barrier", "true")?;
            map.serialize_entry("org.fedoraproject.coreos.updates.barrier_reason", reason_text(reason))?;
        }
        if let Some(reason) = &self.node.dead_end {
            map.serialize_entry("org.fedoraproject.coreos.updates.deadend", "true")?;
            map.serialize_entry("org.fedoraproject.coreos.updates.deadend_reason", reason_text(reason))?;
        }
        if self.node.is_rollout() {
            let ramp = self.rollout.map(WireRamp::from_rollout).unwrap_or_default();
            if let Some(minutes) = ramp.duration_minutes {
                map.serialize_entry("org.fedoraproject.coreos.updates.duration_minutes", &minutes.to_string())?;
            }
            map.serialize_entry("org.fedoraproject.coreos.updates.rollout", "true")?;
            if let Some(epoch) = ramp.start_epoch {
                map.serialize_entry("org.fedoraproject.coreos.updates.start_epoch", &epoch.to_string())?;
            }
            if let Some(value) = ramp.start_value {
                // Rust formats the shortest decimal without an exponent, as the wire contract requires.
                map.serialize_entry("org.fedoraproject.coreos.updates.start_value", &value.to_string())?;
            }
        }
        map.end()
    }
}

/// Returns the text of a reason; the wire contract requires `generic` for an empty one.
fn reason_text(reason: &Reason) -> &str {
    match reason.as_str() {
        "" => "generic",
        text => text,
    }
}

/// The part of a ramp that the metadata can express. It does not depend on the time, so that rendered answers stay valid.
#[derive(Default)]
struct WireRamp {
    start_epoch: Option<i64>,
    start_value: Option<f64>,
    duration_minutes: Option<u64>,
}

impl WireRamp {
    fn from_rollout(rollout: &Rollout) -> Self {
        let ramp = &rollout.present_ramp();
        let start = Self {
            start_epoch: ramp.start.map(|start| start.0),
            start_value: ramp.start_share.map(Share::get),
            duration_minutes: None,
        };
        match rollout.state {
            RolloutState::Active => match &ramp.course {
                // The format cannot express a linear ramp that ends below 1, nor steps.
                Course::Linear { duration, end_share } if *end_share == Share::ALL => {
                    Self { duration_minutes: Some(duration.0), ..start }
                }
                _ => start,
            },
            RolloutState::Paused { at } => Self { start_value: Some(ramp.share_at(at)), ..start },
            RolloutState::Completed => Self { start_value: Some(1.0), ..Self::default() },
            RolloutState::Aborted => Self::default(),
        }
    }
}
