//! Exposure increases: releases that a change offers to some node earlier, or to a greater share of nodes, than before.

use crate::domain::{
    epoch::Epoch,
    graph::{Edge, Graph},
    ids::Version,
    payload::PayloadId,
    release::{PayloadKey, Release, ReleaseState},
    rollout::{Rollout, RolloutState, share::OpenShare},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet};

/// A release whose exposure a change increases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureIncrease {
    /// The release.
    pub version: Version,
    /// How the exposure increases, as a predicate: "is published".
    pub effect: &'static str,
}

/// Returns the releases whose exposure a change increases at `now` or later.
#[must_use]
pub fn exposure_increases(before: &Stream, after: &Stream, now: Epoch) -> Vec<ExposureIncrease> {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let by_rollouts = after.identified().into_iter().filter_map(|(identity, release)| {
        let effect = rollout_effect(known.get(&identity).copied(), release, now)?;
        Some(ExposureIncrease { version: release.version.clone(), effect })
    });
    let changes = by_rollouts.chain(added_offers(before, after)).chain(replaced_payloads(before, after));
    changes.chain(reordered(before, after)).chain(newly_recognised(before, after)).collect()
}

/// Returns the known releases whose order among each other differs: nodes on one would be offered another that was older before.
fn reordered(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let order = |stream: &'_ Stream, other: &Stream| -> Vec<(Version, usize)> {
        let others: BTreeSet<_> = other.aged_identities().collect();
        stream.aged_identities().filter(|identity| others.contains(identity)).map(|(v, n)| (v.clone(), n)).collect()
    };
    let (old, new) = (order(before, after), order(after, before));
    let moved = old.iter().zip(&new).filter(|(old, new)| old != new);
    let effect = "has another place in the order of releases";
    moved.map(|(_, (version, _))| ExposureIncrease { version: version.clone(), effect }).collect()
}

/// Returns the releases that stay published and have another payload than before on some arch and scheme: nodes would be offered an image
/// that they were not offered before.
fn replaced_payloads(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let is_published = |release: &&Release| release.state == ReleaseState::Published;
    let old: BTreeMap<_, _> = before.identified().into_iter().filter(|(_, release)| is_published(release)).collect();
    let new = after.identified().into_iter().filter(|(_, release)| is_published(release));
    let is_replaced = |old: &Release, new: &Release| {
        new.payloads.iter().any(|(key, payload)| old.payloads.get(key).is_some_and(|known| known.id != payload.id))
    };
    let replaced = new.filter(|(identity, release)| old.get(identity).is_some_and(|old| is_replaced(old, release)));
    let effect = "is offered as another payload";
    replaced.map(|(_, release)| ExposureIncrease { version: release.version.clone(), effect }).collect()
}

/// Returns the releases that have updates and whose nodes are recognised by more payloads or mirrors than before.
fn newly_recognised(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let has_more_mirrors = !after.mirrors.is_subset(&before.mirrors);
    let known: BTreeSet<_> =
        before.releases.iter().flat_map(|release| aliases(release).chain(payloads(release))).collect();
    // The payloads of a release that this change publishes are reported as published, not as recognised.
    let was_published = before.releases.iter().filter(|release| release.state != ReleaseState::Draft);
    let published: BTreeSet<&Version> = was_published.map(|release| &release.version).collect();
    let is_new = |release: &Release| {
        has_more_mirrors && release.payloads.values().any(|payload| payload.id.pull_spec().is_some())
            || aliases(release).any(|id| !known.contains(&id))
            || published.contains(&release.version) && payloads(release).any(|id| !known.contains(&id))
    };
    let new: BTreeSet<&Version> =
        after.releases.iter().filter(|release| is_new(release)).map(|release| &release.version).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let mut with_updates = BTreeSet::new();
    for key in after.payload_keys() {
        let graph = Graph::new(after, &key.arch, &key.scheme);
        with_updates
            .extend(updates(&graph).into_iter().map(|(from, _)| from).filter(|from| new.contains(from)).cloned());
    }
    let effect = "is recognised by more payloads";
    with_updates.into_iter().map(|version| ExposureIncrease { version, effect }).collect()
}

fn aliases(release: &Release) -> impl Iterator<Item = (&Version, &PayloadKey, &PayloadId)> {
    release.aliases.iter().flat_map(move |(key, ids)| ids.keys().map(move |id| (&release.version, key, id)))
}

fn payloads(release: &Release) -> impl Iterator<Item = (&Version, &PayloadKey, &PayloadId)> {
    release.payloads.iter().map(move |(key, payload)| (&release.version, key, &payload.id))
}

/// Returns the releases that are offered from more releases, or on more scopes, for other reasons than release states and rollouts.
fn added_offers(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let base = with_states_and_rollouts_only(before, after);
    if base == *after {
        return Vec::new();
    }
    let mut offered = BTreeSet::new();
    for key in after.payload_keys() {
        let [old_graph, new_graph] = [&base, after].map(|stream| Graph::new(stream, &key.arch, &key.scheme));
        let known = updates(&old_graph);
        offered.extend(updates(&new_graph).difference(&known).map(|(_, to)| (*to).clone()));
    }
    offered.into_iter().map(|version| ExposureIncrease { version, effect: "is offered to more nodes" }).collect()
}

