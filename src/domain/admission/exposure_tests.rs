//! Tests of exposure increases.

use super::*;
use crate::domain::{
    duration::Minutes,
    graph::visibility::NodeContext,
    policy::graph_rules::GraphRules,
    rollout::{share::Share, wariness::Wariness},
    samples,
};
use proptest::prelude::*;

/// Builds a stream of one published release that is no barrier and has these rollouts.
fn stream(rollouts: Vec<Rollout>) -> Stream {
    let version = Version::parse("1").unwrap();
    let release = Release { rollouts, ..Release::published(version, crate::domain::origin::Origin::Local) };
    Stream { releases: vec![release.into()], ..Stream::empty(samples::id()) }
}

fn effects(before: &Stream, after: &Stream, now: i64) -> Vec<&'static str> {
    exposure_increases(before, after, Epoch(now)).into_iter().map(|increase| increase.effect).collect()
}

/// Makes one change to a stream, with values of another.
fn edit(stream: &mut Stream, other: &Stream, kind: usize, at: usize) {
    match kind {
        0 => stream.rules.edge_rule = other.rules.edge_rule,
        1 => stream.rules.identity = other.rules.identity,
        2 => stream.blocked_updates.clone_from(&other.blocked_updates),
        _ => {
            let (Some(release), Some(theirs)) = (stream.releases.get_mut(at), other.releases.get(at)) else { return };
            match kind {
                3 => release.predecessors.clone_from(&theirs.predecessors),
                4 => release.rollouts.clone_from(&theirs.rollouts),
                5 => release.rollouts.clear(),
                6 => release.barrier.clone_from(&theirs.barrier),
                7 => release.dead_end.clone_from(&theirs.dead_end),
                _ => release.aliases.clone_from(&theirs.aliases),
            }
        }
    }
}

/// Returns the payloads that a node is offered that reports this name.
fn offers(graph: &Graph, name: &str, node_context: &NodeContext<'_>, at: Epoch) -> BTreeSet<PayloadId> {
    let Some(recognised) = graph.recognise(name) else { return BTreeSet::new() };
    let visibility = graph.visibility(node_context, at);
    let open = graph.untrimmed_open_edges(&visibility).filter(|edge| edge.from == recognised.node);
    open.map(|edge| graph.node(edge.to).unwrap().payload.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_change_increases_no_exposure(stream in samples::stream(), now in 0i64..400_000) {
        prop_assert_eq!(effects(&stream, &stream, now), Vec::<&str>::new());
    }

    #[test]
    fn pause_abort_and_hold_increase_nothing(rollout in samples::rollout(), now in 0i64..400_000, at in samples::share()) {
        let before = stream(vec![rollout.clone()]);
        for after in [rollout.pause(Epoch(now)), rollout.abort(), rollout.hold(Epoch(now), at)].into_iter().flatten() {
            prop_assert_eq!(effects(&before, &stream(vec![after]), now), Vec::<&str>::new());
        }
    }

    #[test]
    fn a_greater_share_at_any_later_time_is_an_increase(
        old in samples::rollout(), new in samples::rollout(), now in 0i64..400_000, later in 0i64..400_000,
    ) {
        let new = Rollout { selector: old.selector.clone(), ..new };
        let at = Epoch(now + later);
        if is_more(new.open_share(at), old.open_share(at)) {
            prop_assert_eq!(effects(&stream(vec![old]), &stream(vec![new]), now), vec!["opens further"]);
        }
    }

    #[test]
    fn a_change_without_an_increase_offers_no_node_more(
        before in samples::stream(), other in samples::stream(), edits in proptest::collection::vec((0usize..9, 0usize..17), 1..3),
        arch in samples::arch(), scheme in samples::scheme(), now in 0i64..400_000, later in 0i64..400_000,
        wariness in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64], group in proptest::option::of(Just("canary")),
    ) {
        let mut after = before.clone();
        for (kind, at) in edits {
            edit(&mut after, &other, kind, at);
        }
        if exposure_increases(&before, &after, Epoch(now)).is_empty() {
            let node_context =
                NodeContext { group, platform: None, wariness: Wariness::new(wariness), is_stopped: false };
            let at = Epoch(now + later);
            let [old, new] = [&before, &after].map(|stream| Graph::new(stream, &arch, &scheme));
            let names: Vec<String> = new.names().map(std::borrow::Cow::into_owned).collect();
            for name in names {
                let (was, is) = (offers(&old, &name, &node_context, at), offers(&new, &name, &node_context, at));
                prop_assert!(is.is_subset(&was), "{} was offered {:?} and is offered {:?}", name, was, is);
            }
        }
    }

    #[test]
    fn withdrawing_increases_nothing(before in samples::stream(), now in 0i64..400_000) {
        let mut after = before.clone();
        for release in &mut after.releases {
            if release.state == ReleaseState::Published {
                release.state = ReleaseState::Withdrawn;
            }
        }
        prop_assert_eq!(effects(&before, &after, now), Vec::<&str>::new());
        let published = before.releases.iter().filter(|release| release.state == ReleaseState::Published).count();
        prop_assert_eq!(effects(&after, &before, now), vec!["is published"; published]);
    }
}

