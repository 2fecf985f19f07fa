//! Tests of edges under each edge rule.

use super::*;
use crate::domain::{
    epoch::Epoch,
    graph::visibility::NodeContext,
    ids::Arch,
    origin::Origin,
    payload::{Payload, PayloadId, Scheme},
    policy::{barrier::Barrier, graph_rules::GraphRules, predecessors::Predecessors},
    reason::Reason,
    release::{PayloadKey, Release, ReleaseState},
    rollout::{preset::Preset, wariness::Wariness},
    samples,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn node() -> NodeContext<'static> {
    let wariness = Wariness::new(0.5);
    NodeContext { group: Some("default"), platform: Some("metal"), wariness, is_stopped: false }
}

fn key() -> PayloadKey {
    PayloadKey { arch: Arch::parse("x86_64").unwrap(), scheme: Scheme::checksum() }
}

/// Builds a stream of published releases without policies.
fn stream(edge_rule: EdgeRule, releases: usize) -> Stream {
    let release = |number: usize| {
        let mut release = Release::published(Version::parse(&number.to_string()).unwrap(), Origin::Local);
        let id = PayloadId::parse(&format!("{number:064x}")).unwrap();
        release.payloads.insert(key(), Payload { id, synthetic: false });
        release.into()
    };
    let rules = GraphRules { edge_rule, ..GraphRules::default() };
    Stream { rules, releases: (0..releases).map(release).collect(), ..Stream::empty(samples::id()) }
}

fn barrier() -> Box<Barrier> {
    Box::new(Barrier { reason: Reason::new("keys").unwrap(), arches: None, origin: Origin::Local })
}

fn graph(stream: &Stream) -> Graph {
    Graph::new(stream, &key().arch, &key().scheme)
}

fn pairs(edges: impl IntoIterator<Item = Edge>) -> Vec<(usize, usize)> {
    edges.into_iter().map(|edge| (edge.from.0, edge.to.0)).collect()
}

fn open(graph: &Graph, now: i64) -> Vec<(usize, usize)> {
    pairs(graph.open_edges(&graph.visibility(&node(), Epoch(now))))
}

#[test]
fn open_edges_lead_to_every_newer_release_up_to_the_next_barrier() {
    let mut stream = stream(EdgeRule::Open, 5);
    stream.releases[2].barrier = Some(barrier());
    stream.releases[3].state = ReleaseState::Withdrawn;
    let graph = graph(&stream);
    assert_eq!(pairs(graph.edges()), [(2, 4), (3, 4), (0, 2), (1, 2), (0, 1)]);
    let targets = |from| graph.targets(NodeIndex(from)).map(|to| to.0).collect::<Vec<_>>();
    assert_eq!([0, 1, 2, 3, 4].map(targets), [vec![2, 1], vec![2], vec![4], vec![4], vec![]]);
    // Each node chooses the newest one.
    assert_eq!(open(&graph, 0), [(2, 4), (3, 4), (0, 2), (1, 2)]);
    assert_eq!(pairs(graph.closed().edges()), []);
}

#[test]
fn a_held_back_release_is_offered_after_an_older_one() {
    let mut stream = stream(EdgeRule::Open, 4);
    stream.releases[3].rollouts = vec![Preset::Linear48h.rollout(Epoch(1000))];
    let graph = graph(&stream);
    assert_eq!(open(&graph, 1000), [(0, 2), (1, 2)]);
    assert_eq!(open(&graph, 1000 + 48 * 3600), [(0, 3), (1, 3), (2, 3)]);
    assert_eq!(pairs(graph.shown_edges(|to| to.0 < 3)), [(0, 3), (1, 3), (2, 3), (0, 2), (1, 2)]);
    let route = graph.route(NodeIndex(0), &node(), Epoch(1000));
    assert_eq!(route.hops.iter().map(|hop| hop.to.0).collect::<Vec<_>>(), [2, 3]);
    let shown: Vec<_> = graph.targets_with_visibility(NodeIndex(0), &node(), Epoch(1000)).collect();
    let shown: Vec<_> = shown.iter().map(|(to, visibility)| (to.0, visibility.held_back)).collect();
    assert_eq!(shown, [(3, true), (2, false)]);
}

