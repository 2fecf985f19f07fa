//! Rendered graphs: edges are in range and lead from older to newer releases, none leaves a dead end, none skips a barrier.

use lockkeeper::{
    catalog::Render,
    domain::{
        epoch::Epoch,
        graph::{Graph, visibility::NodeContext},
        rollout::wariness::Wariness,
        stream::Stream,
    },
    protocol::fcos::GraphJson,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The time of all polls, in the middle of the rollouts of the fixed streams.
pub const NOW: Epoch = Epoch(1_790_000_000);

/// A graph as an agent parses it.
#[derive(Debug, PartialEq)]
pub struct Rendered {
    /// The releases.
    pub nodes: Vec<Value>,
    /// The edges, as pairs of indices of nodes.
    pub edges: Vec<(usize, usize)>,
}

/// Parses a graph and checks the properties of all graphs.
pub fn parse(body: &[u8]) -> Rendered {
    let mut graph: Value = serde_json::from_slice(body).expect("a graph is JSON");
    let edges: Vec<(usize, usize)> = serde_json::from_value(graph["edges"].take()).expect("edges are pairs of indices");
    let nodes: Vec<Value> = serde_json::from_value(graph["nodes"].take()).expect("nodes are a list");
    for node in &nodes {
        assert!(node["version"].is_string() && node["payload"].is_string(), "{node}");
        let metadata = node["metadata"].as_object().expect("a node has metadata");
        assert!(metadata.values().all(Value::is_string), "{node}");
        assert!(metadata.contains_key("org.fedoraproject.coreos.releases.age_index"), "{node}");
    }
    for (from, to) in &edges {
        assert!(from < to && *to < nodes.len(), "{from} to {to} of {}", nodes.len());
        assert!(!has(&nodes[*from], "deadend"), "an edge leaves the dead end {}", nodes[*from]);
    }
    assert_eq!(edges.iter().collect::<BTreeSet<_>>().len(), edges.len(), "an edge is listed twice");
    Rendered { nodes, edges }
}

impl Rendered {
    /// Checks that no edge skips a barrier, in a graph that contains every release of its scope.
    pub fn check_barriers(&self) {
        for (from, to) in &self.edges {
            let skipped = self.nodes[from + 1..*to].iter().find(|node| has(node, "barrier"));
            assert!(skipped.is_none(), "{from} to {to} skips {skipped:?}");
        }
    }
}

fn has(node: &Value, policy: &str) -> bool {
    node["metadata"].get(format!("org.fedoraproject.coreos.updates.{policy}")).is_some()
}

/// Checks that a stream can be served: every scope has a valid graph for wariness 0, 0.5 and 1.
pub fn check_stream(stream: &Stream) {
    for key in stream.payload_keys() {
        let graph = Graph::new(stream, &key.arch, &key.scheme);
        for wariness in [0.0, 0.5, 1.0] {
            let node_context = NodeContext {
                group: Some("default"),
                platform: None,
                wariness: Wariness::new(wariness),
                is_stopped: false,
            };
            let rendered = parse(&GraphJson.full_graph(&graph, &graph.visibility(&node_context, NOW)));
            assert_eq!(rendered.nodes.len(), graph.nodes().len());
            rendered.check_barriers();
        }
    }
}
