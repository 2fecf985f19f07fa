//! Rollouts: a release is opened to a growing share of the nodes that a selector matches.

pub mod expired_schedule;
pub mod first_opening;
pub mod gate;
pub mod id;
pub mod numbering;
pub mod preset;
pub mod ramp;
mod ramp_changes;
pub mod selector;
pub mod share;
pub mod step;
pub mod wariness;

use super::{
    duration::Minutes,
    epoch::Epoch,
    origin::Origin,
    rollout::{
        gate::Gate,
        id::RolloutId,
        ramp::{Course, Ramp},
        selector::BoxedSelector,
        share::{OpenShare, Share},
        wariness::Wariness,
    },
};
use thiserror::Error;

/// One rollout of a release. If there are several, the first one whose selector matches a node decides for that node.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Its id, which it keeps at any place among the rollouts of its release.
    pub id: RolloutId,
    /// The nodes that it is for.
    pub selector: BoxedSelector,
    /// Its plan: the open share over time.
    pub ramp: Ramp,
    /// Its state.
    pub state: RolloutState,
    /// How plan time relates to real time.
    pub clock: RolloutClock,
    /// The origin of its plan.
    pub origin: Origin,
}

/// The clock of a rollout. Plan time advances only while the rollout is active, so a pause changes no share and loses no part of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RolloutClock {
    /// The total length in seconds of past pauses and of waits at gates. One that has not ended is not counted.
    pub stood_still: i64,
    /// The time at which the rollout first opened to any node, if it had opened by the last change.
    pub first_opened: Option<Epoch>,
}

/// The state of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It follows its ramp: scheduled before its start, running after it, and waiting at a gate.
    Active,
    /// It keeps the share that it had when it was paused.
    Paused {
        /// The time of the pause.
        at: Epoch,
    },
    /// It is open to all nodes that its selector matches.
    Completed,
    /// It is closed to all nodes. It is not deleted, because a barrier without rollouts would be open to all nodes.
    Aborted,
}

/// The error for an operation that the state of a rollout does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// The rollout is in another state.
    #[error("a rollout that is {state} cannot be {verb}")]
    State {
        /// The operation, as a past participle.
        verb: &'static str,
        /// The state of the rollout.
        state: &'static str,
    },
    /// The rollout has already started.
    #[error("the rollout has already started")]
    Started,
    /// The rollout would not end sooner.
    #[error(
        "the rollout cannot be accelerated: it has not started, has ended, already ends within that time, or is less than a minute from the end of a step"
    )]
    NotFaster,
    /// The rollout is past the share or never exceeds it.
    #[error("the rollout cannot be held at that share: it is already past it, or its plan does not exceed it")]
    NotAhead,
    /// The rollout has no gate, or has not arrived at it.
    #[error("the rollout does not wait at a gate; to open it further, give a share")]
    NotAtGate,
    /// The rollout is open to that share already.
    #[error("the rollout cannot be advanced to that share: it is open to that share already")]
    NotHigher,
}

impl RolloutState {
    /// Returns the name that documents and the database use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused { .. } => "paused",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
        }
    }
}

impl Rollout {
    /// Returns the open share at `now`.
    #[must_use]
    pub fn open_share(&self, now: Epoch) -> OpenShare {
        match self.state {
            RolloutState::Active => OpenShare::Open(self.planned_share(now)),
            RolloutState::Paused { at } => OpenShare::Open(self.planned_share(at)),
            RolloutState::Completed => OpenShare::Open(1.0),
            RolloutState::Aborted => OpenShare::Closed,
        }
    }

    /// Returns the share that the plan has reached at `now`, regardless of the state.
    #[must_use]
    pub fn planned_share(&self, now: Epoch) -> f64 {
        self.ramp.share_at(self.plan_time(now))
    }

    fn plan_time(&self, now: Epoch) -> Epoch {
        now.plus_seconds(self.clock.stood_still.saturating_neg())
    }

    /// Returns the plan delayed by the past pauses, which is what agents and exports show.
    #[must_use]
    pub fn present_ramp(&self) -> Ramp {
        self.ramp.later_by(self.clock.stood_still)
    }

    /// Returns the start of the plan, delayed by the past pauses.
    #[must_use]
    pub fn begins_at(&self) -> Epoch {
        self.ramp.start().plus_seconds(self.clock.stood_still)
    }

    /// Returns the breakpoints of the plan, delayed by the past pauses.
    #[must_use]
    pub fn breakpoints(&self) -> Vec<Epoch> {
        self.ramp.breakpoints().into_iter().map(|at| at.plus_seconds(self.clock.stood_still)).collect()
    }

    /// Returns the gate at which it waits next, at the time at which it arrives there if it is not paused.
    #[must_use]
    pub fn next_gate(&self) -> Option<Gate> {
        let Gate { at, share } = self.ramp.gate().filter(|_| self.is_live())?;
        Some(Gate { at: at.plus_seconds(self.clock.stood_still), share })
    }

