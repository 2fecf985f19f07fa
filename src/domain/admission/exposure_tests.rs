//! Tests of exposure increases.

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
