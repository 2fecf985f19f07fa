//! Property tests of the invariants of graphs, for any stream, scope, node and time.

use super::ids::Arch;
use super::{
    base,
    document::Strictness,
    epoch::Epoch,
    graph::{
        Edge, Graph, NodeIndex,
        route::End,
        visibility::{NodeContext, Visibility},
    },
    payload::Scheme,
    policy::graph_rules::{GraphRules, Identity},
    release::ReleaseState,
    rollout::{
        ramp::{Course, Ramp},
        share::Share,
        step::Step,
        wariness::Wariness,
    },
    samples,
    stream::Stream,
};
use crate::domain::diff::Diff;
use proptest::{option, prelude::*, sample::select};
use std::{borrow::Cow, collections::BTreeSet};

#[derive(Debug, Clone)]
struct Question {
    arch: Arch,
    scheme: Scheme,
    group: Option<&'static str>,
    platform: Option<&'static str>,
    wariness: f64,
    now: Epoch,
}

impl Question {
    fn node_context(&self) -> NodeContext<'_> {
        NodeContext {
            group: self.group,
            platform: self.platform,
            wariness: Wariness::new(self.wariness),
            is_stopped: false,
        }
    }

    fn graph(&self, stream: &Stream) -> Graph {
        Graph::new(stream, &self.arch, &self.scheme)
    }
}

fn question() -> impl Strategy<Value = Question> {
    (
        samples::arch(),
        samples::scheme(),
        option::of(select(&samples::GROUPS)),
        option::of(select(&samples::PLATFORMS)),
        prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64],
        0i64..400_000,
    )
        .prop_map(|(arch, scheme, group, platform, wariness, now)| Question {
            arch,
            scheme,
            group,
            platform,
            wariness,
            now: Epoch(now),
        })
}

/// Returns the edges that are open to a node, by age, which makes graphs of different streams comparable.
fn open(graph: &Graph, visibility: &Visibility) -> BTreeSet<(usize, usize)> {
    let age = |index: NodeIndex| graph.node(index).unwrap().age;
    graph.untrimmed_open_edges(visibility).map(|Edge { from, to }| (age(from), age(to))).collect()
}

fn open_to(stream: &Stream, question: &Question) -> BTreeSet<(usize, usize)> {
    let graph = question.graph(stream);
    open(&graph, &graph.visibility(&question.node_context(), question.now))
}

/// Returns the stream with `change` applied to every rollout.
fn with_rollouts(stream: &Stream, change: impl Fn(&mut super::rollout::Rollout)) -> Stream {
    let mut stream = stream.clone();
    stream.releases.iter_mut().flat_map(|release| &mut release.rollouts).for_each(change);
    stream
}

