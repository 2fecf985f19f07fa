//! The course of a rollout: open share over time.

use super::{duration::Minutes, epoch::Epoch, share::Share, wariness::Wariness};

/// Open share over time. Absent parts stay absent, so that upstream's documents come out as they came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    /// When it starts; absent counts as 1970-01-01. Before it the share is 0.
    pub start: Option<Epoch>,
    /// The share at its start; absent counts as 0.
    pub start_share: Option<Share>,
    /// What happens from there.
    pub course: Course,
}

/// How a ramp goes on after its start.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// The start share, for ever.
    Constant,
    /// In a straight line to the end share, which stays.
    Linear {
        /// How long it takes; 0 counts as 1 minute.
        duration: Minutes,
        /// Where it ends: 1, or less to hold there.
        end_share: Share,
    },
    /// In steps, in the order of their times; until the first one the start share.
    Steps(Vec<Step>),
}

/// From some time after the start on, this share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// How long after the start.
    pub after: Minutes,
    /// The share from then on.
    pub share: Share,
}

impl Ramp {
    /// A ramp that stays at one share from a time on.
    #[must_use]
    pub fn constant(start: Epoch, share: Share) -> Self {
        Self { start: Some(start), start_share: Some(share), course: Course::Constant }
    }

    /// When it starts.
    #[must_use]
    pub fn start(&self) -> Epoch {
        self.start.unwrap_or_default()
    }

    fn start_share(&self) -> f64 {
        self.start_share.unwrap_or(Share::NONE).get()
    }

    /// The open share at `now`: rule 7 of the wire contract of Fedora CoreOS, to the bit, for what it can say.
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

    /// The first second, `from` or later, at which a node of this wariness is let in; none if it never is.
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
                    return Some(first_in(from, end, admits));
                }
                Some(after).filter(admits)
            }
        }
    }

    /// The ramp that goes on at `now` from where this one stood at `paused_at`, with what was left of its time, rounded up to
    /// whole minutes.
    #[must_use]
    pub fn resumed(&self, paused_at: Epoch, now: Epoch) -> Self {
        let start = self.start();
        if now <= start {
            return self.clone();
        }
        let elapsed = paused_at.since(start).max(0);
        let left = |length: Minutes| Minutes::from_seconds_up(length.seconds().saturating_sub(elapsed));
        // Before its start a ramp has used up none of its time, and goes on from its own start share.
        let share = if paused_at < start { self.start_share } else { Share::recorded(self.share_at(paused_at)).ok() };
        let course = match &self.course {
            Course::Constant => Course::Constant,
            Course::Linear { duration, .. } if paused_at >= linear_end(start, *duration) => return self.clone(),
            Course::Linear { duration, end_share } => {
                Course::Linear { duration: left(*duration), end_share: *end_share }
            }
            Course::Steps(steps) => Course::Steps(
                steps
                    .iter()
                    .filter(|step| step.after.seconds() > elapsed || paused_at < start)
                    .map(|step| Step { after: left(step.after), share: step.share })
                    .collect(),
            ),
        };
        Self { start: Some(now), start_share: share, course }
    }
}

fn linear_end(start: Epoch, duration: Minutes) -> Epoch {
    start.plus_seconds(duration.max(Minutes(1)).seconds())
}

/// The first second of `low..=high` that is let in, where the last one is and letting in never ends.
fn first_in(low: Epoch, high: Epoch, admits: impl Fn(&Epoch) -> bool) -> Epoch {
    let (mut out, mut inside) = (low, high);
    while inside.since(out) > 1 {
        let middle = out.plus_seconds(inside.since(out) / 2);
        if admits(&middle) {
            inside = middle;
        } else {
            out = middle;
        }
    }
    inside
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
            let wariness = Wariness::given(wariness);
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

        #[test]
        fn resuming_goes_on_from_the_same_share(ramp in samples::ramp(), pause in 0i64..400_000, wait in 0i64..100_000) {
            let (paused_at, now) = (Epoch(pause), Epoch(pause + wait));
            let resumed = ramp.resumed(paused_at, now);
            if pause >= ramp.start().0 {
                let ended = matches!(&ramp.course, Course::Linear { duration, .. } if paused_at >= linear_end(ramp.start(), *duration));
                prop_assert!(ended || (resumed.share_at(now) - ramp.share_at(paused_at)).abs() < 1e-12);
            }
            if pause >= ramp.start().0 {
                for later in (0..400_000).step_by(1013) {
                    let without_the_wait = ramp.share_at(Epoch(pause + later));
                    prop_assert!(resumed.share_at(Epoch(now.0 + later)) <= without_the_wait + 1e-9);
                }
            }
        }
    }

    #[test]
    fn upstream_corner_cases() {
        let linear = |share: f64, minutes| Ramp {
            start: Some(Epoch(1000)),
            start_share: Share::recorded(share).ok(),
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
