//! Expired schedules: rollouts whose ramp has already ended, or come to a gate, when they are created. A start date with the wrong year would open a release
//! to all nodes at once.

use super::{RolloutState, id::RolloutId};
use crate::domain::{
    changes::Changes,
    epoch::Epoch,
    finding::{Code, Finding},
    release::{Release, ReleaseState},
    stream::Stream,
};

/// A new or changed rollout of a published release whose share has already risen as far as it does by itself.
struct Expired<'a> {
    release: &'a Release,
    rollout: RolloutId,
    end: Epoch,
}

impl Expired<'_> {
    fn finding(&self) -> Finding {
        let Self { release, rollout, end } = self;
        let message = format!(
            "rollout {rollout} ended at {end}, or came to a gate then, before it was created: it opens that far at once; check its start"
        );
        Finding::warning(Code::ExpiredSchedule, format!("release {}", release.version), message)
    }
}

/// Returns a warning for each expired schedule that a change adds. Schedules that existed before and constant shares are not reported.
#[must_use]
pub fn findings(before: &Stream, after: &Stream, now: Epoch) -> Vec<Finding> {
    expired(before, after, now).iter().map(Expired::finding).collect()
}

/// Returns a single warning with the number of expired schedules, for the first import of a stream, whose older rollouts have all ended.
#[must_use]
pub fn summary(after: &Stream, now: Epoch) -> Option<Finding> {
    let none = Stream::empty(after.id.clone());
    let all = expired(&none, after, now);
    let newest = all.last()?;
    let message = format!(
        "{} rollouts ended before this import, the newest for release {} at {}",
        all.len(),
        newest.release.version,
        newest.end
    );
    Some(Finding::warning(Code::ExpiredSchedule, format!("stream {}", after.id.stream), message))
}

fn expired<'a>(before: &'a Stream, after: &'a Stream, now: Epoch) -> Vec<Expired<'a>> {
    let mut found = Vec::new();
    for pair in Changes::between(before, after).changed() {
        let Some(release) = pair.new_release().filter(|release| release.state == ReleaseState::Published) else {
            continue;
        };
        let known = pair.old_published_release();
        for rollout in &release.rollouts {
            let Some(end) = rollout.ramp.rises_until().filter(|end| *end < now) else { continue };
            let is_known = known.is_some_and(|known| known.rollouts.iter().any(|known| known.has_plan_of(rollout)));
            if rollout.state == RolloutState::Active && !is_known {
                found.push(Expired { release, rollout: rollout.id, end });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::Version,
        origin::Origin,
        rollout::{
            Rollout,
            preset::Preset,
            ramp::Course,
            step::{Step, StepGate},
        },
        samples,
    };

    const HOUR: i64 = 3600;

    fn stream(rollout: Rollout) -> Stream {
        let release =
            Release { rollouts: vec![rollout], ..Release::published(Version::parse("1").unwrap(), Origin::Local) };
        Stream { releases: vec![release.into()], ..Stream::empty(samples::id()) }
    }

    #[test]
    fn an_expired_schedule_is_reported_once() {
        let none = Stream::empty(samples::id());
        let ended = stream(Preset::Linear48h.rollout(Epoch(0)));
        let count = |before: &Stream, after: &Stream, hours: i64| findings(before, after, Epoch(hours * HOUR)).len();
        assert_eq!((count(&none, &ended, 48), count(&none, &ended, 49), count(&ended, &ended, 49)), (0, 1, 0));
        // Completed, aborted and constant rollouts and those of drafts need no warning.
        let mut others = [ended.clone(), ended.clone(), ended.clone(), ended.clone()];
        others[0].releases[0].rollouts[0] = ended.releases[0].rollouts[0].complete().unwrap();
        others[1].releases[0].rollouts[0] = ended.releases[0].rollouts[0].abort().unwrap();
        others[2].releases[0].rollouts[0].ramp.course = Course::Constant;
        others[3].releases[0].state = ReleaseState::Draft;
        for other in &others {
            assert_eq!(count(&none, other, 49), 0);
        }
        assert_eq!(count(&others[3], &ended, 49), 1, "published by a document");
        // It came to a gate long ago.
        let Course::Steps(steps) = Preset::Week.rollout(Epoch(0)).ramp.course else { panic!("not in steps") };
        let mut gated = Preset::Week.rollout(Epoch(0));
        let closed =
            |(index, step): (usize, Step)| if index == 2 { Step { gate: StepGate::Closed, ..step } } else { step };
        gated.ramp.course = Course::Steps(steps.into_iter().enumerate().map(closed).collect());
        assert_eq!((count(&none, &stream(gated.clone()), 48), count(&none, &stream(gated), 49)), (0, 1));
        assert_eq!(summary(&none, Epoch(0)), None);
        assert!(summary(&ended, Epoch(49 * HOUR)).unwrap().message.starts_with("1 rollouts ended before"));
    }
}
