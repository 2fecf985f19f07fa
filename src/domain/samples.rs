//! Generators for property tests: streams, rollouts and nodes of every shape that the types allow.

use super::{
    admission::{
        emergency_stop::EmergencyStop,
        freeze_window::{FreezeSpan, FreezeWindow, WeekTime, Zone},
        protection::Protection,
    },
    artifact::{Artifact, ArtifactKey, ArtifactName, Location, Notes, Promotion},
    description::Description,
    duration::Minutes,
    epoch::Epoch,
    follow::{Follow, FollowMode, TagPattern},
    hash::ContentHash,
    ids::{Arch, ProductName, StreamId, StreamName, Version},
    origin::Origin,
    payload::{Payload, PayloadId, Repository, Scheme},
    policy::{
        barrier::Barrier,
        blocked_update::BlockedUpdate,
        dead_end::DeadEnd,
        graph_rules::{EdgeRule, GraphRules, Identity, NewestTargets, TargetLimit},
        predecessors::Predecessors,
    },
    reason::Reason,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    rollout::{
        Rollout, RolloutClock, RolloutState,
        id::RolloutId,
        preset::Preset,
        ramp::{Course, Ramp},
        selector::{Label, Selector},
        share::Share,
        step::{Step, StepGate},
    },
    stream::{SourceKind, Stream},
};
use litemap::LiteMap;
use proptest::{
    collection, option,
    prelude::*,
    sample::{Index, select},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ARCHES: [&str; 3] = ["aarch64", "s390x", "x86_64"];
pub(crate) const GROUPS: [&str; 2] = ["canary", "default"];
pub(crate) const PLATFORMS: [&str; 2] = ["aws", "metal"];

pub(crate) fn arch() -> impl Strategy<Value = Arch> {
    select(&ARCHES).prop_map(|name| Arch::parse(name).unwrap())
}

pub(crate) fn scheme() -> impl Strategy<Value = Scheme> {
    select(vec![Scheme::checksum(), Scheme::oci()])
}

fn label(names: &'static [&'static str]) -> impl Strategy<Value = Label> {
    select(names).prop_map(|name| Label::parse(name).unwrap())
}

fn repository() -> impl Strategy<Value = Repository> {
    select(vec!["mirror.example/os", "quay.io/os/os"]).prop_map(|name| Repository::parse(name).unwrap())
}

fn some_of<T: Ord + std::fmt::Debug>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Option<BTreeSet<T>>> {
    option::weighted(0.3, collection::btree_set(values, 1..=2))
}

pub(crate) fn origin() -> impl Strategy<Value = Origin> {
    select(Origin::ALL)
}

fn reason() -> impl Strategy<Value = Reason> {
    "[ -~é]{0,8}[a-z]".prop_map(|text| Reason::new(&text).unwrap())
}

pub(crate) fn share() -> impl Strategy<Value = Share> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64].prop_map(|share| Share::new(share).unwrap())
}

/// Generates ramps whose share never falls, which is required of local ramps.
pub(crate) fn ramp() -> impl Strategy<Value = Ramp> {
    let course = prop_oneof![
        2 => Just(None),
        4 => (0u64..3000, share()).prop_map(|(minutes, end)| Some((vec![minutes], vec![end]))),
        2 => (collection::btree_set(0u64..3000, 0..5), collection::vec(share(), 5))
            .prop_map(|(times, shares)| Some((times.into_iter().collect(), shares))),
    ];
    (option::of(0i64..200_000), option::of(share()), course, any::<bool>()).prop_map(
        |(start, start_share, course, line)| {
            let floor = start_share.unwrap_or(Share::NONE);
            let above = |share: Share| if share < floor { floor } else { share };
            let course = match course {
                None => Course::Constant,
                Some((times, shares)) if line && times.len() == 1 => {
                    Course::Linear { duration: Minutes(times[0]), end_share: above(shares[0]) }
                }
                Some((times, mut shares)) => {
                    shares.sort_by(|a, b| a.get().total_cmp(&b.get()));
                    let ends: Vec<u64> = times.iter().skip(1).copied().chain([u64::MAX]).collect();
                    let steps = times.into_iter().zip(ends).zip(shares).map(|((after, next), share)| {
                        // Some steps take time, up to the next one; some are gates.
                        let over = if line { (after % 7 * 60).min(next - after) } else { 0 };
                        let gate = match after % 10 {
                            0 if line => StepGate::Closed,
                            5 if line => StepGate::Passed,
                            _ => StepGate::None,
                        };
                        Step { over: Minutes(over), gate, ..Step::at_once(Minutes(after), above(share)) }
                    });
                    Course::Steps(steps.collect())
                }
            };
            Ramp { start: start.map(Epoch), start_share, course }
        },
    )
}

