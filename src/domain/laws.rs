//! The laws of the graph, which hold for any stream, scope, node and time.

use super::{
    document::Strictness,
    epoch::Epoch,
    graph::{Edge, Graph, NodeIndex},
    payload::Scheme,
    ramp::{Course, Ramp},
    release::ReleaseState,
    route::End,
    samples,
    share::Share,
    standing::{Asker, Standing},
    stream::Stream,
    wariness::Wariness,
};
use crate::domain::{arch::Arch, diff::Diff};
use proptest::{option, prelude::*, sample::select};
use std::collections::BTreeSet;

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
    fn asker(&self) -> Asker<'_> {
        Asker { group: self.group, platform: self.platform, wariness: Wariness::given(self.wariness) }
    }

    fn graph(&self, stream: &Stream) -> Graph {
        Graph::of(stream, &self.arch, &self.scheme)
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

/// The edges that a node sees, by age, so that graphs of different streams compare.
fn open(graph: &Graph, standing: &Standing) -> BTreeSet<(usize, usize)> {
    let age = |index: NodeIndex| graph.node(index).unwrap().age;
    graph.open_edges(standing).map(|Edge { from, to }| (age(from), age(to))).collect()
}

fn open_to(stream: &Stream, question: &Question) -> BTreeSet<(usize, usize)> {
    let graph = question.graph(stream);
    open(&graph, &graph.standing(&question.asker(), question.now))
}

/// Changes every rollout in the stream.
fn with_rollouts(stream: &Stream, change: impl Fn(&mut super::rollout::Rollout)) -> Stream {
    let mut stream = stream.clone();
    stream.releases.iter_mut().flat_map(|release| &mut release.rollouts).for_each(change);
    stream
}

fn pushed_up(ramp: &Ramp, by: f64) -> Ramp {
    let up = |share: Share| Share::given((share.get() + by).min(1.0)).unwrap();
    let course = match &ramp.course {
        Course::Constant => Course::Constant,
        Course::Linear { duration, end_share } => Course::Linear { duration: *duration, end_share: up(*end_share) },
        Course::Steps(steps) => {
            Course::Steps(steps.iter().map(|step| super::ramp::Step { share: up(step.share), ..*step }).collect())
        }
    };
    Ramp { start_share: Some(up(ramp.start_share.unwrap_or(Share::NONE))), course, ..*ramp }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn updates_lead_to_younger_releases_alone(stream in samples::stream(), q in question()) {
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
    fn no_update_is_blocked(stream in samples::stream(), q in question()) {
        let edges: BTreeSet<_> = open_to(&stream, &q);
        for blocked in stream.blocked_updates.iter().filter(|blocked| blocked.holds_on(&q.arch)) {
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
    fn opening_further_takes_no_offer_away(stream in samples::stream(), q in question(), by in 0.0..=1.0f64) {
        let before = open_to(&stream, &q);
        let higher = with_rollouts(&stream, |rollout| rollout.ramp = pushed_up(&rollout.ramp, by));
        prop_assert!(open_to(&higher, &q).is_superset(&before));
        let later = Question { now: q.now.plus_seconds(3600), ..q.clone() };
        let scheduled_for_canary = q.wariness > 0.0;
        prop_assert!(!scheduled_for_canary || open_to(&stream, &later).is_superset(&before));
        let eager = Question { wariness: q.wariness / 2.0, ..q.clone() };
        prop_assert!(open_to(&stream, &eager).is_superset(&before));
        let completed = with_rollouts(&stream, |rollout| *rollout = rollout.complete().unwrap_or(rollout.clone()));
        prop_assert!(open_to(&completed, &q).is_superset(&before));
    }

    #[test]
    fn stopping_opens_nothing(stream in samples::stream(), q in question(), later in 0i64..100_000) {
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
    fn the_node_view_decides_as_the_whole_graph(stream in samples::stream(), q in question()) {
        let graph = q.graph(&stream);
        let standing = graph.standing(&q.asker(), q.now);
        for node in 0..graph.nodes().len() {
            let whole = graph.open_edges(&standing).filter(|edge| edge.from.0 == node).map(|edge| edge.to);
            let whole: Vec<NodeIndex> = whole.collect();
            let asker = q.asker();
            let view: Vec<NodeIndex> = graph.open_targets(NodeIndex(node), &asker, q.now).map(|(to, _)| to).collect();
            prop_assert_eq!(&view, &whole);
            // Agents take the highest.
            let best = |targets: &[NodeIndex]| targets.iter().copied().max_by_key(|target| graph.rank(*target));
            prop_assert_eq!(best(&view), best(&whole));
        }
    }

    #[test]
    fn nodes_are_found_by_payload_and_alias(stream in samples::stream(), q in question()) {
        let graph = q.graph(&stream);
        for (index, node) in graph.nodes().iter().enumerate() {
            let found = |payload: &str| graph.recognise(payload).map(|recognised| recognised.node);
            prop_assert_eq!(found(node.payload.as_str()), Some(NodeIndex(index)));
            let alias = node.payload.as_str().replace("payload-", "alias-");
            prop_assert_eq!(found(&alias), node.age.is_multiple_of(3).then_some(NodeIndex(index)));
        }
    }

    #[test]
    fn a_route_takes_what_the_graph_offers_then(stream in samples::stream(), q in question(), from in 0usize..14) {
        let graph = q.graph(&stream);
        if graph.nodes().is_empty() {
            return Ok(());
        }
        let from = from % graph.nodes().len();
        let route = graph.route(NodeIndex(from), &q.asker(), q.now);
        let (mut here, mut now) = (NodeIndex(from), q.now);
        for hop in &route.hops {
            let asker = q.asker();
            let best = |at| {
                let open = graph.open_targets(here, &asker, at).map(|(to, _)| to);
                open.max_by_key(|target| graph.rank(*target))
            };
            prop_assert_eq!(best(hop.at), Some(hop.to));
            prop_assert!(hop.at == now || best(hop.at.plus_seconds(-1)).is_none());
            (here, now) = (hop.to, hop.at);
        }
        prop_assert_eq!(graph.open_targets(here, &q.asker(), Epoch(i64::MAX - 1)).count(), 0);
        prop_assert_eq!(route.end == End::Newest, here.0 + 1 == graph.nodes().len() && graph.nodes()[here.0].dead_end.is_none());
    }

    #[test]
    fn documents_read_back(stream in samples::stream()) {
        let document = stream.to_document();
        prop_assert_eq!(Stream::from_document(&document, Strictness::Ours), Ok(stream.clone()));
        let json = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(&serde_json::from_str::<super::document::StreamDocument>(&json).unwrap(), &document);
        let toml = toml::to_string(&document).unwrap();
        prop_assert_eq!(&toml::from_str::<super::document::StreamDocument>(&toml).unwrap(), &document);
    }

    #[test]
    fn a_difference_is_empty_for_equal_streams_alone(a in samples::stream(), b in samples::stream()) {
        prop_assert!(Diff::between(&a, &a).is_empty());
        prop_assert_eq!(Diff::between(&a, &b).is_empty(), a == b);
    }
}

#[test]
fn the_share_of_nodes_let_in_is_the_open_share() {
    let ids = 100_000u32;
    let warinesses: Vec<f64> = (0..ids)
        .map(|id| Wariness::of_node(&format!("{:032x}", u128::from(id) * 0x9e37_79b9_7f4a_7c15)).get())
        .collect();
    for share in [0.01, 0.1, 0.25, 0.5, 0.9, 0.99] {
        let open = super::share::OpenShare::Open(share);
        let let_in = warinesses.iter().filter(|wariness| !open.holds_back(Wariness::given(**wariness))).count();
        let expected = share * f64::from(ids);
        // Five standard deviations of a binomial: wrong by chance once in two million runs.
        let bound = 5.0 * (f64::from(ids) * share * (1.0 - share)).sqrt();
        let off = (f64::from(u32::try_from(let_in).unwrap()) - expected).abs();
        assert!(off < bound, "share {share}: {let_in} of {ids} let in");
    }
}
