//! Ramps: the open share of a rollout over time.

use super::{
    share::Share,
    step::{self, Step, first_admitted, number},
    wariness::Wariness,
};
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

    pub(super) fn start_share(&self) -> f64 {
        self.start_share.unwrap_or(Share::NONE).get()
    }

    /// Returns the time at which the ramp reaches its final share, or `None` if it stays at its start share or waits at a gate.
    #[must_use]
    pub fn end(&self) -> Option<Epoch> {
        match &self.course {
            Course::Steps(_) if self.gate().is_some() => None,
            _ => self.rises_until(),
        }
    }

    /// Returns the time until which the share rises by itself: the end, or the end of the last step before a gate. Returns `None` if the ramp
    /// stays at its start share, or waits there.
    #[must_use]
    pub fn rises_until(&self) -> Option<Epoch> {
        match &self.course {
            Course::Constant => None,
            Course::Linear { duration, .. } => Some(linear_end(self.start(), *duration)),
            Course::Steps(_) => self.segments().last().map(|segment| segment.end),
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
            Course::Steps(_) => step::share_at(self.segments(), self.start_share(), now),
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
            Course::Steps(_) if admits(&from) => Some(from),
            Course::Steps(_) => self.segments().find_map(|segment| segment.opens(from, admits)),
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

    /// Returns the time from which the share exceeds 0, or `None` if it stays 0 or waits there at a gate.
    #[must_use]
    pub fn first_opens_at(&self) -> Option<Epoch> {
        if self.start_share() > 0.0 {
            return Some(self.start());
        }
        match &self.course {
            Course::Constant => None,
            Course::Linear { end_share, .. } => (end_share.get() > 0.0).then(|| self.start()),
            Course::Steps(_) => self.segments().find(|segment| segment.to > 0.0).map(|segment| segment.begin),
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

    /// Returns the times between which the share is linear: the start, and the begins and ends of steps, up to the first gate.
    #[must_use]
    pub fn breakpoints(&self) -> Vec<Epoch> {
        let start = self.start();
        let mut breakpoints = vec![start];
        match &self.course {
            Course::Constant => {}
            Course::Linear { duration, .. } => breakpoints.push(linear_end(start, *duration)),
            Course::Steps(_) => breakpoints.extend(self.segments().flat_map(|segment| [segment.begin, segment.end])),
        }
        breakpoints.dedup();
        breakpoints
    }

    /// Returns true if the share may change after `now`, or a gate is reached.
    #[must_use]
    pub fn changes_after(&self, now: Epoch) -> bool {
        let gate = self.gate().map(|gate| gate.at);
        self.breakpoints().into_iter().chain(gate).any(|at| at > now)
    }

    /// Returns true if the share is greater at some time after `now`.
    #[must_use]
    pub fn opens_further_after(&self, now: Epoch) -> bool {
        let share = self.share_at(now);
        let later = self.breakpoints().into_iter().flat_map(|at| [at, at.plus_seconds(1)]).filter(|at| *at > now);
        later.into_iter().any(|at| self.share_at(at) > share)
    }
}

pub(super) fn linear_end(start: Epoch, duration: Minutes) -> Epoch {
    start.plus_seconds(duration.max(Minutes(1)).seconds())
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
        fn a_ramp_first_opens_where_its_share_leaves_0(ramp in samples::ramp(), at in -10i64..600_000) {
            match ramp.first_opens_at() {
                None => prop_assert!(ramp.share_at(Epoch(at)) <= 0.0),
                Some(opens) => {
                    prop_assert!(ramp.share_at(opens.plus_seconds(1)) > 0.0);
                    prop_assert!(ramp.share_at(opens.plus_seconds(-1)) <= 0.0);
                }
            }
        }
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
