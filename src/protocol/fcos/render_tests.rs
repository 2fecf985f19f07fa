//! Tests of the size of full graphs.

use super::*;
use crate::{
    domain::{
        dialect::Dialect,
        epoch::Epoch,
        graph::visibility::NodeContext,
        ids::Version,
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        policy::graph_rules::{GraphRules, NewestTargets, TargetLimit},
        release::{PayloadKey, Release},
        rollout::{preset::Preset, wariness::Wariness},
        samples,
        stream::Stream,
    },
    protocol::fcos::dialect::FcosDialect,
};
use proptest::{option, prelude::*, sample::select};

const START: Epoch = Epoch(1_790_000_000);
const YEARS_LATER: Epoch = Epoch(1_990_000_000);

fn newest(number: u16) -> TargetLimit {
    NewestTargets::new(number).into()
}

/// Builds the graph of a stream in which each release has a rollout.
fn graph_of_rollouts(targets: TargetLimit, releases: usize) -> Graph {
    let key = PayloadKey { arch: crate::domain::ids::Arch::parse("x86_64").unwrap(), scheme: Scheme::checksum() };
    let release = |number: usize| {
        let mut release =
            Release::published(Version::parse(&format!("44.2026{number:04}.3.0")).unwrap(), Origin::Local);
        let id = PayloadId::parse(&format!("{number:064x}")).unwrap();
        release.payloads.insert(key.clone(), Payload { id, synthetic: false });
        release.rollouts = vec![Preset::Linear48h.rollout(START)];
        release.into()
    };
    let rules = GraphRules { targets, ..GraphRules::default() };
    let releases = (0..releases).map(release).collect();
    Graph::new(&Stream { rules, releases, ..Stream::empty(samples::id()) }, &key.arch, &key.scheme)
}

fn render(graph: &Graph, node: &NodeContext<'_>, now: Epoch) -> Bytes {
    GraphJson.full_graph(graph, &graph.visibility(node, now))
}

/// Returns the estimate that a change is checked with.
fn estimate(graph: &Graph) -> usize {
    let nodes = graph.nodes().iter().map(|node| FcosDialect.max_node_bytes(graph, node));
    nodes.sum::<usize>() + graph.max_edges_bytes()
}

fn node() -> NodeContext<'static> {
    NodeContext { group: None, platform: None, wariness: Wariness::new(0.5), is_stopped: false }
}

#[test]
fn a_graph_with_a_rollout_for_each_release_stays_small_if_it_is_trimmed() {
    let trimmed = graph_of_rollouts(newest(2), 3000);
    let size = render(&trimmed, &node(), YEARS_LATER).len();
    assert!(size < 1_500_000, "{size}");
    let estimated = estimate(&trimmed);
    assert!((size..size + size / 10).contains(&estimated), "{estimated} for {size}");
    let full = graph_of_rollouts(TargetLimit::All, 1000);
    let size = render(&full, &node(), YEARS_LATER).len();
    assert!(size > 5_000_000, "{size}");
    let estimated = estimate(&full);
    assert!((size..size + size / 10).contains(&estimated), "{estimated} for {size}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_full_graph_is_larger_than_the_estimate(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000, wariness in 0.0..=1.0f64,
        group in option::of(select(&samples::GROUPS)), platform in option::of(select(&samples::PLATFORMS)),
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let node = NodeContext { group, platform, wariness: Wariness::new(wariness), is_stopped: false };
        let empty = r#"{"edges":[],"nodes":[]}"#.len();
        prop_assert!(render(&graph, &node, Epoch(now)).len() <= estimate(&graph) + empty);
    }
}