#[test]
fn resume_complete_accelerate_and_start_increase_exposure() {
    let rollout = crate::domain::rollout::preset::Preset::Linear48h.rollout(Epoch(1000));
    let paused = rollout.pause(Epoch(5000)).unwrap();
    let opened =
        |before: &Rollout, after: Rollout, now| effects(&stream(vec![before.clone()]), &stream(vec![after]), now);
    assert_eq!(opened(&paused, paused.resume(Epoch(9000)).unwrap(), 9000), ["opens further"]);
    assert_eq!(opened(&rollout, rollout.complete().unwrap(), 5000), ["opens further"]);
    assert_eq!(opened(&rollout, rollout.accelerate(Epoch(5000), Minutes(60)).unwrap(), 5000), ["opens further"]);
    assert_eq!(opened(&rollout, rollout.start(Epoch(10)).unwrap(), 10), ["opens further"]);
    assert_eq!(opened(&rollout, rollout.hold(Epoch(5000), Share::new(0.5).unwrap()).unwrap(), 5000), [""; 0]);
}

#[test]
fn added_removed_and_replaced_rollouts_are_detected() {
    let rollout = crate::domain::rollout::preset::Preset::Linear48h.rollout(Epoch(1000));
    let closed = rollout.abort().unwrap();
    let none = stream(Vec::new());
    let with = |rollouts: &[&Rollout]| stream(rollouts.iter().map(|rollout| (*rollout).clone()).collect());
    assert_eq!(effects(&none, &with(&[&rollout]), 0), ["gets a rollout"]);
    assert_eq!(effects(&none, &with(&[&closed]), 0), [""; 0]);
    assert_eq!(effects(&with(&[&rollout]), &none, 0), [""; 0]);
    assert_eq!(effects(&with(&[&rollout]), &with(&[&rollout, &closed]), 0), [""; 0]);
    assert_eq!(effects(&with(&[&rollout]), &with(&[&rollout, &rollout]), 0), ["gets different rollouts"]);
    assert_eq!(effects(&with(&[&closed, &rollout]), &with(&[&rollout]), 0), ["gets different rollouts"]);
    let barrier = |mut stream: Stream| {
        let reason = crate::domain::reason::Reason::new("keys").unwrap();
        let origin = crate::domain::origin::Origin::Local;
        stream.releases[0].barrier =
            Some(Box::new(crate::domain::policy::barrier::Barrier { reason, arches: None, origin }));
        stream
    };
    assert_eq!(
        effects(&barrier(with(&[&rollout])), &barrier(none.clone()), 0),
        ["is a barrier and loses its rollouts"]
    );
    assert_eq!(effects(&barrier(none), &barrier(with(&[&rollout])), 0), [""; 0]);
}

#[test]
fn another_order_of_known_releases_is_an_increase() {
    let with = |versions: &[&str]| {
        let release = |version: &&str| {
            Release::published(Version::parse(version).unwrap(), crate::domain::origin::Origin::Upstream)
        };
        Stream {
            releases: versions.iter().map(|version| release(version).into()).collect(),
            ..Stream::empty(samples::id())
        }
    };
    let before = with(&["1", "2", "3"]);
    let order = "has another place in the order of releases";
    assert_eq!(effects(&before, &with(&["1", "3", "2"]), 0), [order; 2]);
    assert_eq!(effects(&before, &with(&["1", "2", "3"]), 0), [""; 0]);
    // A release that was removed moves no other.
    assert_eq!(effects(&before, &with(&["1", "3"]), 0), [""; 0]);
}

#[test]
fn another_payload_of_a_published_release_is_an_increase() {
    let before = stream(Vec::new());
    let payload = |id: &str| crate::domain::payload::Payload { id: PayloadId::parse(id).unwrap(), synthetic: false };
    let with = |state: ReleaseState, id: &str| {
        let mut stream = before.clone();
        let key = PayloadKey {
            arch: crate::domain::ids::Arch::parse("x86_64").unwrap(),
            scheme: crate::domain::payload::Scheme::checksum(),
        };
        (stream.releases[0].state, _) = (state, stream.releases[0].payloads.insert(key, payload(id)));
        stream
    };
    let published = |id| with(ReleaseState::Published, id);
    assert_eq!(effects(&published("a"), &published("b"), 0), ["is offered as another payload"]);
    assert_eq!(effects(&published("a"), &published("a"), 0), [""; 0]);
    let withdrawn = |id| with(ReleaseState::Withdrawn, id);
    assert_eq!(effects(&withdrawn("a"), &withdrawn("b"), 0), [""; 0]);
}