fn rollout_state() -> impl Strategy<Value = RolloutState> {
    prop_oneof![
        6 => Just(RolloutState::Active),
        2 => (0i64..400_000).prop_map(|at| RolloutState::Paused { at: Epoch(at) }),
        1 => Just(RolloutState::Completed),
        1 => Just(RolloutState::Aborted),
    ]
}

pub(crate) fn rollout() -> impl Strategy<Value = Rollout> {
    let selector = (some_of(arch()), some_of(scheme()), some_of(label(&GROUPS)), some_of(label(&PLATFORMS)))
        .prop_map(|(arches, schemes, groups, platforms)| Selector { arches, schemes, groups, platforms });
    let stood_still = prop_oneof![3 => Just(0), 1 => 0i64..100_000];
    let clock = (stood_still, option::of((0i64..400_000).prop_map(Epoch)))
        .prop_map(|(stood_still, first_opened)| RolloutClock { stood_still, first_opened });
    (selector, ramp(), rollout_state(), clock, origin()).prop_map(|(selector, ramp, state, clock, origin)| Rollout {
        id: RolloutId::NEW,
        selector: selector.into(),
        ramp,
        state,
        clock,
        origin,
    })
}

pub(crate) fn freeze_window() -> impl Strategy<Value = FreezeWindow> {
    let minute = 0..7 * 1440u32;
    let week = |minute: u32| {
        let day =
            ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"][(minute / 1440) as usize];
        WeekTime::parse(&format!("{day} {:02}:{:02}", minute / 60 % 24, minute % 60)).unwrap()
    };
    let zone = select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]);
    let weekly = (minute, 1..7 * 1440u32, zone).prop_map(move |(from, length, zone)| FreezeSpan::Weekly {
        from: week(from),
        until: week((from + length) % (7 * 1440)),
        zone: Zone::from_name(zone).unwrap(),
    });
    let once = (0i64..400_000, 1i64..400_000)
        .prop_map(|(from, length)| FreezeSpan::Between { from: Epoch(from), until: Epoch(from + length) });
    (prop_oneof![weekly, once], reason()).prop_map(|(span, reason)| FreezeWindow { span, reason })
}

fn protection() -> impl Strategy<Value = Protection> {
    let windows = prop_oneof![4 => Just(Vec::new()), 1 => collection::vec(freeze_window(), 1..3)];
    let canaries = prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![Label::parse("canary").unwrap()])];
    (option::weighted(0.2, 0u64..5000), canaries, windows).prop_map(|(shortest, canaries, freeze_windows)| Protection {
        shortest_rollout: shortest.map(Minutes),
        canaries: canaries.into_iter().collect(),
        freeze_windows,
    })
}

fn stop() -> impl Strategy<Value = Option<EmergencyStop>> {
    option::weighted(0.1, (0i64..400_000, reason()))
        .prop_map(|stop| stop.map(|(since, reason)| EmergencyStop { since: Epoch(since), reason }))
}

fn follow() -> impl Strategy<Value = Option<Box<Follow>>> {
    let rollout = prop_oneof![Just(None), select(Preset::ALL).prop_map(Some)];
    let follow = (repository(), select(vec!["^stable$", r"^v\d+"]), select(FollowMode::ALL), rollout);
    let follow = follow.prop_map(|(image, tags, mode, rollout)| {
        Box::new(Follow { image, tags: TagPattern::parse(tags).unwrap(), mode, rollout })
    });
    option::weighted(0.3, follow)
}

pub(crate) fn graph_rules() -> impl Strategy<Value = GraphRules> {
    let edge_rule = prop_oneof![2 => Just(EdgeRule::Derived), 1 => Just(EdgeRule::Open), 1 => Just(EdgeRule::Explicit)];
    let identity = prop_oneof![3 => Just(Identity::Payload), 1 => Just(Identity::Version)];
    let newest = option::of((1u16..4).prop_map(|number| NewestTargets::new(number).unwrap()));
    (edge_rule, identity, newest.prop_map(TargetLimit::from)).prop_map(|(edge_rule, identity, targets)| GraphRules {
        edge_rule,
        identity,
        targets,
    })
}