/// Returns the next state as it would be if only release states and rollouts had changed.
fn with_states_and_rollouts_only(before: &Stream, after: &Stream) -> Stream {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let old_releases: Vec<Option<&Release>> =
        after.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut base = after.clone();
    base.blocked_updates.clone_from(&before.blocked_updates);
    for (release, old) in base.releases.iter_mut().zip(old_releases) {
        if let Some(old) = old {
            release.payloads.clone_from(&old.payloads);
            release.barrier.clone_from(&old.barrier);
            release.dead_end.clone_from(&old.dead_end);
        }
    }
    base
}

/// Returns the updates that nodes may be offered now or later. Updates to releases with only aborted rollouts are left out.
fn updates(graph: &Graph) -> BTreeSet<(&Version, &Version)> {
    let ends = |edge: Edge| Some((graph.node(edge.from)?, graph.node(edge.to)?));
    let is_closed = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
    let open = graph.edges().filter_map(ends).filter(|(_, to)| !to.is_rollout() || !to.rollouts.iter().all(is_closed));
    open.map(|(from, to)| (&from.version, &to.version)).collect()
}

fn rollout_effect(before: Option<&Release>, after: &Release, now: Epoch) -> Option<&'static str> {
    if after.state != ReleaseState::Published {
        return None;
    }
    let Some(before) = before.filter(|before| before.state == ReleaseState::Published) else {
        return Some("is published");
    };
    let (old, new) = (&before.rollouts, &after.rollouts);
    let is_closed = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
    // Without rollouts a barrier is open to all nodes, and any other release to none.
    match (old.is_empty(), new.is_empty()) {
        (true, true) => None,
        (false, true) => after.barrier.is_some().then_some("is a barrier and loses its rollouts"),
        (true, false) => {
            // On an arch where the release is not a barrier, it was offered to no node.
            let is_barrier_everywhere = before
                .barrier
                .as_ref()
                .is_some_and(|barrier| after.payloads.keys().all(|key| barrier.applies_to(&key.arch)));
            (!is_barrier_everywhere && !new.iter().all(is_closed)).then_some("gets a rollout")
        }
        (false, false) => {
            let pairs = old.iter().zip(new);
            let same_nodes = pairs.clone().all(|(old, new)| old.selector == new.selector);
            let rest_is_closed = new.iter().skip(old.len()).all(is_closed);
            if new.len() < old.len() || !same_nodes || !rest_is_closed {
                return Some("gets different rollouts");
            }
            pairs.clone().any(|(old, new)| opens_further(old, new, now)).then_some("opens further")
        }
    }
}

/// Shares are linear between the breakpoints of the ramps, so comparing them around the breakpoints is enough.
fn opens_further(old: &Rollout, new: &Rollout, now: Epoch) -> bool {
    if old == new {
        return false;
    }
    let breakpoints = old.breakpoints().into_iter().chain(new.breakpoints());
    let around = breakpoints.flat_map(|at| [at.plus_seconds(-1), at, at.plus_seconds(1)]);
    let mut times = around.filter(|at| *at >= now).chain([now, Epoch(i64::MAX)]);
    times.any(|at| is_more(new.open_share(at), old.open_share(at)))
}

/// Shares after a pause or a hold may differ by rounding.
const ROUNDING: f64 = 1e-9;

fn is_more(new: OpenShare, old: OpenShare) -> bool {
    match (new, old) {
        (OpenShare::Closed, _) => false,
        (OpenShare::Open(_), OpenShare::Closed) => true,
        (OpenShare::Open(new), OpenShare::Open(old)) => new > old + ROUNDING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{duration::Minutes, rollout::share::Share, samples};
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

    proptest! {
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
            stream.releases[0].barrier = Some(crate::domain::policy::barrier::Barrier { reason, arches: None, origin });
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
        let payload =
            |id: &str| crate::domain::payload::Payload { id: PayloadId::parse(id).unwrap(), synthetic: false };
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
            stream.releases[0].barrier = Some(Barrier {
                reason: crate::domain::reason::Reason::new("keys").unwrap(),
                arches: Some(arches.iter().map(|name| arch(name)).collect()),
                origin: crate::domain::origin::Origin::Local,
            });
            stream
        };
        let rollout = crate::domain::rollout::preset::Preset::Linear48h.rollout(Epoch(1000));
        let opened = |arches: &[&str]| effects(&with(Vec::new(), arches), &with(vec![rollout.clone()], arches), 0);
        assert_eq!(opened(&["x86_64"]), ["gets a rollout"]);
        assert_eq!(opened(&["aarch64", "x86_64"]), [""; 0]);
    }
}