    /// Returns true if it waits at a gate at `now`.
    #[must_use]
    pub fn is_waiting(&self, now: Epoch) -> bool {
        self.state == RolloutState::Active && self.next_gate().is_some_and(|gate| gate.at <= now)
    }

    /// Returns true if it opens further after `now` without another change.
    #[must_use]
    pub fn opens_further_after(&self, now: Epoch) -> bool {
        self.state == RolloutState::Active && self.ramp.opens_further_after(self.plan_time(now))
    }

    /// Returns the time from which its share exceeds 0, delayed by the past pauses, or `None` if it stays 0 without another change.
    #[must_use]
    pub fn first_opens_at(&self) -> Option<Epoch> {
        Some(self.ramp.first_opens_at()?.plus_seconds(self.clock.stood_still))
    }

    /// Returns true if its share has exceeded 0 by `now`. A rollout that stays at 0 for some time, or waits there at a gate, has not opened.
    #[must_use]
    pub fn has_opened(&self, now: Epoch) -> bool {
        let opens_by = |time: Epoch| self.first_opens_at().is_some_and(|at| at <= time);
        match self.state {
            RolloutState::Active => opens_by(now),
            RolloutState::Paused { at } => opens_by(at),
            RolloutState::Completed => true,
            RolloutState::Aborted => false,
        }
    }

    /// Returns true if it is open at `now`, even if only to nodes of wariness 0.
    #[must_use]
    pub fn is_open(&self, now: Epoch) -> bool {
        match self.state {
            RolloutState::Active => self.begins_at() <= now,
            RolloutState::Paused { at } => self.begins_at() <= at,
            RolloutState::Completed => true,
            RolloutState::Aborted => false,
        }
    }

    /// Returns true if both are for the same nodes and have the same ramp, in whatever state they are.
    #[must_use]
    pub fn has_plan_of(&self, other: &Self) -> bool {
        (&self.selector, &self.ramp) == (&other.selector, &other.ramp)
    }

    /// Returns this rollout with another plan and no past pauses.
    #[must_use]
    pub fn with_plan(&self, ramp: Ramp) -> Self {
        let clock = RolloutClock { stood_still: 0, ..self.clock };
        Self { ramp, clock, ..self.clone() }
    }