#[test]
fn explicit_edges_are_the_listed_ones_that_skip_no_barrier() {
    let mut stream = stream(EdgeRule::Explicit, 5);
    let list = |versions: &[&str]| {
        let versions = versions.iter().map(|version| Version::parse(version).unwrap()).collect();
        Some(Box::new(Predecessors { versions, origin: Origin::Local }))
    };
    stream.releases[2].barrier = Some(barrier());
    stream.releases[2].predecessors = list(&["0"]);
    stream.releases[3].predecessors = list(&["1", "2"]);
    stream.releases[4].predecessors = list(&["0", "2", "3"]);
    let explicit = graph(&stream);
    assert_eq!(pairs(explicit.edges()), [(2, 4), (3, 4), (2, 3), (0, 2)]);
    assert_eq!(explicit.targets(NodeIndex(2)).map(|to| to.0).collect::<Vec<_>>(), [4, 3]);
    assert_eq!(open(&explicit, 0), pairs(explicit.edges()));
    assert_eq!(pairs(explicit.closed().edges()), []);
    // Other rules ignore the lists.
    stream.rules.edge_rule = EdgeRule::Derived;
    assert_eq!(pairs(graph(&stream).edges()), [(0, 2), (1, 2)]);
}

/// The work is measured by what is returned: one edge for each release but the newest.
#[test]
fn a_full_graph_of_open_releases_is_linear() {
    const RELEASES: usize = 5000;
    let mut stream = stream(EdgeRule::Open, RELEASES);
    let to = |to: usize| {
        pairs(graph(&stream).open_edges(&graph(&stream).visibility(&node(), Epoch(0))))
            .iter()
            .filter(|edge| edge.1 == to)
            .count()
    };
    assert_eq!(to(RELEASES - 1), RELEASES - 1);
    let blocked = |first: usize, last: usize, target: usize| crate::domain::policy::blocked_update::BlockedUpdate {
        first: Version::parse(&first.to_string()).unwrap(),
        last: Version::parse(&last.to_string()).unwrap(),
        target: Version::parse(&target.to_string()).unwrap(),
        reason: Reason::new("too far").unwrap(),
        arches: None,
        origin: Origin::Local,
    };
    stream.blocked_updates = (4000..RELEASES).map(|target| blocked(0, 3990, target)).collect();
    let edges = open(&graph(&stream), 0);
    assert_eq!(edges.len(), RELEASES - 1);
    assert_eq!(edges.iter().filter(|edge| edge.1 == 3999).count(), 3991);
    assert!(graph(&stream).shown_edges(|_| false).len() < RELEASES);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_trimmed_graph_offers_the_newest_target_of_the_untrimmed_one(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000,
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let visibility = graph.visibility(&node(), Epoch(now));
        let mut newest = BTreeMap::new();
        for edge in graph.untrimmed_open_edges(&visibility) {
            let known = newest.entry(edge.from).or_insert(edge.to);
            *known = edge.to.max(*known);
        }
        let trimmed: Vec<Edge> = graph.open_edges(&visibility).collect();
        let mut chosen = BTreeMap::new();
        for edge in &trimmed {
            let known = chosen.entry(edge.from).or_insert(edge.to);
            *known = edge.to.max(*known);
        }
        prop_assert_eq!(&chosen, &newest);
        prop_assert!(!graph.is_trimmed() || trimmed.len() == chosen.len());
        for from in (0..graph.nodes().len()).map(NodeIndex) {
            let best = graph.open_targets(from, &node(), Epoch(now)).map(|(to, _)| to).max();
            prop_assert_eq!(best, newest.get(&from).copied());
        }
    }

    #[test]
    fn sources_targets_and_ages_agree_with_the_edges(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(),
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let edges: BTreeSet<Edge> = graph.edges().collect();
        prop_assert_eq!(edges.len(), graph.edges().count());
        for (index, node) in graph.nodes().iter().enumerate() {
            let here = NodeIndex(index);
            let to_here: Vec<NodeIndex> = edges.iter().filter(|edge| edge.to == here).map(|edge| edge.from).collect();
            prop_assert_eq!(graph.sources(here).collect::<Vec<_>>(), to_here.clone());
            let targets: BTreeSet<NodeIndex> = edges.iter().filter(|edge| edge.from == here).map(|edge| edge.to).collect();
            prop_assert_eq!(graph.targets(here).collect::<BTreeSet<_>>(), targets);
            let ages = graph.source_ages(here);
            let alive = graph.nodes().iter().enumerate().filter(|(_, from)| from.dead_end.is_none() && ages.contains(from.age));
            prop_assert_eq!(alive.map(|(index, _)| NodeIndex(index)).collect::<Vec<_>>(), to_here, "{:?}", node.version);
        }
    }
}