/// A barrier of one arch is not a target on the others until it gets a rollout, which lifting a stop would open.
#[test]
fn a_rollout_on_a_barrier_of_one_arch_increases_exposure_on_the_others() {
    use crate::domain::{
        ids::Arch,
        payload::{Payload, PayloadId, Scheme},
        policy::barrier::Barrier,
    };
    let arch = |name: &str| Arch::parse(name).unwrap();
    let with = |rollouts: Vec<Rollout>, arches: &[&str]| {
        let mut stream = stream(rollouts);
        for name in ["aarch64", "x86_64"] {
            let key = PayloadKey { arch: arch(name), scheme: Scheme::checksum() };
            let payload = Payload { id: PayloadId::parse(name).unwrap(), synthetic: false };
            stream.releases[0].payloads.insert(key, payload);
        }
        stream.releases[0].barrier = Some(Box::new(Barrier {
            reason: crate::domain::reason::Reason::new("keys").unwrap(),
            arches: Some(arches.iter().map(|name| arch(name)).collect()),
            origin: crate::domain::origin::Origin::Local,
        }));
        stream
    };
    let rollout = crate::domain::rollout::preset::Preset::Linear48h.rollout(Epoch(1000));
    let opened = |arches: &[&str]| effects(&with(Vec::new(), arches), &with(vec![rollout.clone()], arches), 0);
    assert_eq!(opened(&["x86_64"]), ["gets a rollout"]);
    assert_eq!(opened(&["aarch64", "x86_64"]), [""; 0]);
}

#[test]
fn rules_that_offer_or_recognise_more_are_increases() {
    let release = |number: usize| {
        let key = PayloadKey {
            arch: crate::domain::ids::Arch::parse("x86_64").unwrap(),
            scheme: crate::domain::payload::Scheme::checksum(),
        };
        let id = PayloadId::parse(&format!("{number:064x}")).unwrap();
        let mut release =
            Release::published(Version::parse(&number.to_string()).unwrap(), crate::domain::origin::Origin::Local);
        release.payloads.insert(key, crate::domain::payload::Payload { id, synthetic: false });
        release.into()
    };
    let derived = Stream { releases: (0..3).map(release).collect(), ..Stream::empty(samples::id()) };
    let with = |edge_rule| Stream { rules: GraphRules { edge_rule, ..derived.rules }, ..derived.clone() };
    let (open, explicit) = (with(EdgeRule::Open), with(EdgeRule::Explicit));
    assert_eq!(effects(&derived, &open, 0), ["is offered to more nodes"; 2]);
    assert_eq!(effects(&open, &derived, 0), [""; 0]);
    assert_eq!(effects(&derived, &explicit, 0), [""; 0]);
    let mut listed = explicit.clone();
    listed.releases[2].predecessors = Some(Box::new(crate::domain::policy::predecessors::Predecessors {
        versions: [Version::parse("0").unwrap()].into(),
        origin: crate::domain::origin::Origin::Local,
    }));
    assert_eq!(effects(&explicit, &listed, 0), ["is offered to more nodes"]);
    assert_eq!(effects(&listed, &explicit, 0), [""; 0]);
    for stream in [&open, &listed] {
        let mut held_back = stream.clone();
        held_back.releases[2].rollouts = vec![crate::domain::rollout::preset::Preset::Linear48h.rollout(Epoch(1000))];
        assert_eq!(effects(stream, &held_back, 0), [""; 0]);
        assert_eq!(effects(&held_back, stream, 0), ["loses its rollouts"]);
        let mut draft = stream.clone();
        draft.releases[2].state = ReleaseState::Draft;
        assert_eq!(effects(&draft, stream, 0), ["is published"]);
        // Nodes on the two older releases are recognised in another way.
        let by_version = Stream { rules: GraphRules { identity: Identity::Version, ..stream.rules }, ..stream.clone() };
        let sources = if stream.rules.edge_rule == EdgeRule::Open { 2 } else { 1 };
        assert_eq!(effects(stream, &by_version, 0), vec!["is recognised by its version"; sources]);
        assert_eq!(effects(&by_version, stream, 0), vec!["is recognised by its payloads"; sources]);
    }
}

/// A comparison of all pairs of 20,000 releases would take 200 million steps.
#[test]
fn a_change_of_many_open_releases_is_compared_in_a_moment() {
    let text = |open: bool| {
        let release = |n: usize| {
            format!(
                "[[releases]]\nversion = \"{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"checksum\", id = \"{n:064x}\" }}]\n"
            )
        };
        let releases = (0..20_000).map(release).collect::<Vec<_>>().concat();
        let rule = if open { "edge_rule = \"open\"" } else { "" };
        format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{rule}\n{releases}")
    };
    let [derived, open] = [false, true].map(|open| {
        let document = toml::from_str(&text(open)).unwrap();
        Stream::from_document(&document, crate::domain::document::Strictness::Strict).unwrap()
    });
    assert_eq!(effects(&derived, &open, 0).len(), 19_999);
    let impact = crate::domain::admission::impact::compute_impact(&derived, &open, Epoch(0), &|| false).unwrap();
    assert_eq!((impact.scopes[0].gained.count, impact.scopes[0].gained.first.len()), (19_999 * 20_000 / 2, 100));
    assert_eq!((impact.scopes[0].affected_now, impact.scopes[0].lost.count), (1.0, 0));
    let mut withdrawn = open.clone();
    withdrawn.releases[10_000].state = ReleaseState::Withdrawn;
    assert_eq!(effects(&withdrawn, &open, 0), ["is published"]);
    assert_eq!(crate::domain::admission::lint::lint(&open, Epoch(0)), []);
}