    /// Returns true if it has not ended, so nodes that it holds back may still be admitted.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, RolloutState::Active | RolloutState::Paused { .. })
    }

    /// Returns the first second, `from` or later, at which it admits a node of this wariness without another change.
    #[must_use]
    pub fn opens_at(&self, wariness: Wariness, from: Epoch) -> Option<Epoch> {
        match self.state {
            RolloutState::Active => {
                let opens = self.ramp.opens_at(wariness, self.plan_time(from))?;
                Some(opens.plus_seconds(self.clock.stood_still))
            }
            _ => (!self.open_share(from).holds_back(wariness)).then_some(from),
        }
    }

    /// Pauses the rollout, which keeps its present share.
    ///
    /// # Errors
    /// Fails if it is not active.
    pub fn pause(&self, now: Epoch) -> Result<Self, TransitionError> {
        self.in_state(RolloutState::Active, "paused", RolloutState::Paused { at: now })
    }

    /// Resumes the plan where it was paused. A rollout that was paused before its start begins at its start, or at `now` if that is later.
    ///
    /// # Errors
    /// Fails if it is not paused.
    pub fn resume(&self, now: Epoch) -> Result<Self, TransitionError> {
        let RolloutState::Paused { at } = self.state else {
            return Err(self.state_error("resumed"));
        };
        let has_rest = self.ramp.changes_after(self.plan_time(at));
        let paused_for = if has_rest { now.since(at.max(self.begins_at())).max(0) } else { 0 };
        let clock = RolloutClock { stood_still: self.clock.stood_still.saturating_add(paused_for), ..self.clock };
        Ok(Self { clock, ..self.with(RolloutState::Active) })
    }

    /// Starts a scheduled rollout at `now`.
    ///
    /// # Errors
    /// Fails if it is not active, or has already started.
    pub fn start(&self, now: Epoch) -> Result<Self, TransitionError> {
        self.check_active("started")?;
        if now >= self.begins_at() {
            return Err(TransitionError::Started);
        }
        Ok(self.with_plan(Ramp { start: Some(now), ..self.ramp.clone() }))
    }

    /// Returns this rollout with a start no earlier than `now`, for a release that could not be offered before: one that has begun begins again,
    /// and one that was paused since waits, paused before its start. Upstream rollouts, constant ramps and rollouts that have ended are returned
    /// unchanged.
    #[must_use]
    pub fn not_before(&self, now: Epoch) -> Self {
        if !self.is_live()
            || self.ramp.course == Course::Constant
            || self.origin == Origin::Upstream
            || !self.is_open(now)
        {
            return self.clone();
        }
        let again = self.with_plan(Ramp { start: Some(now), ..self.ramp.with_closed_gates() });
        match self.state {
            RolloutState::Paused { .. } => again.with(RolloutState::Paused { at: now.plus_seconds(-1) }),
            _ => again,
        }
    }

    /// Compresses the rest of the plan into `within`.
    ///
    /// # Errors
    /// Fails if the rollout is not active, or if that would not be faster.
    pub fn accelerate(&self, now: Epoch, within: Minutes) -> Result<Self, TransitionError> {
        self.check_active("accelerated")?;
        let ramp = self.present_ramp().accelerated(now, within).ok_or(TransitionError::NotFaster)?;
        Ok(self.with_plan(ramp))
    }

    /// Lets the plan continue, but no further than the share `at`.
    ///
    /// # Errors
    /// Fails if the rollout is not active, is past that share, or never exceeds it.
    pub fn hold(&self, now: Epoch, at: Share) -> Result<Self, TransitionError> {
        self.check_active("held")?;
        let ramp = self.present_ramp().held(now, at).ok_or(TransitionError::NotAhead)?;
        Ok(self.with_plan(ramp))
    }

    /// Opens the rollout to a higher share, at once or evenly over a time. The plan ends there. A rollout that has not started starts now.
    ///
    /// # Errors
    /// Fails if the rollout is not active, or is open to that share already.
    pub fn advance(&self, now: Epoch, to: Share, over: Option<Minutes>) -> Result<Self, TransitionError> {
        self.check_active("advanced")?;
        let present = Share::from_record(self.planned_share(now)).ok().filter(|present| *present < to);
        let present = present.ok_or(TransitionError::NotHigher)?;
        Ok(self.with_plan(match over {
            Some(duration) => Ramp {
                start: Some(now),
                start_share: Some(present),
                course: Course::Linear { duration, end_share: to },
            },
            None => Ramp::constant(now, to),
        }))
    }

    /// Lets the rollout pass the gate at which it waits. The plan continues there: the time at the gate counts as a pause.
    ///
    /// # Errors
    /// Fails if the rollout is not active, or does not wait at a gate.
    pub fn pass_gate(&self, now: Epoch) -> Result<Self, TransitionError> {
        self.check_active("advanced")?;
        let gate = self.next_gate().filter(|gate| gate.at <= now).ok_or(TransitionError::NotAtGate)?;
        let stood_still = self.clock.stood_still.saturating_add(now.since(gate.at));
        Ok(Self { ramp: self.ramp.past_gate(), clock: RolloutClock { stood_still, ..self.clock }, ..self.clone() })
    }

    fn check_active(&self, verb: &'static str) -> Result<(), TransitionError> {
        if self.state == RolloutState::Active { Ok(()) } else { Err(self.state_error(verb)) }
    }

    /// Opens the rollout to all nodes that its selector matches.
    ///
    /// # Errors
    /// Fails if it was completed or aborted.
    pub fn complete(&self) -> Result<Self, TransitionError> {
        self.end_in(RolloutState::Completed, "completed")
    }

    /// Closes the rollout to all nodes permanently.
    ///
    /// # Errors
    /// Fails if it was aborted.
    pub fn abort(&self) -> Result<Self, TransitionError> {
        match self.state {
            RolloutState::Aborted => Err(self.state_error("aborted")),
            _ => Ok(self.with(RolloutState::Aborted)),
        }
    }

    /// Returns a new rollout for the same nodes and with the same plan, which starts at `now`.
    ///
    /// # Errors
    /// Fails if it was not aborted.
    pub fn restart(&self, now: Epoch) -> Result<Self, TransitionError> {
        if self.state != RolloutState::Aborted {
            return Err(self.state_error("restarted"));
        }
        Ok(Self {
            id: RolloutId::NEW,
            selector: self.selector.clone(),
            ramp: Ramp { start: Some(now), ..self.ramp.with_closed_gates() },
            state: RolloutState::Active,
            clock: RolloutClock::default(),
            origin: Origin::Local,
        })
    }

    fn in_state(&self, wanted: RolloutState, verb: &'static str, next: RolloutState) -> Result<Self, TransitionError> {
        if self.state == wanted { Ok(self.with(next)) } else { Err(self.state_error(verb)) }
    }

    fn end_in(&self, next: RolloutState, verb: &'static str) -> Result<Self, TransitionError> {
        match self.state {
            RolloutState::Active | RolloutState::Paused { .. } => Ok(self.with(next)),
            RolloutState::Completed | RolloutState::Aborted => Err(self.state_error(verb)),
        }
    }

    fn with(&self, state: RolloutState) -> Self {
        Self { state, ..self.clone() }
    }

    fn state_error(&self, verb: &'static str) -> TransitionError {
        TransitionError::State { verb, state: self.state.as_str() }
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
