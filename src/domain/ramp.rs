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

/// Changes of course, from an instant on: what was open stays open.
impl Ramp {
    /// The same course from `now` on, in this time instead of what was left of it; none where that would not be faster, or where
    /// nothing is left.
    #[must_use]
    pub fn accelerated(&self, now: Epoch, within: Minutes) -> Option<Self> {
        let start = self.start();
        if now < start {
            return None;
        }
        let share = Share::recorded(self.share_at(now)).ok();
        let (begins, course) = match &self.course {
            Course::Constant => return None,
            Course::Linear { duration, end_share } => {
                let left = linear_end(start, *duration).since(now);
                // A line takes at least a minute.
                let is_faster = within.0 > 0 && within.seconds() < left;
                (now, is_faster.then_some(Course::Linear { duration: within, end_share: *end_share })?)
            }
            Course::Steps(steps) => {
                // Counted from a whole minute after the old start, as steps are: rounding up then makes none of them later, and
                // none of them now.
                let gone = now.since(start) / 60;
                let left = |step: &Step| i128::from(step.after.0) - i128::from(gone);
                let ahead: Vec<&Step> = steps.iter().filter(|step| left(step) > 0).collect();
                let whole = left(ahead.last()?);
                if i128::from(within.0) >= whole {
                    return None;
                }
                let sooner = |step: &Step| {
                    let part = (left(step) * i128::from(within.0) + whole - 1) / whole;
                    Step { after: Minutes(u64::try_from(part).unwrap_or(0)), share: step.share }
                };
                (start.plus_seconds(gone * 60), Course::Steps(ahead.into_iter().map(sooner).collect()))
            }
        };
        Some(Self { start: Some(begins), start_share: share, course })
    }

    /// The same course, ending at this share; none where it is beyond that already, or never gets so far.
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
                let reached = self.opens_at(Wariness::given(at.get()), from)?;
                // Rounded up: it opens no faster than it would have.
                Course::Linear {
                    duration: Minutes::from_seconds_up(reached.since(from)).max(Minutes(1)),
                    end_share: at,
                }
            }
            Course::Steps(steps) => {
                let last = steps.iter().position(|step| step.share > at)?;
                let mut kept: Vec<Step> = steps.iter().take(last).copied().collect();
                kept.extend(steps.get(last).map(|step| Step { share: at, ..*step }));
                return Some(Self { course: Course::Steps(kept), ..self.clone() });
            }
        };
        Some(Self { start: Some(from), start_share: Share::recorded(share).ok(), course })
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

    proptest! {
        #[test]
        fn what_is_accelerated_is_never_behind(ramp in samples::ramp(), now in 0i64..400_000, within in 0u64..3000) {
            let Some(faster) = ramp.accelerated(Epoch(now), Minutes(within)) else { return Ok(()) };
            prop_assert!((faster.share_at(Epoch(now)) - ramp.share_at(Epoch(now))).abs() < 1e-12 || within == 0);
            for at in (now..now + 400_000).step_by(1013).map(Epoch) {
                prop_assert!(faster.share_at(at) >= ramp.share_at(at) - 1e-9, "{at:?} {faster:?}");
            }
        }

        #[test]
        fn what_is_held_goes_no_further_and_no_faster(ramp in samples::ramp(), now in 0i64..400_000, at in samples::share()) {
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
    fn what_is_accelerated_a_little_opens_nothing_at_once() {
        let step = |after, share| Step { after: Minutes(after), share: Share::recorded(share).expect("a share") };
        let ramp = Ramp {
            start: Some(Epoch(0)),
            start_share: None,
            course: Course::Steps(vec![step(1000, 0.1), step(2000, 0.5), step(2001, 1.0)]),
        };
        let now = Epoch(90 * 60 + 30);
        let faster = ramp.accelerated(now, Minutes(1)).expect("faster");
        let opens = |after| faster.opens_at(Wariness::given(0.05), now.plus_seconds(after));
        // The minute began half a minute ago.
        assert_eq!([opens(0), opens(30)], [Some(now.plus_seconds(30)); 2]);
        assert_eq!(faster.opens_at(Wariness::given(1.0), now), Some(now.plus_seconds(30)));
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
