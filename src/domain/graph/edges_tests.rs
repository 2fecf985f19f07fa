//! Tests of edges under each edge rule.

use super::*;
use crate::domain::{
    epoch::Epoch,
    graph::visibility::NodeContext,
    ids::Arch,
    origin::Origin,
    payload::{Payload, PayloadId, Scheme},
    policy::{
        barrier::Barrier,
        graph_rules::{GraphRules, NewestTargets, TargetLimit},
        predecessors::Predecessors,
    },
    reason::Reason,
    release::{PayloadKey, Release, ReleaseState},
    rollout::{preset::Preset, wariness::Wariness},
    samples,
};
use proptest::{bool::weighted, collection, prelude::*};
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

fn barrier() -> Barrier {
    Barrier { reason: Reason::new("keys").unwrap(), arches: None, origin: Origin::Local }
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
    stream.releases[2].barrier = Some(barrier().into());
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
    stream.releases[2].barrier = Some(barrier().into());
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

fn newest(number: u16) -> TargetLimit {
    NewestTargets::new(number).into()
}

/// Builds a stream of published releases, each with a rollout.
fn rollouts(targets: TargetLimit, releases: usize) -> Stream {
    let mut stream = stream(EdgeRule::Derived, releases);
    stream.rules.targets = targets;
    for release in &mut stream.releases {
        release.rollouts = vec![Preset::Linear48h.rollout(Epoch(0))];
    }
    stream
}

#[test]
fn a_trimmed_node_gets_the_barrier_and_the_newest_targets() {
    let mut stream = rollouts(newest(2), 6);
    stream.releases[4].barrier = Some(barrier().into());
    let later = 48 * 3600;
    let open = |stream: &Stream| open(&graph(stream), later);
    let with_rollout = [(4, 5), (0, 4), (1, 4), (2, 4), (3, 4), (0, 3), (1, 3), (2, 3)];
    assert_eq!(open(&stream), with_rollout);
    // Edges to barriers without rollouts come last.
    stream.releases[4].rollouts.clear();
    let without = [(4, 5), (0, 3), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4)];
    assert_eq!(open(&stream), without);
    assert_eq!(graph(&stream).trimmable(), [2, 1, 0].map(NodeIndex));
    stream.rules.targets = newest(1);
    assert_eq!(open(&stream), [(4, 5), (0, 4), (1, 4), (2, 4), (3, 4)]);
    stream.releases[4].state = ReleaseState::Withdrawn;
    assert_eq!(open(&stream), [(4, 5), (0, 3), (1, 3), (2, 3)]);
}

#[test]
fn a_release_that_is_held_back_takes_the_place_of_none() {
    let mut stream = rollouts(newest(2), 5);
    stream.releases[4].rollouts = vec![Preset::Linear48h.rollout(Epoch(1_000_000))];
    let shown: Vec<_> = graph(&stream)
        .targets_with_visibility(NodeIndex(0), &node(), Epoch(900_000))
        .map(|(to, visibility)| (to.0, visibility.held_back))
        .collect();
    assert_eq!(shown, [(4, true), (3, false), (2, false)]);
    let route = graph(&stream).route(NodeIndex(0), &node(), Epoch(900_000));
    assert_eq!(route.hops[0].to, NodeIndex(3));
    assert_eq!(route.hops[0].waiting.iter().map(|wait| wait.target.0).collect::<Vec<_>>(), [4]);
    // A release that is held back and older than what the node is shown does not matter to it.
    stream.releases[1].rollouts = vec![Preset::Linear48h.rollout(Epoch(1_000_000))];
    let route = graph(&stream).route(NodeIndex(0), &node(), Epoch(900_000));
    assert_eq!(route.hops[0].waiting.iter().map(|wait| wait.target.0).collect::<Vec<_>>(), [4]);
}

