//! The steps of a ramp.

use super::share::Share;
use crate::domain::{duration::Minutes, epoch::Epoch};

/// A step of a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The time after the start at which it begins.
    pub after: Minutes,
    /// The share at its end.
    pub share: Share,
    /// The time in which the share rises to that, linearly; 0: at once.
    pub over: Minutes,
    /// Whether the ramp waits before it.
    pub gate: StepGate,
}

/// Whether a ramp waits before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepGate {
    /// It does not wait.
    #[default]
    None,
    /// It waits until a release manager lets it pass.
    Closed,
    /// It has waited, and was let pass.
    Passed,
}

/// A step with the times and shares between which it is linear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) begin: Epoch,
    pub(super) end: Epoch,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Step {
    /// Builds a step that opens to its share at once.
    #[must_use]
    pub fn at_once(after: Minutes, share: Share) -> Self {
        Self { after, share, over: Minutes(0), gate: StepGate::None }
    }

    /// Returns the time after the start at which it has reached its share.
    #[must_use]
    pub fn end(&self) -> Minutes {
        Minutes(self.after.0.saturating_add(self.over.0))
    }

    /// Returns true if it neither takes time nor waits.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.over.0 == 0 && self.gate == StepGate::None
    }
}

impl Segment {
    /// Returns true if its share has begun to rise at `now`, and has not reached its end.
    pub(super) fn is_under_way(&self, now: Epoch) -> bool {
        self.begin <= now && now < self.end
    }

    fn share_at(&self, now: Epoch) -> f64 {
        if now >= self.end {
            return self.to;
        }
        self.from + ((self.to - self.from) / number(self.end.since(self.begin))) * number(now.since(self.begin))
    }

    /// Returns the first second, `after` or later, at which the segment has a share that admits.
    pub(super) fn opens(&self, after: Epoch, admits: impl Fn(&Epoch) -> bool) -> Option<Epoch> {
        let (begin, end) = (self.begin.max(after), self.end.max(after));
        if admits(&begin) {
            return Some(begin);
        }
        admits(&end).then(|| first_admitted(begin, end, admits))
    }
}

/// Returns the steps that begin by themselves: those before the first gate.
#[must_use]
pub fn before_gate(steps: &[Step]) -> &[Step] {
    let gate = steps.iter().position(|step| step.gate == StepGate::Closed).unwrap_or(steps.len());
    steps.get(..gate).unwrap_or_default()
}

/// Returns the share at `now` of steps that begin at a share.
pub(super) fn share_at(segments: impl Iterator<Item = Segment>, start_share: f64, now: Epoch) -> f64 {
    let begun = segments.take_while(|segment| segment.begin <= now);
    begun.last().map_or(start_share, |segment| segment.share_at(now))
}

/// Returns the first second after `low` and up to `high` that is admitted, by bisection. `low` is not admitted, `high` is, and so is every
/// second after the first admitted one.
pub(super) fn first_admitted(low: Epoch, high: Epoch, admits: impl Fn(&Epoch) -> bool) -> Epoch {
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
pub(super) fn number(seconds: i64) -> f64 {
    seconds as f64
}
