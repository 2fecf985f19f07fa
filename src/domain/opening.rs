//! What a change opens further: releases that some node could be sent to earlier, or in greater share, than before.

use super::{
    epoch::Epoch,
    graph::{Edge, Graph},
    ramp::{Course, Ramp},
    release::{Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    share::OpenShare,
    stream::Stream,
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet};

/// A release that a change opens further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The release.
    pub version: Version,
    /// What becomes of it.
    pub what: &'static str,
}

/// What is opened further from `now` on.
#[must_use]
pub fn openings(before: &Stream, after: &Stream, now: Epoch) -> Vec<Opening> {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let opened = after.identified().into_iter().filter_map(|(identity, release)| {
        let what = opened(known.get(&identity).copied(), release, now)?;
        Some(Opening { version: release.version.clone(), what })
    });
    opened.chain(offers(before, after)).collect()
}

/// What nodes could be sent to from more releases, or on more scopes, by other means than states and rollouts.
fn offers(before: &Stream, after: &Stream) -> Vec<Opening> {
    let same = as_if_no_more(before, after);
    if same == *after {
        return Vec::new();
    }
    let mut opened = BTreeSet::new();
    for key in after.payload_keys() {
        let [stood, stands] = [&same, after].map(|stream| Graph::of(stream, &key.arch, &key.scheme));
        let known = updates(&stood);
        opened.extend(updates(&stands).difference(&known).map(|(_, to)| (*to).clone()));
    }
    opened.into_iter().map(|version| Opening { version, what: "is offered to more nodes" }).collect()
}

/// The next state, if nothing but states and rollouts had changed.
fn as_if_no_more(before: &Stream, after: &Stream) -> Stream {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let stood: Vec<Option<&Release>> =
        after.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut same = after.clone();
    same.blocked_updates.clone_from(&before.blocked_updates);
    for (release, stood) in same.releases.iter_mut().zip(stood) {
        if let Some(stood) = stood {
            release.payloads.clone_from(&stood.payloads);
            release.barrier.clone_from(&stood.barrier);
            release.dead_end.clone_from(&stood.dead_end);
        }
    }
    same
}

/// Where nodes could be sent, but to where every way is closed.
fn updates(graph: &Graph) -> BTreeSet<(&Version, &Version)> {
    let ends = |edge: Edge| Some((graph.node(edge.from)?, graph.node(edge.to)?));
    let is_closed = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
    let open = graph.edges().filter_map(ends).filter(|(_, to)| !to.is_rollout() || !to.rollouts.iter().all(is_closed));
    open.map(|(from, to)| (&from.version, &to.version)).collect()
}

fn opened(before: Option<&Release>, after: &Release, now: Epoch) -> Option<&'static str> {
    if after.state != ReleaseState::Published {
        return None;
    }
    let Some(before) = before.filter(|before| before.state == ReleaseState::Published) else {
        return Some("is published");
    };
    let (old, new) = (&before.rollouts, &after.rollouts);
    let is_closed = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
    // Without rollouts a barrier is open to all, and any other release to nobody.
    match (old.is_empty(), new.is_empty()) {
        (true, true) => None,
        (false, true) => after.barrier.is_some().then_some("is a barrier and loses its rollouts"),
        (true, false) => (before.barrier.is_none() && !new.iter().all(is_closed)).then_some("gets a rollout"),
        (false, false) => {
            let pairs = old.iter().zip(new);
            let same_nodes = pairs.clone().all(|(old, new)| old.selector == new.selector);
            let rest_is_closed = new.iter().skip(old.len()).all(is_closed);
            if new.len() < old.len() || !same_nodes || !rest_is_closed {
                return Some("gets other rollouts");
            }
            pairs.clone().any(|(old, new)| opens_further(old, new, now)).then_some("opens further")
        }
    }
}

/// Shares are lines between the moments at which ramps turn, so that it is enough to look there.
fn opens_further(old: &Rollout, new: &Rollout, now: Epoch) -> bool {
    if old == new {
        return false;
    }
    let turns = turns(&old.ramp).into_iter().chain(turns(&new.ramp));
    let around = turns.flat_map(|turn| [turn.plus_seconds(-1), turn, turn.plus_seconds(1)]);
    let mut moments = around.filter(|moment| *moment >= now).chain([now, Epoch(i64::MAX)]);
    moments.any(|moment| is_more(new.open_share(moment), old.open_share(moment)))
}

/// A pause or a hold may differ by the rounding of its arithmetic.
const ROUNDING: f64 = 1e-9;

fn is_more(new: OpenShare, old: OpenShare) -> bool {
    match (new, old) {
        (OpenShare::Closed, _) => false,
        (OpenShare::Open(_), OpenShare::Closed) => true,
        (OpenShare::Open(new), OpenShare::Open(old)) => new > old + ROUNDING,
    }
}