/// The work is measured by what is returned.
#[test]
fn a_trimmed_graph_of_rollouts_is_linear() {
    const RELEASES: usize = 10_000;
    let stream = rollouts(newest(2), RELEASES);
    let graph = graph(&stream);
    let edges = open(&graph, 48 * 3600);
    assert_eq!(edges.len(), 2 * RELEASES - 3);
    assert!(edges.len() <= 3 * RELEASES);
    assert_eq!(graph.shown_edges(|_| false).len(), 2 * RELEASES - 3);
    assert_eq!(graph.trimmable().len(), RELEASES - 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_trimmed_graph_has_the_newest_open_targets_of_each_release(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000, is_stopped in weighted(0.1),
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let context = NodeContext { is_stopped, ..node() };
        let visibility = graph.visibility(&context, Epoch(now));
        let untrimmed: Vec<Edge> = graph.untrimmed_open_edges(&visibility).collect();
        let newer = |edge: &Edge| untrimmed.iter().filter(|other| other.from == edge.from && other.to > edge.to).count();
        let shown = graph.shown_targets.unwrap_or(usize::MAX);
        let expected: Vec<Edge> = untrimmed.iter().copied().filter(|edge| newer(edge) < shown).collect();
        let trimmed: Vec<Edge> = graph.open_edges(&visibility).collect();
        prop_assert_eq!(&trimmed, &expected);
        for edge in untrimmed.iter().filter(|edge| newer(edge) == 0 || graph.nodes[edge.to.0].barrier.is_some()) {
            prop_assert!(trimmed.contains(edge), "{:?} is the newest target or a barrier", edge);
        }
        for edge in untrimmed.iter().filter(|edge| !trimmed.contains(edge)) {
            prop_assert!(graph.trimmable().contains(&edge.to));
        }
        let targets = |from| graph.open_targets(from, &context, Epoch(now)).map(move |(to, _)| Edge { from, to });
        let mut views: Vec<Edge> = (0..graph.nodes().len()).map(NodeIndex).flat_map(targets).collect();
        let mut full = trimmed;
        views.sort_unstable();
        full.sort_unstable();
        prop_assert_eq!(views, full);
    }

    #[test]
    fn trimming_leaves_out_no_newer_release_that_is_held_back(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000, is_stopped in weighted(0.1),
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let context = NodeContext { is_stopped, ..node() };
        let is_counted = |to: NodeIndex| {
            is_stopped || !graph.target_visibility(&graph.nodes[to.0], &context, Epoch(now)).held_back
        };
        let shown = graph.shown_targets.unwrap_or(usize::MAX);
        for from in (0..graph.nodes().len()).map(NodeIndex) {
            let all: Vec<NodeIndex> = graph.targets(from).collect();
            let newer = |to: NodeIndex| all.iter().filter(|other| **other > to && is_counted(**other)).count();
            let expected: Vec<NodeIndex> = all.iter().copied().filter(|to| newer(*to) < shown).collect();
            let found = graph.targets_with_visibility(from, &context, Epoch(now));
            prop_assert_eq!(found.map(|(to, _)| to).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn people_are_shown_the_newest_targets_and_the_newest_open_ones(
        stream in samples::stream(), arch in samples::arch(), scheme in samples::scheme(), open in collection::vec(any::<bool>(), 14),
    ) {
        let graph = Graph::new(&stream, &arch, &scheme);
        let is_open = |to: NodeIndex| open[to.0];
        let all: Vec<Edge> = graph.edges().collect();
        let newer = |edge: &Edge, is_target: &dyn Fn(NodeIndex) -> bool| {
            all.iter().filter(|other| other.from == edge.from && other.to > edge.to && is_target(other.to)).count()
        };
        let shown = graph.shown_targets.unwrap_or(usize::MAX);
        let is_shown = |edge: &Edge| newer(edge, &|_| true) < shown || (is_open(edge.to) && newer(edge, &is_open) < shown);
        let expected: Vec<Edge> = all.iter().copied().filter(is_shown).collect();
        prop_assert_eq!(graph.shown_edges(is_open), expected);
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