fn with_higher_shares(ramp: &Ramp, by: f64) -> Ramp {
    let up = |share: Share| Share::new((share.get() + by).min(1.0)).unwrap();
    let course = match &ramp.course {
        Course::Constant => Course::Constant,
        Course::Linear { duration, end_share } => Course::Linear { duration: *duration, end_share: up(*end_share) },
        Course::Steps(steps) => {
            Course::Steps(steps.iter().map(|step| Step { share: up(step.share), ..*step }).collect())
        }
    };
    Ramp { start_share: Some(up(ramp.start_share.unwrap_or(Share::NONE))), course, ..*ramp }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn updates_lead_to_newer_releases_only(stream in samples::stream(), q in question()) {
        for Edge { from, to } in q.graph(&stream).edges() {
            prop_assert!(from < to);
        }
    }

    #[test]
    fn no_update_skips_a_barrier(stream in samples::stream(), q in question()) {
        let graph = q.graph(&stream);
        for Edge { from, to } in graph.edges() {
            for between in from.0 + 1..to.0 {
                prop_assert!(graph.nodes()[between].barrier.is_none());
            }
        }
    }

    #[test]
    fn no_update_leaves_a_dead_end_or_enters_a_withdrawn_release(stream in samples::stream(), q in question()) {
        let graph = q.graph(&stream);
        for Edge { from, to } in graph.edges() {
            prop_assert!(graph.nodes()[from.0].dead_end.is_none());
            prop_assert!(!graph.nodes()[to.0].withdrawn);
        }
    }

    #[test]
    fn blocked_updates_are_never_offered(stream in samples::stream(), q in question()) {
        let edges: BTreeSet<_> = open_to(&stream, &q);
        for blocked in stream.blocked_updates.iter().filter(|blocked| blocked.applies_to(&q.arch)) {
            let [first, last, target] =
                [&blocked.first, &blocked.last, &blocked.target].map(|version| stream.position_of(version).unwrap());
            prop_assert!(edges.iter().all(|(from, to)| *to != target || *from < first || *from > last));
        }
    }

    #[test]
    fn drafts_are_in_no_graph(stream in samples::stream(), q in question()) {
        for node in q.graph(&stream).nodes() {
            prop_assert_ne!(stream.releases[node.age].state, ReleaseState::Draft);
        }
    }

    #[test]
    fn opening_further_withdraws_no_offer(stream in samples::stream(), q in question(), by in 0.0..=1.0f64) {
        let before = open_to(&stream, &q);
        let higher = with_rollouts(&stream, |rollout| rollout.ramp = with_higher_shares(&rollout.ramp, by));
        prop_assert!(open_to(&higher, &q).is_superset(&before));
        let later = Question { now: q.now.plus_seconds(3600), ..q.clone() };
        // A node of wariness 0 is offered a scheduled rollout early, because the share before the start is 0.
        let is_canary = q.wariness <= 0.0;
        prop_assert!(is_canary || open_to(&stream, &later).is_superset(&before));
        let eager = Question { wariness: q.wariness / 2.0, ..q.clone() };
        prop_assert!(open_to(&stream, &eager).is_superset(&before));
        let completed = with_rollouts(&stream, |rollout| *rollout = rollout.complete().unwrap_or(rollout.clone()));
        prop_assert!(open_to(&completed, &q).is_superset(&before));
    }

    #[test]
    fn abort_withdraw_and_pause_add_no_offer(stream in samples::stream(), q in question(), later in 0i64..100_000) {
        let before = open_to(&stream, &q);
        let aborted = with_rollouts(&stream, |rollout| *rollout = rollout.abort().unwrap_or(rollout.clone()));
        prop_assert!(open_to(&aborted, &q).is_subset(&before));
        let mut withdrawn = stream.clone();
        for release in withdrawn.releases.iter_mut().filter(|release| release.state == ReleaseState::Published) {
            release.state = ReleaseState::Withdrawn;
        }
        prop_assert!(open_to(&withdrawn, &q).is_empty());
        let paused = with_rollouts(&stream, |rollout| *rollout = rollout.pause(q.now).unwrap_or(rollout.clone()));
        let after = Question { now: q.now.plus_seconds(later), ..q.clone() };
        prop_assert_eq!(open_to(&paused, &after), before);
    }

    #[test]
    fn the_node_view_agrees_with_the_full_graph(stream in samples::stream(), q in question()) {
        let graph = q.graph(&stream);
        let visibility = graph.visibility(&q.node_context(), q.now);
        for node in 0..graph.nodes().len() {
            let full = graph.open_edges(&visibility).filter(|edge| edge.from.0 == node).map(|edge| edge.to);
            let full: Vec<NodeIndex> = full.collect();
            let node_context = q.node_context();
            let view: Vec<NodeIndex> = graph.open_targets(NodeIndex(node), &node_context, q.now).map(|(to, _)| to).collect();
            prop_assert_eq!(&view, &full);
            // Agents choose the highest-ranked target.
            let best = |targets: &[NodeIndex]| targets.iter().copied().max_by_key(|target| graph.rank(*target));
            prop_assert_eq!(best(&view), best(&full));
        }
    }

    #[test]
    fn nodes_are_found_by_version_and_by_nothing_else(stream in samples::stream(), q in question()) {
        let rules = GraphRules { identity: Identity::Version, ..stream.rules };
        let graph = q.graph(&Stream { rules, ..stream.clone() });
        for (index, node) in graph.nodes().iter().enumerate() {
            let found = graph.recognise(node.version.as_str()).unwrap();
            prop_assert_eq!((found.node, found.mirror), (NodeIndex(index), None));
        }
        let names: BTreeSet<_> = graph.names().map(Cow::into_owned).collect();
        prop_assert_eq!(names, graph.nodes().iter().map(|node| node.version.to_string()).collect());
        for name in q.graph(&Stream { rules: GraphRules::default(), ..stream }).names() {
            prop_assert_eq!(graph.recognise(&name), None);
        }
    }

    #[test]
    fn nodes_are_found_by_payload_and_alias(stream in samples::stream(), q in question()) {
        let rules = GraphRules { identity: Identity::Payload, ..stream.rules };
        let graph = q.graph(&Stream { rules, ..stream });
        for (index, node) in graph.nodes().iter().enumerate() {
            let found = |payload: &str| graph.recognise(payload).map(|recognised| recognised.node);
            prop_assert_eq!(found(node.payload.as_str()), Some(NodeIndex(index)));
            let alias = samples::payload_id("alias", node.age, &graph.arch, &graph.scheme);
            prop_assert_eq!(found(alias.as_str()), node.age.is_multiple_of(3).then_some(NodeIndex(index)));
        }
    }

    #[test]
    fn every_hop_of_a_route_is_the_best_offer_at_its_time(stream in samples::stream(), q in question(), from in 0usize..14) {
        let graph = q.graph(&stream);
        if graph.nodes().is_empty() {
            return Ok(());
        }
        let from = from % graph.nodes().len();
        let route = graph.route(NodeIndex(from), &q.node_context(), q.now);
        let (mut here, mut now) = (NodeIndex(from), q.now);
        for hop in &route.hops {
            let node_context = q.node_context();
            let best = |at| {
                let open = graph.open_targets(here, &node_context, at).map(|(to, _)| to);
                open.max_by_key(|target| graph.rank(*target))
            };
            prop_assert_eq!(best(hop.at), Some(hop.to));
            prop_assert!(hop.at == now || best(hop.at.plus_seconds(-1)).is_none());
            (here, now) = (hop.to, hop.at);
        }
        prop_assert_eq!(graph.open_targets(here, &q.node_context(), Epoch(i64::MAX - 1)).count(), 0);
        prop_assert_eq!(route.end == End::Newest, here.0 + 1 == graph.nodes().len() && graph.nodes()[here.0].dead_end.is_none());
    }

    #[test]
    fn a_written_document_parses_back(stream in base::samples::stream()) {
        let document = stream.to_document();
        prop_assert_eq!(Stream::from_document(&document, Strictness::Strict), Ok(stream.clone()));
        let json = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(&serde_json::from_str::<super::document::StreamDocument>(&json).unwrap(), &document);
        let toml = toml::to_string(&document).unwrap();
        prop_assert_eq!(&toml::from_str::<super::document::StreamDocument>(&toml).unwrap(), &document);
    }

    #[test]
    fn a_diff_is_empty_for_equal_streams_only(a in base::samples::stream(), b in base::samples::stream()) {
        prop_assert!(Diff::between(&a, &a).is_empty());
        prop_assert_eq!(Diff::between(&a, &b).is_empty(), a == b);
    }
}

#[test]
fn the_share_of_admitted_nodes_is_the_open_share() {
    let ids = 100_000u32;
    let warinesses: Vec<f64> = (0..ids)
        .map(|id| Wariness::from_node_id(&format!("{:032x}", u128::from(id) * 0x9e37_79b9_7f4a_7c15)).get())
        .collect();
    for share in [0.01, 0.1, 0.25, 0.5, 0.9, 0.99] {
        let open = crate::domain::rollout::share::OpenShare::Open(share);
        let admitted = warinesses.iter().filter(|wariness| !open.holds_back(Wariness::new(**wariness))).count();
        let expected = share * f64::from(ids);
        // Five standard deviations of a binomial distribution: the test fails by chance once in two million runs.
        let bound = 5.0 * (f64::from(ids) * share * (1.0 - share)).sqrt();
        let deviation = (f64::from(u32::try_from(admitted).unwrap()) - expected).abs();
        assert!(deviation < bound, "share {share}: {admitted} of {ids} admitted");
    }
}
