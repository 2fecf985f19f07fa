//! Changes of a ramp from a given time on, which never lower the share that is already open.

use super::{
    ramp::{Course, Ramp, linear_end},
    share::Share,
    step::Step,
    wariness::Wariness,
};
use crate::domain::{duration::Minutes, epoch::Epoch};

impl Ramp {
    /// Returns this ramp with the rest of its course after `now` compressed into `within`. Returns `None` if that would not be faster, or
    /// if the ramp has not started, has ended, or waits at a gate.
    #[must_use]
    pub fn accelerated(&self, now: Epoch, within: Minutes) -> Option<Self> {
        let start = self.start();
        if now < start {
            return None;
        }
        let share = Share::from_record(self.share_at(now)).ok();
        let (new_start, course) = match &self.course {
            Course::Constant => return None,
            Course::Linear { duration, end_share } => {
                let remaining = linear_end(start, *duration).since(now);
                // A linear ramp takes at least a minute.
                let is_faster = within.0 > 0 && within.seconds() < remaining;
                (now, is_faster.then_some(Course::Linear { duration: within, end_share: *end_share })?)
            }
            Course::Steps(_) if self.gate().is_some_and(|gate| gate.at <= now) => return None,
            Course::Steps(steps) => {
                let is_rising = self.segments().any(|segment| segment.is_under_way(now));
                // Otherwise the new start is a whole number of minutes after the old one, like the steps. Rounding up then moves no step to
                // a later time or to the present minute.
                let new_start = if is_rising { now } else { start.plus_seconds(now.since(start) / 60 * 60) };
                (new_start, Course::Steps(compressed(steps, start, new_start, within)?))
            }
        };
        Some(Self { start: Some(new_start), start_share: share, course })
    }

    /// Returns this ramp with its course ended at the share `at`. Returns `None` if the ramp is past that share or never exceeds it.
    #[must_use]
    pub fn held(&self, now: Epoch, at: Share) -> Option<Self> {
        let start = self.start();
        let (from, share) = if now < start { (start, self.start_share()) } else { (now, self.share_at(now)) };
        if at.get() < share {
            return None;
        }
        let course = match &self.course {
            Course::Constant => return None,
            Course::Linear { end_share, .. } if at >= *end_share => return None,
            Course::Steps(steps) => {
                let last = steps.iter().position(|step| step.share > at)?;
                let is_rising = self.segments().nth(last).is_some_and(|segment| segment.is_under_way(now));
                if !is_rising {
                    return Some(Self { course: Course::Steps(self.cut(steps, last, at)?), ..self.clone() });
                }
                self.rising_to(at, from)?
            }
            Course::Linear { .. } => self.rising_to(at, from)?,
        };
        Some(Self { start: Some(from), start_share: Share::from_record(share).ok(), course })
    }

    /// Returns the linear course from `from` to the time at which the ramp reaches a share.
    fn rising_to(&self, share: Share, from: Epoch) -> Option<Course> {
        let reached = self.opens_at(Wariness::new(share.get()), from)?;
        // Rounding up keeps the ramp from opening faster than before.
        let duration = Minutes::from_seconds_up(reached.since(from)).max(Minutes(1));
        Some(Course::Linear { duration, end_share: share })
    }

    /// Returns the steps up to the one that exceeds a share, which ends at the share.
    fn cut(&self, steps: &[Step], last: usize, at: Share) -> Option<Vec<Step>> {
        let step = steps.get(last)?;
        let mut cut: Vec<Step> = steps.iter().take(last).copied().collect();
        let from = cut.last().map_or(self.start_share(), |step| step.share.get());
        let part = (at.get() - from) / (step.share.get() - from);
        cut.push(Step { share: at, over: part_of(step.over, part), ..*step });
        Some(cut)
    }
}

