//! Ramps: the open share of a rollout over time.

use super::{share::Share, wariness::Wariness};
use crate::domain::{duration::Minutes, epoch::Epoch};

/// The open share over time. Absent parts stay absent, because upstream's documents are exported unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// The start; absent counts as 1970-01-01. Before the start the share is 0.
    pub start: Option<Epoch>,
    /// The share at the start; absent counts as 0.
    pub start_share: Option<Share>,
    /// The share after the start.
    pub course: Course,
}

/// How the share changes after the start.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// It stays at the start share.
    Constant,
    /// It changes linearly to the end share and stays there.
    Linear {
        /// The time from the start to the end share; 0 counts as 1 minute.
        duration: Minutes,
        /// The final share.
        end_share: Share,
    },
    /// It changes in steps, sorted by time. Until the first step it is the start share.
    Steps(Vec<Step>),
}

/// A step of a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The time after the start.
    pub after: Minutes,
    /// The share from then on.
    pub share: Share,
}

impl Ramp {
    /// Builds a ramp that stays at one share from `start` on.
    #[must_use]
    pub fn constant(start: Epoch, share: Share) -> Self {
        Self { start: Some(start), start_share: Some(share), course: Course::Constant }
    }

    /// Returns the start.
    #[must_use]
    pub fn start(&self) -> Epoch {
        self.start.unwrap_or_default()
    }

    fn start_share(&self) -> f64 {
        self.start_share.unwrap_or(Share::NONE).get()
    }

    /// Returns the time at which the ramp reaches its final share, or `None` if it stays at its start share.
    #[must_use]
    pub fn end(&self) -> Option<Epoch> {
        match &self.course {
            Course::Constant => None,
            Course::Linear { duration, .. } => Some(linear_end(self.start(), *duration)),
            Course::Steps(steps) => steps.last().map(|step| self.start().plus_seconds(step.after.seconds())),
        }
    }

    /// Returns the open share at `now`. For linear ramps it equals the share that upstream's servers compute, to the bit.
    #[must_use]
    pub fn share_at(&self, now: Epoch) -> f64 {
        let start = self.start();
        if now < start {
            return 0.0;
        }
        match &self.course {
            Course::Constant => self.start_share(),
            Course::Linear { duration, end_share } => {
                let end = linear_end(start, *duration);
                if now > end {
                    return end_share.get();
                }
                let from = self.start_share();
                from + ((end_share.get() - from) / number(end.since(start))) * number(now.since(start))
            }
            Course::Steps(steps) => steps
                .iter()
                .take_while(|step| start.plus_seconds(step.after.seconds()) <= now)
                .last()
                .map_or(self.start_share(), |step| step.share.get()),
        }
    }

    /// Returns the first second, `from` or later, at which a node of this wariness is admitted, or `None` if it never is.
    #[must_use]
    pub fn opens_at(&self, wariness: Wariness, from: Epoch) -> Option<Epoch> {
        let admits = |now: &Epoch| {
            let held_back = wariness.get() > self.share_at(*now);
            !held_back
        };
        let start = self.start();
        if from < start && admits(&from) {
            return Some(from);
        }
        let from = from.max(start);
        match &self.course {
            Course::Constant => Some(from).filter(admits),
            Course::Steps(steps) => std::iter::once(from)
                .chain(steps.iter().map(|step| start.plus_seconds(step.after.seconds()).max(from)))
                .find(admits),
            Course::Linear { duration, .. } => {
                let end = linear_end(start, *duration);
                let after = end.plus_seconds(1).max(from);
                if admits(&from) {
                    return Some(from);
                }
                if from < end && admits(&end) {
                    return Some(first_admitted(from, end, admits));
                }
                Some(after).filter(admits)
            }
        }
    }

    /// Returns this ramp with its start moved by `seconds`. An absent start counts as 1970.
    #[must_use]
    pub fn later_by(&self, seconds: i64) -> Self {
        if seconds == 0 {
            return self.clone();
        }
        Self { start: Some(self.start().plus_seconds(seconds)), ..self.clone() }
    }

    /// Returns the times between which the share is linear: the start, the steps and the end.
    #[must_use]
    pub fn breakpoints(&self) -> Vec<Epoch> {
        let start = self.start();
        let mut breakpoints = vec![start];
        match &self.course {
            Course::Constant => {}
            Course::Linear { duration, .. } => breakpoints.push(linear_end(start, *duration)),
            Course::Steps(steps) => {
                breakpoints.extend(steps.iter().map(|step| start.plus_seconds(step.after.seconds())));
            }
        }
        breakpoints
    }

    /// Returns true if the share may change after `now`.
    #[must_use]
    pub fn changes_after(&self, now: Epoch) -> bool {
        self.breakpoints().into_iter().any(|at| at > now)
    }

