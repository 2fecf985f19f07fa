//! Gates: where a ramp waits until a release manager lets it pass.

use super::{
    ramp::{Course, Ramp},
    share::Share,
    step::{Segment, StepGate, before_gate},
};
use crate::domain::epoch::Epoch;

/// The gate at which a ramp waits next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// When the ramp arrives there.
    pub at: Epoch,
    /// The share of the step that follows.
    pub share: Share,
}

impl Ramp {
    /// Returns the steps before the first gate, with their times and shares. Courses of other kinds have none.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> {
        let steps = match &self.course {
            Course::Steps(steps) => before_gate(steps),
            Course::Constant | Course::Linear { .. } => &[],
        };
        let (start, mut from) = (self.start(), self.start_share());
        steps.iter().map(move |step| {
            let [begin, end] = [step.after, step.end()].map(|after| start.plus_seconds(after.seconds()));
            let to = step.share.get();
            Segment { begin, end, from: std::mem::replace(&mut from, to), to }
        })
    }

    /// Returns the gate at which the ramp waits next.
    #[must_use]
    pub fn gate(&self) -> Option<Gate> {
        let Course::Steps(steps) = &self.course else { return None };
        let step = steps.iter().find(|step| step.gate == StepGate::Closed)?;
        Some(Gate { at: self.start().plus_seconds(step.after.seconds()), share: step.share })
    }

    /// Returns this ramp past its first gate.
    #[must_use]
    pub fn past_gate(&self) -> Self {
        let mut is_passed = false;
        self.with_gates(|gate| match gate {
            StepGate::Closed if !std::mem::replace(&mut is_passed, true) => StepGate::Passed,
            other => other,
        })
    }

    /// Returns this ramp past all of its gates: what it would do if it never waited.
    #[must_use]
    pub fn without_gates(&self) -> Self {
        self.with_gates(|gate| if gate == StepGate::Closed { StepGate::Passed } else { gate })
    }

    /// Returns this ramp before all of its gates, for a rollout that begins again.
    #[must_use]
    pub fn with_closed_gates(&self) -> Self {
        self.with_gates(|gate| if gate == StepGate::Passed { StepGate::Closed } else { gate })
    }

    fn with_gates(&self, mut change: impl FnMut(StepGate) -> StepGate) -> Self {
        let mut changed = self.clone();
        if let Course::Steps(steps) = &mut changed.course {
            for step in steps {
                step.gate = change(step.gate);
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{duration::Minutes, rollout::step::Step};

    fn share(share: f64) -> Share {
        Share::new(share).unwrap()
    }

    /// To 5 % after a day, once a release manager says so; to everyone over the 48 hours after that.
    fn gated() -> Ramp {
        let hours = |hours: u64| Minutes(hours * 60);
        let gate = Step { gate: StepGate::Closed, ..Step::at_once(hours(24), share(0.05)) };
        let rest = Step { over: hours(48), ..Step::at_once(hours(24), Share::ALL) };
        Ramp { start: Some(Epoch(0)), start_share: None, course: Course::Steps(vec![gate, rest]) }
    }

    #[test]
    fn a_ramp_waits_at_its_gate() {
        const HOUR: i64 = 3600;
        let (waiting, passed) = (gated(), gated().past_gate());
        let shares = |ramp: &Ramp| {
            let shown = |hours| format!("{:.4}", ramp.share_at(Epoch(hours * HOUR)));
            [0, 23, 24, 36, 48, 72, 1000].map(shown)
        };
        assert_eq!(shares(&waiting), ["0.0000"; 7]);
        assert_eq!(shares(&passed), ["0.0000", "0.0000", "0.0500", "0.2875", "0.5250", "1.0000", "1.0000"]);
        assert_eq!(waiting.gate(), Some(Gate { at: Epoch(24 * HOUR), share: share(0.05) }));
        assert_eq!((passed.gate(), waiting.without_gates()), (None, passed.clone()));
        assert_eq!((passed.with_closed_gates(), waiting.with_closed_gates()), (waiting.clone(), waiting.clone()));
        assert!(waiting.end().is_none() && waiting.changes_after(Epoch(0)) && !waiting.changes_after(Epoch(24 * HOUR)));
        assert!(!waiting.opens_further_after(Epoch(0)) && passed.opens_further_after(Epoch(71 * HOUR)));
        assert_eq!(passed.end(), Some(Epoch(72 * HOUR)));
    }
}