/// Returns the steps that have not ended, so that the last one ends `within` after the new start. Returns `None` if none has not ended, or if
/// one would begin or end later than before.
fn compressed(steps: &[Step], start: Epoch, new_start: Epoch, within: Minutes) -> Option<Vec<Step>> {
    let passed = i128::from(new_start.since(start));
    let remaining = |after: Minutes| (i128::from(after.0) * 60 - passed).max(0);
    let future: Vec<&Step> = steps.iter().filter(|step| remaining(step.end()) > 0).collect();
    let total = remaining(future.last()?.end());
    if i128::from(within.0) * 60 >= total {
        return None;
    }
    let sooner = |after: Minutes| {
        let remaining = remaining(after);
        let minutes = (remaining * i128::from(within.0) + total - 1) / total;
        (minutes * 60 <= remaining).then(|| Minutes(u64::try_from(minutes).unwrap_or(0)))
    };
    let compress = |step: &Step| {
        let (after, end) = (sooner(step.after)?, sooner(step.end())?);
        Some(Step { after, over: Minutes(end.0.saturating_sub(after.0)), ..*step })
    };
    let mut compressed: Vec<Step> = future.into_iter().map(compress).collect::<Option<_>>()?;
    // Of steps that open at once in the same minute, the last one has the share.
    let mut kept: Vec<Step> = Vec::with_capacity(compressed.len());
    for step in compressed.drain(..) {
        if step.is_plain() && kept.last().is_some_and(|before| before.is_plain() && before.after == step.after) {
            kept.pop();
        }
        kept.push(step);
    }
    Some(kept)
}

/// Returns a part of a duration, rounded up to minutes.
fn part_of(duration: Minutes, part: f64) -> Minutes {
    #[expect(clippy::cast_precision_loss, reason = "a number of minutes is exact for millions of years")]
    let minutes = (duration.0 as f64 * part).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number of minutes")]
    let minutes = minutes as u64;
    Minutes(minutes.min(duration.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_accelerated_ramp_is_never_behind(ramp in samples::ramp(), now in 0i64..400_000, within in 0u64..3000) {
            let Some(faster) = ramp.accelerated(Epoch(now), Minutes(within)) else { return Ok(()) };
            prop_assert!((faster.share_at(Epoch(now)) - ramp.share_at(Epoch(now))).abs() < 1e-12 || within == 0);
            for at in (now..now + 400_000).step_by(1013).map(Epoch) {
                prop_assert!(faster.share_at(at) >= ramp.share_at(at) - 1e-9, "{at:?} {faster:?}");
            }
        }

        #[test]
        fn a_held_ramp_opens_no_further_and_no_faster(ramp in samples::ramp(), now in 0i64..400_000, at in samples::share()) {
            let Some(held) = ramp.held(Epoch(now), at) else { return Ok(()) };
            for time in (now..now + 600_000).step_by(1013).map(Epoch) {
                let (share, before) = (held.share_at(time), ramp.share_at(time));
                prop_assert!(share <= at.get() && share <= before + 1e-9, "{time:?} {held:?}");
                prop_assert!(time > Epoch(now) || (share - before).abs() < 1e-12);
            }
            prop_assert!((held.without_gates().share_at(Epoch(i64::MAX / 4)) - at.get()).abs() < 1e-12);
        }
    }

    #[test]
    fn accelerating_opens_no_step_at_once() {
        let step = |after, share| Step::at_once(Minutes(after), Share::from_record(share).expect("a share"));
        let ramp = Ramp {
            start: Some(Epoch(0)),
            start_share: None,
            course: Course::Steps(vec![step(1000, 0.1), step(2000, 0.5), step(2001, 1.0)]),
        };
        let now = Epoch(90 * 60 + 30);
        let faster = ramp.accelerated(now, Minutes(1)).expect("faster");
        let opens = |after| faster.opens_at(Wariness::new(0.05), now.plus_seconds(after));
        // The present minute began half a minute ago.
        assert_eq!([opens(0), opens(30)], [Some(now.plus_seconds(30)); 2]);
        assert_eq!(faster.opens_at(Wariness::new(1.0), now), Some(now.plus_seconds(30)));
        // A document has no steps at the same time.
        assert_eq!(faster.course, Course::Steps(vec![step(1, 1.0)]));
    }
}
