//! What is exported over upstream's own documents is never more open than what is served, whatever was done here since.

use crate::support::upstream::{self, Documents};
use lockkeeper::{
    domain::{
        barrier::Barrier,
        blocked::BlockedUpdate,
        duration::Minutes,
        epoch::Epoch,
        graph::{Graph, NodeIndex},
        origin::Origin,
        product::ProductName,
        ramp::{Course, Ramp},
        reason::Reason,
        release::{PayloadKey, ReleaseState},
        rollout::{Rollout, RolloutState},
        selector::{Label, Selector},
        share::Share,
        standing::Asker,
        stream::{Stream, StreamId, StreamName},
        wariness::Wariness,
    },
    exchange::fcos::{export::export, model::model},
    protocol::fcos::wire,
};
use proptest::{collection, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_700_000_000;

/// Something that somebody does to a release: what, to which, when, and how far.
type Deed = (u8, usize, i64, f64);

fn id() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

fn modelled(documents: &BTreeMap<String, Vec<u8>>) -> Stream {
    let text = |path: &str| documents.iter().find(|(name, _)| name.contains(path)).unwrap().1;
    let releases: wire::Releases = wire::from_json(text("releases.json")).unwrap();
    let updates: wire::Updates = wire::from_json(text("updates/")).unwrap();
    model(&id(), &releases, &updates).unwrap().stream
}

fn written(documents: &Documents) -> BTreeMap<String, Vec<u8>> {
    let named = |document: &serde_json::Value| {
        let mut document = document.clone();
        document["stream"] = "stable".into();
        document.to_string().into_bytes()
    };
    [("releases.json".into(), named(&documents.releases)), ("updates/stable.json".into(), named(&documents.updates))]
        .into()
}

fn apply(stream: &mut Stream, (what, which, seconds, share): Deed) {
    let count = stream.releases.len();
    if count == 0 {
        return;
    }
    let (age, at) = (which % count, Epoch(START + seconds));
    let reason = || Reason::given("here").unwrap();
    let ramp = Ramp {
        start: Some(at),
        start_share: None,
        course: Course::Linear { duration: Minutes(24 * 60), end_share: Share::given(share).unwrap() },
    };
    let rollout =
        |selector| Rollout { selector, ramp: ramp.clone(), state: RolloutState::Active, origin: Origin::Local };
    let canary = Selector { groups: Some([Label::parse("canary").unwrap()].into()), ..Selector::default() };
    if what == 9 {
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
    let verb = |rollout: &Rollout| match what {
        0 | 1 => rollout.pause(at),
        2 => rollout.resume(at),
        3 => rollout.complete(),
        _ => rollout.abort(),
    };
    match what {
        0..=4 => {
            for rollout in &mut release.rollouts {
                *rollout = verb(rollout).unwrap_or(rollout.clone());
            }
        }
        5 => release.state = ReleaseState::Withdrawn,
        6 => release.rollouts = vec![rollout(Selector::default())],
        7 => release.rollouts.insert(0, rollout(canary)),
        8 => release.barrier = Some(Barrier { reason: reason(), arches: None, origin: Origin::Local }),
        _ => release.barrier = None,
    }
}

/// The updates that a node may take, by version: upstream's age of one that is listed twice may differ.
fn open(stream: &Stream, key: &PayloadKey, asker: &Asker<'_>, now: Epoch) -> BTreeSet<(usize, usize)> {
    let graph = Graph::of(stream, &key.arch, &key.scheme);
    let standing = graph.standing(asker, now);
    let age = |index: NodeIndex| graph.node(index).unwrap().age;
    graph.open_edges(&standing).map(|edge| (age(edge.from), age(edge.to))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_exported_is_never_more_open_than_what_is_served(
        documents in upstream::documents(),
        deeds in collection::vec((0u8..11, 0usize..16, 0i64..300_000, 0.0..=1.0f64), 0..8),
        exported_at in 0i64..500_000,
        later in prop_oneof![Just(0i64), 0i64..300_000],
        wariness in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64],
        group in prop_oneof![Just(None), Just(Some("canary"))],
    ) {
        let sources = written(&documents);
        let mut stream = modelled(&sources);
        for deed in &deeds {
            apply(&mut stream, *deed);
        }
        let exported_at = Epoch(START + exported_at);
        let kinds = [("releases", "releases.json"), ("updates", "updates/stable.json")];
        let source = |kind: &str| {
            let (_, path) = kinds.iter().find(|(name, _)| *name == kind)?;
            sources.get(*path).map(Vec::as_slice)
        };
        let told = export(&stream, jiff::Timestamp::UNIX_EPOCH, exported_at, source);
        let told = modelled(&told.into_iter().map(|exported| (exported.path, exported.body)).collect());
        let now = exported_at.plus_seconds(later);
        let asker = Asker { group, platform: None, wariness: Wariness::given(wariness) };
        for key in stream.payload_keys() {
            let (told, served) = (open(&told, key, &asker, now), open(&stream, key, &asker, now));
            prop_assert!(told.is_subset(&served), "{key:?} told {told:?} served {served:?}");
            // With nothing done here, just as open.
            prop_assert!(!deeds.is_empty() || told == served, "{key:?} told {told:?} served {served:?}");
        }
    }
}
