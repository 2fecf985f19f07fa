//! The shortest rollout of a stream: a lower limit for the time after which a rollout may reach a share.

use super::{exposure::exposure_increases, freeze_conflicts::find_freeze_conflicts, protection::Protection};
use crate::domain::{
    epoch::Epoch,
    finding::Finding,
    origin::Origin,
    release::{Release, ReleaseState},
    rollout::{Rollout, RolloutState, first_opening::first_opened, share::OpenShare},
    stream::Stream,
};

/// The share that may be open from the start, however long the shortest rollout is.
pub const FREE_SHARE: f64 = 0.05;
/// A tolerance of a minute, because ramps end on whole minutes.
const TOLERANCE_SECONDS: f64 = 60.0;
const ROUNDING: f64 = 1e-9;

/// A rollout that would reach a share sooner than the protection allows.
#[derive(Debug, Clone, PartialEq)]
struct TooFast {
    /// The index of the release.
    release: usize,
    /// The index of the rollout; `None` for a barrier without rollouts, which is open to all nodes.
    rollout: Option<usize>,
    share: f64,
    at: Epoch,
}

/// Returns an error for each rollout that a change would open sooner than the stream's protection allows: a share `s` may be open no
/// sooner than `s` times the shortest rollout after the rollout first opened, except for the first 5 %. Rollouts whose groups are all
/// canaries are exempt. Shares that a previously accepted plan would have reached anyway are not checked again.
#[must_use]
pub fn too_fast(before: &Stream, after: &Stream, now: Epoch) -> Vec<Finding> {
    let Some(shortest) = after.protection.shortest_rollout else { return Vec::new() };
    let finding = |found: TooFast| {
        let version = after.releases.get(found.release).map(|release| release.version.to_string()).unwrap_or_default();
        let (share, at) = (found.share * 100.0, found.at);
        let message = format!(
            "would be open to {share:.1} % of the nodes at {at}, which is too fast: the shortest rollout of this stream is \
             {shortest}"
        );
        Finding::error(format!("release {version}"), message)
    };
    violations(before, after, now).into_iter().map(finding).collect()
}

