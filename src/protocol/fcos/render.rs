//! Graphs as the agent reads them: compact JSON with sorted keys. Pure; equal graphs give equal bytes.

use crate::{
    catalog::{Piece, Render},
    domain::{
        graph::{Edge, Graph, Node},
        ramp::Course,
        reason::Reason,
        rollout::{Rollout, RolloutState},
        share::Share,
        standing::Standing,
    },
};
use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Renders whole graphs for the catalog.
#[derive(Debug, Clone, Copy, Default)]
pub struct GraphJson;

impl Render for GraphJson {
    fn whole(&self, graph: &Graph, standing: &Standing) -> Bytes {
        let nodes = graph.nodes().iter().map(|node| NodeJson::new(graph, standing, node)).collect();
        let edges = graph.open_edges(standing).map(|Edge { from, to }| (from.0, to.0)).collect();
        to_bytes(&AnswerJson { edges, nodes })
    }

    fn piece(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> Piece<Vec<u8>> {
        let rollout = rollout.and_then(|index| node.rollouts.get(index));
        let metadata = json(&Metadata { graph, node, rollout });
        Piece {
            before: [&b"{\"metadata\":"[..], &metadata, b",\"payload\":"].concat(),
            payload: json(node.payload.as_str()),
            after: [&b",\"version\":"[..], &json(node.version.as_str()), b"}"].concat(),
        }
    }
}

fn to_bytes(answer: &AnswerJson<'_>) -> Bytes {
    json(answer).into()
}

/// Strings and numbers always serialize into memory.
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
    fn new(graph: &'a Graph, standing: &Standing, node: &'a Node) -> Self {
        Self {
            metadata: Metadata { graph, node, rollout: graph.rollout_for(node, standing) },
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
            map.serialize_entry("org.fedoraproject.coreos.updates.barrier_reason", shown(reason))?;
        }
        if let Some(reason) = &self.node.dead_end {
            map.serialize_entry("org.fedoraproject.coreos.updates.deadend", "true")?;
            map.serialize_entry("org.fedoraproject.coreos.updates.deadend_reason", shown(reason))?;
        }
        if self.node.is_rollout() {
            let course = self.rollout.map(CourseTold::of).unwrap_or_default();
            if let Some(minutes) = course.duration_minutes {
                map.serialize_entry("org.fedoraproject.coreos.updates.duration_minutes", &minutes.to_string())?;
            }
            map.serialize_entry("org.fedoraproject.coreos.updates.rollout", "true")?;
            if let Some(epoch) = course.start_epoch {
                map.serialize_entry("org.fedoraproject.coreos.updates.start_epoch", &epoch.to_string())?;
            }
            if let Some(value) = course.start_value {
                // Rust writes the shortest decimal without an exponent, as the contract wants it.
                map.serialize_entry("org.fedoraproject.coreos.updates.start_value", &value.to_string())?;
            }
        }
        map.end()
    }
}

fn shown(reason: &Reason) -> &str {
    match reason.as_str() {
        "" => "generic",
        text => text,
    }
}

/// What the metadata can say of a rollout's course. It never depends on the time: answers stay the same while it passes.
#[derive(Default)]
struct CourseTold {
    start_epoch: Option<i64>,
    start_value: Option<f64>,
    duration_minutes: Option<u64>,
}

impl CourseTold {
    fn of(rollout: &Rollout) -> Self {
        let ramp = &rollout.ramp;
        let start = Self {
            start_epoch: ramp.start.map(|start| start.0),
            start_value: ramp.start_share.map(Share::get),
            duration_minutes: None,
        };
        match rollout.state {
            RolloutState::Active => match &ramp.course {
                // A line that ends below 1 has no words here, nor have steps.
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