/// Generates, for each of so many releases, which of the older ones are its predecessors.
fn predecessors(releases: usize) -> impl Strategy<Value = Vec<Option<(Vec<Index>, Origin)>>> {
    let listed = option::weighted(0.6, (collection::vec(any::<Index>(), 1..4), origin()));
    collection::vec(listed, releases)
}

/// Sets the predecessors of releases. The oldest one has none.
fn set_predecessors(releases: &mut [Release], listed: Vec<Option<(Vec<Index>, Origin)>>) {
    let versions: Vec<Version> = releases.iter().map(|release| release.version.clone()).collect();
    for (number, (release, listed)) in releases.iter_mut().zip(listed).enumerate().skip(1) {
        release.predecessors = listed.map(|(indices, origin)| {
            let versions = indices.iter().map(|index| index.get(&versions[..number]).clone()).collect();
            Box::new(Predecessors { versions, origin })
        });
    }
}

fn artifacts() -> impl Strategy<Value = LiteMap<ArtifactKey, Artifact>> {
    let key = (arch(), select(vec!["metal.raw.xz", "live.iso"]))
        .prop_map(|(arch, name)| ArtifactKey { arch, name: ArtifactName::parse(name).unwrap() });
    let artifact =
        (option::of(any::<[u8; 32]>()), option::of(0u64..=i64::MAX.cast_unsigned())).prop_map(|(sha256, size)| {
            Artifact {
                location: Location::parse("https://builds.example/x").unwrap(),
                sha256: sha256.map(ContentHash),
                size,
            }
        });
    let some = collection::btree_map(key, artifact, 1..3).prop_map(|some| some.into_iter().collect());
    prop_oneof![3 => Just(LiteMap::new_vec()), 1 => some]
}

/// Builds a payload id in the form of its scheme.
pub(crate) fn payload_id(kind: &str, number: usize, arch: &Arch, scheme: &Scheme) -> PayloadId {
    let digest = ContentHash::from_content(format!("{kind} {number} {arch} {scheme}").as_bytes());
    let is_image = *scheme == Scheme::oci();
    let text = if is_image { format!("quay.io/os/images@sha256:{digest}") } else { digest.to_string() };
    PayloadId::parse(&text).unwrap()
}

fn release(number: usize) -> impl Strategy<Value = Release> {
    let version = Version::parse(&format!("4{}.2026.{number}", number % 10)).unwrap();
    let keys = collection::btree_set((arch(), scheme()), 0..=6);
    let synthetic = any::<bool>();
    let barrier = option::weighted(0.2, (reason(), some_of(arch()), origin()))
        .prop_map(|barrier| barrier.map(|(reason, arches, origin)| Box::new(Barrier { reason, arches, origin })));
    let dead_end = option::weighted(0.1, (reason(), some_of(arch()), origin()))
        .prop_map(|dead_end| dead_end.map(|(reason, arches, origin)| Box::new(DeadEnd { reason, arches, origin })));
    let rollouts = prop_oneof![3 => Just(Vec::new()), 2 => collection::vec(rollout(), 1..=3)];
    let state = prop_oneof![8 => Just(ReleaseState::Published), 1 => Just(ReleaseState::Withdrawn)];
    let metadata = (option::weighted(0.2, "[ -~é]{1,9}"), artifacts(), option::weighted(0.1, 0usize..9));
    (keys, synthetic, barrier, dead_end, rollouts, state, origin(), metadata).prop_map(
        move |(keys, synthetic, barrier, dead_end, rollouts, state, origin, (notes, artifacts, from))| {
            let mut release = Release::published(version.clone(), origin);
            let alias_origin = if synthetic { Origin::Upstream } else { origin };
            for (arch, scheme) in keys {
                let id = |kind| payload_id(kind, number, &arch, &scheme);
                let key = PayloadKey { arch: arch.clone(), scheme: scheme.clone() };
                if number.is_multiple_of(3) {
                    release.aliases.insert(key.clone(), LiteMap::from_iter([(id("alias"), alias_origin)]));
                }
                release.payloads.insert(key, Payload { id: id("payload"), synthetic });
            }
            let suppressed_upstream = PolicyKind::ALL.iter().copied().filter(|policy| match policy {
                PolicyKind::Barrier => barrier.is_none() && synthetic,
                PolicyKind::DeadEnd => dead_end.is_none() && !synthetic,
                PolicyKind::Rollouts => rollouts.is_empty() && synthetic,
            });
            let suppressed_upstream = suppressed_upstream.collect();
            let notes = notes.map(|notes| Notes::parse(&notes).unwrap());
            let promoted_from = from.map(|number| {
                let version = Version::parse(&number.to_string()).unwrap();
                Box::new(Promotion { stream: StreamName::parse("testing").unwrap(), version })
            });
            let release = Release {
                state,
                barrier,
                dead_end,
                rollouts,
                suppressed_upstream,
                notes,
                artifacts,
                promoted_from,
                ..release
            };
            if synthetic { with_other_ids(release) } else { release.with_numbered_rollouts() }
        },
    )
}