/// Pauses the upstream rollouts that violate a protection of the stream, and returns a finding for each. An import is not rejected for
/// them.
pub fn pause_violating_rollouts(before: &Stream, after: &mut Stream, now: Epoch) -> Vec<Finding> {
    let violating = |stream: &Stream| {
        let fast = violations(before, stream, now)
            .into_iter()
            .map(|found| (found.release, found.rollout, "is faster than the shortest rollout of this stream"));
        let conflicting = find_freeze_conflicts(before, stream, now).into_iter().filter_map(|conflict| {
            let index = stream.releases.iter().position(|release| release.version == conflict.version)?;
            Some((index, Some(conflict.rollout - 1), "begins or steps inside a freeze window"))
        });
        fast.chain(conflicting).collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    for (index, number, violation) in violating(after) {
        let Some(release) = after.releases.get_mut(index) else { continue };
        let version = release.version.clone();
        let rollout = number.and_then(|number| release.rollouts.get_mut(number));
        let message = match rollout.filter(|rollout| rollout.origin == Origin::Upstream) {
            Some(rollout) if rollout.state == RolloutState::Active => {
                // It keeps the present share if that is allowed, otherwise the share before it began.
                let before_it_began = rollout.begins_at().plus_seconds(-1);
                rollout.state = RolloutState::Paused { at: now };
                let is_violating =
                    violating(after).into_iter().any(|(other, rollout, _)| (other, rollout) == (index, number));
                if is_violating
                    && let Some(rollout) = number.and_then(|n| after.releases.get_mut(index)?.rollouts.get_mut(n))
                {
                    rollout.state = RolloutState::Paused { at: before_it_began };
                }
                format!("upstream rollout {} {violation} and is paused here", number.map_or(0, |n| n + 1))
            }
            Some(_) => continue,
            None => format!("{violation}, and it has no upstream rollout that could be paused"),
        };
        findings.push(Finding::drift(format!("release {version}"), message));
    }
    findings
}

fn violations(before: &Stream, after: &Stream, now: Epoch) -> Vec<TooFast> {
    let protection = &after.protection;
    let Some(shortest) = protection.shortest_rollout else { return Vec::new() };
    // The first releases of a stream without protections are those that nodes run already.
    if before.releases.is_empty() && before.protection == Protection::default() {
        return Vec::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of minutes is exact")]
    let shortest_seconds = shortest.seconds() as f64;
    let increases = exposure_increases(before, after, now);
    let has_increased = |release: &Release| increases.iter().any(|increase| increase.version == release.version);
    let mut found = Vec::new();
    for (index, release) in after.releases.iter().enumerate().filter(|(_, release)| has_increased(release)) {
        let known = before.releases.iter().find(|known| known.version == release.version);
        let known = known.filter(|known| known.state == ReleaseState::Published);
        if release.rollouts.is_empty() {
            let was_open = known.is_some_and(|known| known.rollouts.is_empty() && known.barrier.is_some());
            if release.barrier.is_some() && !was_open {
                found.push(TooFast { release: index, rollout: None, share: 1.0, at: now });
            }
            continue;
        }
        let mut unpaired: Vec<&Rollout> = known.map(|known| known.rollouts.iter().collect()).unwrap_or_default();
        for (number, rollout) in release.rollouts.iter().enumerate() {
            let same_nodes = unpaired.iter().position(|known| known.selector == rollout.selector);
            let known = same_nodes.map(|index| unpaired.remove(index));
            if is_exempt(rollout, protection) {
                continue;
            }
            let pace = Pace { rollout, known, now, shortest: shortest_seconds };
            if let Some((share, at)) = pace.first_violation() {
                found.push(TooFast { release: index, rollout: Some(number), share, at });
            }
        }
    }
    found
}

fn is_exempt(rollout: &Rollout, protection: &Protection) -> bool {
    let groups = rollout.selector.groups.as_ref();
    groups.is_some_and(|groups| groups.iter().all(|group| protection.canaries.contains(group)))
}

/// A changed rollout, compared with the plan that was accepted before.
struct Pace<'a> {
    rollout: &'a Rollout,
    /// The present rollout for the same nodes.
    known: Option<&'a Rollout>,
    now: Epoch,
    /// The shortest rollout in seconds.
    shortest: f64,
}

impl Pace<'_> {
    fn first_violation(&self) -> Option<(f64, Epoch)> {
        self.times_to_check().into_iter().find_map(|at| {
            let OpenShare::Open(share) = self.rollout.open_share(at) else { return None };
            (share > self.allowed(at) + ROUNDING).then_some((share, at))
        })
    }

    /// Returns the times at which the share can exceed the allowed share most: the breakpoints of the ramp, and the time until which only
    /// the free share is allowed.
    fn times_to_check(&self) -> Vec<Epoch> {
        let free_until = whole_seconds(FREE_SHARE * self.shortest + TOLERANCE_SECONDS);
        let mut times = self.rollout.breakpoints();
        times.extend([self.now, self.first_opened().plus_seconds(free_until)]);
        times.retain(|time| *time >= self.now);
        times.sort();
        times
    }

    fn allowed(&self, at: Epoch) -> f64 {
        let pace = (seconds(at.since(self.first_opened())) + TOLERANCE_SECONDS) / self.shortest;
        FREE_SHARE.max(pace).max(self.accepted(at))
    }

    /// Returns the share that the previously accepted plan would have reached without pauses. A pause does not reduce it.
    fn accepted(&self, at: Epoch) -> f64 {
        let Some(known) = self.known else { return 0.0 };
        match known.state {
            RolloutState::Aborted => 0.0,
            RolloutState::Completed => 1.0,
            // It was paused before it began and has opened nothing.
            RolloutState::Paused { .. } if !known.is_open(self.now) => 0.0,
            // The plan without its pauses.
            RolloutState::Active | RolloutState::Paused { .. } => known.ramp.share_at(at),
        }
    }

    fn first_opened(&self) -> Epoch {
        first_opened(self.known, self.rollout, self.now).unwrap_or_else(|| self.now.max(self.rollout.begins_at()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds are exact for millions of years")]
fn seconds(seconds: i64) -> f64 {
    seconds as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a fraction of a number of minutes, rounded up")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        document::{StreamDocument, Strictness},
        duration::Minutes,
        rollout::{first_opening::record_first_openings, preset::Preset, selector::Label, share::Share},
    };
    use std::collections::BTreeSet;

    const NOW: Epoch = Epoch(1_000_000);
    const DAY: i64 = 24 * 3600;

    /// Builds a stream of two releases, whose second release has these rollouts, with a shortest rollout of so many hours.
    fn stream(hours: u64, rollouts: Vec<Rollout>) -> Stream {
        let release = |n: usize| {
            format!(
                "[[releases]]\nversion = \"{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n"
            )
        };
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{}{}", release(0), release(1));
        let document: StreamDocument = toml::from_str(&text).unwrap();
        let mut stream = Stream::from_document(&document, Strictness::Strict).unwrap();
        stream.protection.shortest_rollout = Some(Minutes(hours * 60));
        stream.releases[1].rollouts = rollouts;
        stream
    }

    fn rollout(text: &str) -> Rollout {
        let document = toml::from_str(text).unwrap();
        crate::domain::document::parts::rollout(&document).unwrap()
    }

    fn is_too_fast(hours: u64, before: &[Rollout], after: &[Rollout], now: Epoch) -> bool {
        !too_fast(&stream(hours, before.to_vec()), &stream(hours, after.to_vec()), now).is_empty()
    }

    fn is_new_rollout_too_fast(hours: u64, text: &str) -> bool {
        is_too_fast(hours, &[], &[rollout(&format!("start = \"{NOW}\"\n{text}"))], NOW)
    }

    /// Regression test: only the time at which a ramp reaches all nodes was checked, and rollouts for groups were not checked at all.
    #[test]
    fn every_form_of_a_too_fast_rollout_is_rejected() {
        for text in [
            "start_share = 1.0",
            "start_share = 0.999999",
            "start_share = 0.06",
            "duration = \"PT47H\"",
            "duration = \"PT1M\"\nend_share = 0.999999",
            "duration = \"PT2H\"\nend_share = 0.07",
            "start_share = 0.05\nduration = \"PT48H\"\nend_share = 0.9",
            "start_share = 1.0\nselector = { groups = [\"default\"] }",
            "start_share = 1.0\nselector = { groups = [\"canary\", \"default\"] }",
            "start_share = 1.0\nselector = { platforms = [\"aws\"] }",
            "steps = [{ after = \"PT1H\", share = 0.5 }, { after = \"PT48H\", share = 1.0 }]",
            "start_share = 0.05\nsteps = [{ after = \"PT47H\", share = 1.0 }]",
        ] {
            assert!(is_new_rollout_too_fast(48, text), "{text}");
        }
        for text in [
            "start_share = 0.05",
            "duration = \"PT48H\"",
            "duration = \"PT24H\"\nend_share = 0.5",
            "start_share = 0.05\nsteps = [{ after = \"PT24H\", share = 0.5 }, { after = \"PT48H\", share = 1.0 }]",
        ] {
            assert!(!is_new_rollout_too_fast(48, text), "{text}");
        }
    }

    #[test]
    fn presets_pass_if_they_are_slow_enough() {
        for (preset, slow_enough, too_fast) in
            [(Preset::Linear48h, 48, 49), (Preset::Week, 133, 135), (Preset::Emergency, 3, 4)]
        {
            let rollouts = [preset.rollout(NOW)];
            assert!(!is_too_fast(slow_enough, &[], &rollouts, NOW), "{preset:?}");
            assert!(is_too_fast(too_fast, &[], &rollouts, NOW), "{preset:?}");
        }
    }

    #[test]
    fn groups_listed_as_canaries_are_exempt() {
        let canary = rollout("start_share = 1.0\nselector = { groups = [\"canary\"] }");
        let (before, mut after) = (stream(48, Vec::new()), stream(48, vec![canary]));
        assert!(!too_fast(&before, &after, NOW).is_empty());
        after.protection.canaries = BTreeSet::from([Label::parse("canary").unwrap()]);
        assert!(too_fast(&before, &after, NOW).is_empty());
    }

    #[test]
    fn pauses_count_as_time_and_resuming_is_never_too_fast() {
        for preset in [Preset::Linear48h, Preset::Week] {
            let plan = preset.rollout(NOW);
            let shortest = if preset == Preset::Week { 133 } else { 48 };
            for hours in [1, 13, 26, 47, 80, 130] {
                let (at, later) = (NOW.plus_seconds(hours * 3600), NOW.plus_seconds((hours + 30) * 3600));
                let paused = plan.pause(at).unwrap();
                let resumed = paused.resume(later).unwrap();
                assert!(!is_too_fast(shortest, &[paused], &[resumed], later), "{preset:?} {hours}");
            }
        }
        let plan = Preset::Linear48h.rollout(NOW);
        let halfway = NOW.plus_seconds(DAY);
        assert!(is_too_fast(48, std::slice::from_ref(&plan), &[plan.complete().unwrap()], halfway));
        assert!(is_too_fast(
            48,
            std::slice::from_ref(&plan),
            &[plan.accelerate(halfway, Minutes(60)).unwrap()],
            halfway
        ));
        let held = plan.hold(halfway, Share::new(0.6).unwrap()).unwrap();
        assert!(!is_too_fast(48, &[plan], &[held], halfway));
    }

    /// Regression test: a start in the past was taken for the time at which the rollout opened.
    #[test]
    fn a_backdated_start_does_not_count_as_time() {
        let open = |rollout: &Rollout| stream(48, vec![rollout.clone()]);
        for start in ["start = \"1970-01-02T00:00:00Z\"\n", ""] {
            let backdated = rollout(&format!("{start}start_share = 0.05"));
            let mut created = open(&backdated);
            assert!(too_fast(&stream(48, Vec::new()), &created, NOW).is_empty());
            record_first_openings(&stream(48, Vec::new()), &mut created, NOW);
            let later = NOW.plus_seconds(DAY);
            let complete = created.releases[1].rollouts[0].complete().unwrap();
            assert_eq!(too_fast(&created, &open(&complete), later).len(), 1, "{start}");
            assert!(too_fast(&created, &open(&complete), NOW.plus_seconds(2 * DAY)).is_empty());
        }
        let waiting = Preset::Linear48h.rollout(NOW.plus_seconds(60)).pause(NOW).unwrap();
        let much_later = NOW.plus_seconds(30 * DAY);
        assert_eq!(too_fast(&open(&waiting), &open(&waiting.complete().unwrap()), much_later).len(), 1);
    }

    #[test]
    fn a_pause_at_a_small_share_loses_no_time() {
        let plan = rollout(&format!("start = \"{NOW}\"\nstart_share = 0.04\nduration = \"PT960H\"\nend_share = 0.05"));
        let paused = plan.pause(NOW.plus_seconds(3600)).unwrap();
        let resumed = paused.resume(NOW.plus_seconds(2 * DAY)).unwrap();
        let held = resumed.hold(NOW.plus_seconds(2 * DAY), Share::new(0.045).unwrap()).unwrap();
        let mut before = stream(48, vec![plan]);
        for (next, at) in [(paused, 3600), (resumed, 2 * DAY), (held, 2 * DAY)] {
            let mut after = stream(48, vec![next]);
            record_first_openings(&before, &mut after, NOW.plus_seconds(at));
            before = after;
        }
        let complete = before.releases[1].rollouts[0].complete().unwrap();
        assert!(too_fast(&before, &stream(48, vec![complete]), NOW.plus_seconds(2 * DAY)).is_empty());
    }

    #[test]
    fn a_too_fast_upstream_rollout_is_paused_before_it_opens() {
        let upstream = |text: &str| Rollout { origin: Origin::Upstream, ..rollout(text) };
        let (before, soon) = (stream(48, Vec::new()), NOW.plus_seconds(3600));
        for text in ["start_share = 1.0".to_owned(), format!("start = \"{soon}\"\nduration = \"PT1H\"")] {
            let mut after = stream(48, vec![upstream(&text)]);
            let findings = pause_violating_rollouts(&before, &mut after, NOW);
            assert_eq!((findings.len(), too_fast(&before, &after, NOW).len()), (1, 0), "{text}");
            assert_eq!(after.releases[1].rollouts[0].open_share(NOW.plus_seconds(30 * DAY)), OpenShare::Open(0.0));
        }
        let mut slow = stream(48, vec![upstream(&format!("start = \"{NOW}\"\nduration = \"PT48H\""))]);
        assert_eq!(pause_violating_rollouts(&before, &mut slow, NOW), []);
        assert_eq!(slow.releases[1].rollouts[0].state, RolloutState::Active);
    }

    #[test]
    fn a_republished_release_starts_again() {
        let open = rollout("start_share = 1.0");
        let (mut before, after) = (stream(48, vec![open.clone()]), stream(48, vec![open]));
        assert!(too_fast(&after, &after, NOW).is_empty());
        before.releases[1].state = ReleaseState::Withdrawn;
        assert_eq!(too_fast(&before, &after, NOW).len(), 1);
    }
}