fn turns(ramp: &Ramp) -> Vec<Epoch> {
    let start = ramp.start();
    let mut turns = vec![start];
    match &ramp.course {
        Course::Constant => {}
        Course::Linear { duration, .. } => turns.push(start.plus_seconds(duration.seconds().max(60))),
        Course::Steps(steps) => turns.extend(steps.iter().map(|step| start.plus_seconds(step.after.seconds()))),
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{duration::Minutes, samples, share::Share};
    use proptest::prelude::*;

    /// A stream of one published release, no barrier, with these rollouts.
    fn stream(rollouts: Vec<Rollout>) -> Stream {
        let version = Version::parse("1").unwrap();
        let release = Release { rollouts, ..Release::published(version, crate::domain::origin::Origin::Local) };
        Stream { releases: vec![release], ..Stream::empty(samples::id()) }
    }

    fn what(before: &Stream, after: &Stream, now: i64) -> Vec<&'static str> {
        openings(before, after, Epoch(now)).into_iter().map(|opening| opening.what).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_opened_by_nothing(stream in samples::stream(), now in 0i64..400_000) {
            prop_assert_eq!(what(&stream, &stream, now), Vec::<&str>::new());
        }

        #[test]
        fn verbs_that_close_open_nothing(rollout in samples::rollout(), now in 0i64..400_000, at in samples::share()) {
            let before = stream(vec![rollout.clone()]);
            for after in [rollout.pause(Epoch(now)), rollout.abort(), rollout.hold(Epoch(now), at)].into_iter().flatten() {
                prop_assert_eq!(what(&before, &stream(vec![after]), now), Vec::<&str>::new());
            }
        }

        #[test]
        fn whoever_is_let_in_sooner_is_an_opening(
            old in samples::rollout(), new in samples::rollout(), now in 0i64..400_000, later in 0i64..400_000,
        ) {
            let new = Rollout { selector: old.selector.clone(), ..new };
            let moment = Epoch(now + later);
            if is_more(new.open_share(moment), old.open_share(moment)) {
                prop_assert_eq!(what(&stream(vec![old]), &stream(vec![new]), now), vec!["opens further"]);
            }
        }

        #[test]
        fn withdrawing_opens_nothing(before in samples::stream(), now in 0i64..400_000) {
            let mut after = before.clone();
            for release in &mut after.releases {
                if release.state == ReleaseState::Published {
                    release.state = ReleaseState::Withdrawn;
                }
            }
            prop_assert_eq!(what(&before, &after, now), Vec::<&str>::new());
            let published = before.releases.iter().filter(|release| release.state == ReleaseState::Published).count();
            prop_assert_eq!(what(&after, &before, now), vec!["is published"; published]);
        }
    }

    #[test]
    fn verbs_that_open_do() {
        let rollout = crate::domain::preset::Preset::Linear48h.rollout(Epoch(1000));
        let paused = rollout.pause(Epoch(5000)).unwrap();
        let opened =
            |before: &Rollout, after: Rollout, now| what(&stream(vec![before.clone()]), &stream(vec![after]), now);
        assert_eq!(opened(&paused, paused.resume(Epoch(9000)).unwrap(), 9000), ["opens further"]);
        assert_eq!(opened(&rollout, rollout.complete().unwrap(), 5000), ["opens further"]);
        assert_eq!(opened(&rollout, rollout.accelerate(Epoch(5000), Minutes(60)).unwrap(), 5000), ["opens further"]);
        assert_eq!(opened(&rollout, rollout.start(Epoch(10)).unwrap(), 10), ["opens further"]);
        assert_eq!(opened(&rollout, rollout.hold(Epoch(5000), Share::given(0.5).unwrap()).unwrap(), 5000), [""; 0]);
    }

    #[test]
    fn lists_of_rollouts_change() {
        let rollout = crate::domain::preset::Preset::Linear48h.rollout(Epoch(1000));
        let closed = rollout.abort().unwrap();
        let none = stream(Vec::new());
        let with = |rollouts: &[&Rollout]| stream(rollouts.iter().map(|rollout| (*rollout).clone()).collect());
        assert_eq!(what(&none, &with(&[&rollout]), 0), ["gets a rollout"]);
        assert_eq!(what(&none, &with(&[&closed]), 0), [""; 0]);
        assert_eq!(what(&with(&[&rollout]), &none, 0), [""; 0]);
        assert_eq!(what(&with(&[&rollout]), &with(&[&rollout, &closed]), 0), [""; 0]);
        assert_eq!(what(&with(&[&rollout]), &with(&[&rollout, &rollout]), 0), ["gets other rollouts"]);
        assert_eq!(what(&with(&[&closed, &rollout]), &with(&[&rollout]), 0), ["gets other rollouts"]);
        let barrier = |mut stream: Stream| {
            let reason = crate::domain::reason::Reason::given("keys").unwrap();
            let origin = crate::domain::origin::Origin::Local;
            stream.releases[0].barrier = Some(crate::domain::barrier::Barrier { reason, arches: None, origin });
            stream
        };
        assert_eq!(
            what(&barrier(with(&[&rollout])), &barrier(none.clone()), 0),
            ["is a barrier and loses its rollouts"]
        );
        assert_eq!(what(&barrier(none), &barrier(with(&[&rollout])), 0), [""; 0]);
    }
}