    /// Returns true if the share is greater at some time after `now`.
    #[must_use]
    pub fn opens_further_after(&self, now: Epoch) -> bool {
        let share = self.share_at(now);
        let later = self.breakpoints().into_iter().flat_map(|at| [at, at.plus_seconds(1)]).filter(|at| *at > now);
        later.into_iter().any(|at| self.share_at(at) > share)
    }
}

/// Changes of the plan from a given time on, which never lower the share that is already open.
impl Ramp {
    /// Returns this ramp with the rest of its course after `now` compressed into `within`. Returns `None` if that would not be faster, or
    /// if the ramp has not started or has ended.
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
            Course::Steps(steps) => {
                // The new start is a whole number of minutes after the old one, like the steps. Rounding up then moves no step to a
                // later time or to the present minute.
                let elapsed = now.since(start) / 60;
                let remaining = |step: &Step| i128::from(step.after.0) - i128::from(elapsed);
                let future: Vec<&Step> = steps.iter().filter(|step| remaining(step) > 0).collect();
                let total = remaining(future.last()?);
                if i128::from(within.0) >= total {
                    return None;
                }
                let sooner = |step: &Step| {
                    let after = (remaining(step) * i128::from(within.0) + total - 1) / total;
                    Step { after: Minutes(u64::try_from(after).unwrap_or(0)), share: step.share }
                };
                (start.plus_seconds(elapsed * 60), Course::Steps(future.into_iter().map(sooner).collect()))
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
            Course::Linear { .. } => {
                let reached = self.opens_at(Wariness::new(at.get()), from)?;
                // Rounding up keeps the ramp from opening faster than before.
                Course::Linear {
                    duration: Minutes::from_seconds_up(reached.since(from)).max(Minutes(1)),
                    end_share: at,
                }
            }
            Course::Steps(steps) => {
                let last = steps.iter().position(|step| step.share > at)?;
                let mut held: Vec<Step> = steps.iter().take(last).copied().collect();
                held.extend(steps.get(last).map(|step| Step { share: at, ..*step }));
                return Some(Self { course: Course::Steps(held), ..self.clone() });
            }
        };
        Some(Self { start: Some(from), start_share: Share::from_record(share).ok(), course })
    }
}

fn linear_end(start: Epoch, duration: Minutes) -> Epoch {
    start.plus_seconds(duration.max(Minutes(1)).seconds())
}

/// Returns the first second after `low` and up to `high` that is admitted, by bisection. `low` is not admitted, `high` is, and so is every
/// second after the first admitted one.
fn first_admitted(low: Epoch, high: Epoch, admits: impl Fn(&Epoch) -> bool) -> Epoch {
    let (mut closed, mut open) = (low, high);
    while open.since(closed) > 1 {
        let middle = closed.plus_seconds(open.since(closed) / 2);
        if admits(&middle) {
            open = middle;
        } else {
            closed = middle;
        }
    }
    open
}

#[expect(clippy::cast_precision_loss, reason = "the rule is stated on the nearest f64")]
fn number(seconds: i64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn opening_times_are_exact(ramp in samples::ramp(), wariness in 0.0..=1.0f64, from in 0i64..400_000) {
            let wariness = Wariness::new(wariness);
            let open = |now: Epoch| wariness.get() <= ramp.share_at(now);
            match ramp.opens_at(wariness, Epoch(from)) {
                None => prop_assert!((from..600_000).step_by(7).all(|now| !open(Epoch(now)))),
                Some(at) => {
                    prop_assert!(at >= Epoch(from));
                    prop_assert!(open(at));
                    prop_assert!(at == Epoch(from) || !open(at.plus_seconds(-1)));
                }
            }
        }
    }

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
            prop_assert!((held.share_at(Epoch(i64::MAX / 4)) - at.get()).abs() < 1e-12);
        }
    }

    #[test]
    fn accelerating_opens_no_step_at_once() {
        let step = |after, share| Step { after: Minutes(after), share: Share::from_record(share).expect("a share") };
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
    }

    #[test]
    fn unusual_upstream_ramps_have_defined_shares() {
        let linear = |share: f64, minutes| Ramp {
            start: Some(Epoch(1000)),
            start_share: Share::from_record(share).ok(),
            course: Course::Linear { duration: Minutes(minutes), end_share: Share::ALL },
        };
        let at = |ramp: &Ramp, now| ramp.share_at(Epoch(now));
        insta::assert_debug_snapshot!([
            at(&linear(0.0, 10), 999),
            at(&linear(0.0, 10), 1000),
            at(&linear(0.0, 10), 1300),
            at(&linear(0.3, 10), 1600),
            at(&linear(0.3, 10), 1601),
            at(&linear(0.0, 0), 1030),
            at(&linear(100.0, 10), 1001),
            at(&linear(-1.0, 10), 1300),
            at(&linear(0.0, u64::MAX), 1300),
        ], @"
        [
            0.0,
            0.0,
            0.5,
            1.0,
            1.0,
            0.5,
            99.835,
            0.0,
            3.252606517456514e-17,
        ]
        ");
    }
}
