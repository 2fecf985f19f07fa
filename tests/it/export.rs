//! Exports based on upstream's documents never offer more updates than the service does, after any local edits.

use crate::support::upstream::{self, Documents};
use lockkeeper::{
    domain::{
        duration::Minutes,
        epoch::Epoch,
        graph::{Graph, NodeIndex, visibility::NodeContext},
        ids::{ProductName, StreamId, StreamName},
        origin::Origin,
        policy::{barrier::Barrier, blocked_update::BlockedUpdate},
        reason::Reason,
        release::{PayloadKey, ReleaseState},
        rollout::{
            Rollout, RolloutClock, RolloutState,
            id::RolloutId,
            ramp::{Course, Ramp},
            selector::{Label, Selector},
            share::Share,
            wariness::Wariness,
        },
        stream::Stream,
    },
    exchange::fcos::{export::export, model::model},
    protocol::fcos::wire,
};
use proptest::{collection, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_700_000_000;

/// A local edit of a release: its kind, the release, the time, and a share.
type Edit = (u8, usize, i64, f64);

fn id() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

fn build_stream(documents: &BTreeMap<String, Vec<u8>>) -> Stream {
    let text = |path: &str| documents.iter().find(|(name, _)| name.contains(path)).unwrap().1;
    let releases: wire::Releases = wire::from_json(text("releases.json")).unwrap();
    let updates: wire::Updates = wire::from_json(text("updates/")).unwrap();
    model(&id(), &releases, &updates).unwrap().stream
}

fn texts(documents: &Documents) -> BTreeMap<String, Vec<u8>> {
    let text = |document: &serde_json::Value| {
        let mut document = document.clone();
        document["stream"] = "stable".into();
        document.to_string().into_bytes()
    };
    [("releases.json".into(), text(&documents.releases)), ("updates/stable.json".into(), text(&documents.updates))]
        .into()
}

fn apply(stream: &mut Stream, (kind, release, seconds, share): Edit) {
    let count = stream.releases.len();
    if count == 0 {
        return;
    }
    let (age, at) = (release % count, Epoch(START + seconds));
    let reason = || Reason::new("here").unwrap();
    let ramp = Ramp {
        start: Some(at),
        start_share: None,
        course: Course::Linear { duration: Minutes(24 * 60), end_share: Share::new(share).unwrap() },
    };
    let rollout = |selector: Selector| Rollout {
        id: RolloutId::NEW,
        selector: selector.into(),
        ramp: ramp.clone(),
        state: RolloutState::Active,
        clock: RolloutClock::default(),
        origin: Origin::Local,
    };
    let canary = Selector { groups: Some([Label::parse("canary").unwrap()].into()), ..Selector::default() };
    if kind == 9 {
        let version = |age: usize| stream.releases[age].version.clone();
        let (last, target) = (age, (age + 1).min(count - 1));
        let (first, last, target) = (version(age / 2), version(last), version(target));
        stream.blocked_updates.push(BlockedUpdate {
            first,
            last,
            target,
            reason: reason(),
            arches: None,
            origin: Origin::Local,
        });
        return;
    }
    let release = &mut stream.releases[age];
    let edit_rollout = |rollout: &Rollout| match kind {
        0 | 1 => rollout.pause(at),
        2 => rollout.resume(at),
        3 => rollout.complete(),
        _ => rollout.abort(),
    };
    match kind {
        0..=4 => {
            for rollout in &mut release.rollouts {
                *rollout = edit_rollout(rollout).unwrap_or(rollout.clone());
            }
        }
        5 => release.state = ReleaseState::Withdrawn,
        6 => release.rollouts = vec![rollout(Selector::default())],
        7 => release.rollouts.insert(0, rollout(canary)),
        8 => release.barrier = Some(Box::new(Barrier { reason: reason(), arches: None, origin: Origin::Local })),
        _ => release.barrier = None,
    }
}

/// Returns the updates that a node may take, by age index.
fn open_updates(
    stream: &Stream,
    key: &PayloadKey,
    node_context: &NodeContext<'_>,
    now: Epoch,
) -> BTreeSet<(usize, usize)> {
    let graph = Graph::new(stream, &key.arch, &key.scheme);
    let visibility = graph.visibility(node_context, now);
    let age = |index: NodeIndex| graph.node(index).unwrap().age;
    graph.open_edges(&visibility).map(|edge| (age(edge.from), age(edge.to))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn exports_never_offer_more_updates_than_the_service(
        documents in upstream::documents(),
        edits in collection::vec((0u8..11, 0usize..16, 0i64..300_000, 0.0..=1.0f64), 0..8),
        exported_at in 0i64..500_000,
        later in prop_oneof![Just(0i64), 0i64..300_000],
        wariness in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64],
        group in prop_oneof![Just(None), Just(Some("canary"))],
    ) {
        let sources = texts(&documents);
        let mut stream = build_stream(&sources);
        for edit in &edits {
            apply(&mut stream, *edit);
        }
        let exported_at = Epoch(START + exported_at);
        let kinds = [("releases", "releases.json"), ("updates", "updates/stable.json")];
        let source = |kind: &str| {
            let (_, path) = kinds.iter().find(|(name, _)| *name == kind)?;
            sources.get(*path).map(Vec::as_slice)
        };
        let exported = export(&stream, jiff::Timestamp::UNIX_EPOCH, exported_at, source);
        let exported = build_stream(&exported.into_iter().map(|exported| (exported.path, exported.body)).collect());
        let now = exported_at.plus_seconds(later);
        let node_context = NodeContext { group, platform: None, wariness: Wariness::new(wariness), is_stopped: false };
        for key in stream.payload_keys() {
            let (exported, served) = (open_updates(&exported, key, &node_context, now), open_updates(&stream, key, &node_context, now));
            prop_assert!(exported.is_subset(&served), "{key:?} exported {exported:?} served {served:?}");
            // Without local edits, both offer the same updates.
            prop_assert!(!edits.is_empty() || exported == served, "{key:?} exported {exported:?} served {served:?}");
        }
    }
}
