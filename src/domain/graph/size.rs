//! How large the full graph of a scope can become, estimated without building it.

use super::{Graph, NodeIndex};

/// The bytes of `[`, `,`, `]` and the comma after an edge.
const PUNCTUATION: usize = 4;

impl Graph {
    /// Returns an upper bound of the bytes of the edges in the largest full graph, in which every release is open to the nodes, as pairs of
    /// indices in JSON: `[0,1],`. Takes time in proportion to the number of nodes and of listed predecessors. Blocked updates are not subtracted.
    #[must_use]
    pub fn max_edges_bytes(&self) -> usize {
        // The source of an edge has at most as many digits as its target.
        let bytes = |edges: usize, to: usize| edges.saturating_mul(2 * digits(to) + PUNCTUATION);
        let nodes = self.nodes.iter().enumerate();
        let Some(shown) = self.shown_targets else {
            let targets = nodes.filter(|(_, node)| !node.withdrawn);
            let targets = targets.map(|(to, _)| bytes(self.count_sources(NodeIndex(to)), to));
            return targets.fold(0, usize::saturating_add);
        };
        let targets = self.count_targets();
        let below = |index: usize| targets.get(index).or(targets.last()).copied().unwrap_or(0);
        let sources = nodes.filter(|(_, node)| node.dead_end.is_none());
        let sources = sources.map(|(from, node)| {
            let count = below(node.end + 1).saturating_sub(below(from + 1));
            bytes(count.min(shown), node.end)
        });
        sources.fold(0, usize::saturating_add)
    }

    /// Returns, for each index and the one after the last, the number of targets of edges below it.
    fn count_targets(&self) -> Vec<usize> {
        let counts = self.nodes.iter().scan(0, |count, node| {
            *count += usize::from(self.is_candidate(node) && !node.withdrawn);
            Some(*count)
        });
        [0].into_iter().chain(counts).collect()
    }
}

/// Returns the number of decimal digits of an index.
fn digits(index: usize) -> usize {
    index.checked_ilog10().and_then(|log| usize::try_from(log).ok()).map_or(1, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        epoch::Epoch,
        graph::{Graph, visibility::NodeContext},
        rollout::wariness::Wariness,
        samples,
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

        #[test]
        fn no_full_graph_has_more_bytes_of_edges(
            stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000, wariness in 0.0..=1.0f64,
        ) {
            let graph = Graph::new(&stream, &arch, &scheme);
            let node = NodeContext { group: Some("canary"), platform: None, wariness: Wariness::new(wariness), is_stopped: false };
            let visibility = graph.visibility(&node, Epoch(now));
            let bytes = graph.open_edges(&visibility).map(|edge| format!("[{},{}],", edge.from.0, edge.to.0).len());
            prop_assert!(bytes.sum::<usize>() <= graph.max_edges_bytes());
            prop_assert_eq!(graph.closed().max_edges_bytes(), 0);
        }
    }
}