/// Numbers the rollouts in the reverse of their order, after one that no longer exists.
fn with_other_ids(mut release: Release) -> Release {
    for rollout in (0..release.rollouts.len()).rev() {
        release.rollouts[rollout].id = release.next_rollout_id();
    }
    release.next_rollout_id();
    release
}

/// Generates any stream that a strict document can describe.
pub(crate) fn stream() -> impl Strategy<Value = Stream> {
    (0usize..14, 0usize..3)
        .prop_flat_map(|(aged, drafts)| {
            let releases: Vec<_> = (0..aged + drafts).map(release).collect();
            let blocked =
                collection::vec((0..14usize, 0..14usize, 0..14usize, reason(), some_of(arch()), origin()), 0..3);
            let mirrors = collection::btree_set(repository(), 0..3);
            let settings =
                (collection::btree_set(arch(), 0..3), mirrors, protection(), stop(), graph_rules(), follow());
            let predecessors = predecessors(aged + drafts);
            (Just(aged), releases, predecessors, blocked, settings, any::<bool>())
        })
        .prop_map(|(aged, mut releases, predecessors, blocked, settings, has_sources)| {
            let (arches, mirrors, protection, stop, rules, follow) = settings;
            set_predecessors(&mut releases, predecessors);
            for draft in releases.iter_mut().skip(aged) {
                draft.state = ReleaseState::Draft;
            }
            let at = |age: usize| releases.get(age).map(|release| release.version.clone());
            let mut blocked_updates: Vec<BlockedUpdate> = blocked
                .into_iter()
                .filter_map(|(first, more, further, reason, arches, origin)| {
                    let last = first + more;
                    let target = first + 1 + further;
                    Some(BlockedUpdate {
                        first: at(first)?,
                        last: at(last)?,
                        target: at(target)?,
                        reason,
                        arches,
                        origin,
                    })
                })
                .collect();
            let all = std::mem::take(&mut blocked_updates);
            for blocked in all {
                if !blocked_updates.iter().any(|known| known.blocks_same(&blocked)) {
                    blocked_updates.push(blocked);
                }
            }
            let sources = if has_sources {
                BTreeMap::from([(SourceKind::parse("releases").unwrap(), ContentHash::from_content(b"releases"))])
            } else {
                BTreeMap::new()
            };
            let stream = Stream {
                id: id(),
                description: Description::parse(&"a stream\n".repeat(aged)).ok(),
                arches,
                mirrors,
                rules,
                protection,
                default_rollout: Preset::ALL.get(aged).copied(),
                base: None,
                follow,
                stop,
                product_stop: None,
                releases: releases.into_iter().map(Into::into).collect(),
                blocked_updates,
                sources,
            };
            with_named_arches(stream)
        })
}

/// Adds every arch that the policies name, because they must not name an arch that the stream does not have.
fn with_named_arches(mut stream: Stream) -> Stream {
    let mut named = BTreeSet::new();
    for release in &stream.releases {
        named.extend(release.barrier.iter().filter_map(|barrier| barrier.arches.clone()).flatten());
        named.extend(release.dead_end.iter().filter_map(|dead_end| dead_end.arches.clone()).flatten());
        named.extend(release.rollouts.iter().filter_map(|rollout| rollout.selector.arches.clone()).flatten());
    }
    named.extend(stream.blocked_updates.iter().filter_map(|blocked| blocked.arches.clone()).flatten());
    let with_payload: BTreeSet<Arch> =
        stream.releases.iter().flat_map(|release| release.payloads.keys()).map(|key| key.arch.clone()).collect();
    stream.arches.extend(named.into_iter().filter(|arch| !with_payload.contains(arch)));
    stream
}

pub(crate) fn id() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}
