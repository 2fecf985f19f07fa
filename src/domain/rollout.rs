//! Rollouts: a release opened to a growing share of the nodes that a selector picks.

use super::{epoch::Epoch, origin::Origin, ramp::Ramp, selector::Selector, share::OpenShare, wariness::Wariness};
use thiserror::Error;

/// One entry of a release's list of rollouts; of several, the first whose selector picks a node counts for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Which nodes it is for.
    pub selector: Selector,
    /// Open share over time.
    pub ramp: Ramp,
    /// What was done to it.
    pub state: RolloutState,
    /// Who set it.
    pub origin: Origin,
}

/// What was done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It follows its ramp: scheduled before its start, running after.
    Active,
    /// It keeps the share of that instant.
    Paused {
        /// The instant.
        at: Epoch,
    },
    /// Open to all that it is for.
    Completed,
    /// Closed to all. It stays in its place: without it a barrier would open to everybody.
    Aborted,
}

/// A verb that does not fit the state that the rollout is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rollout that is {state} cannot be {verb}")]
pub struct VerbError {
    /// What was wanted.
    pub verb: &'static str,
    /// What it is.
    pub state: &'static str,
}

impl RolloutState {
    /// Its name in documents and in the store.
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
    /// How far it is open at `now`.
    #[must_use]
    pub fn open_share(&self, now: Epoch) -> OpenShare {
        match self.state {
            RolloutState::Active => OpenShare::Open(self.ramp.share_at(now)),
            RolloutState::Paused { at } => OpenShare::Open(self.ramp.share_at(at)),
            RolloutState::Completed => OpenShare::Open(1.0),
            RolloutState::Aborted => OpenShare::Closed,
        }
    }

    /// The first second, `from` or later, at which it lets in a node of this wariness, if nobody touches it.
    #[must_use]
    pub fn opens_at(&self, wariness: Wariness, from: Epoch) -> Option<Epoch> {
        match self.state {
            RolloutState::Active => self.ramp.opens_at(wariness, from),
            _ => (!self.open_share(from).holds_back(wariness)).then_some(from),
        }
    }

    /// Stops the ramp; the share stays exactly where it is.
    ///
    /// # Errors
    /// It is not active.
    pub fn pause(&self, now: Epoch) -> Result<Self, VerbError> {
        self.in_state(RolloutState::Active, "paused", RolloutState::Paused { at: now })
    }

    /// Goes on from the share at which it was paused, with what was left of the time.
    ///
    /// # Errors
    /// It is not paused.
    pub fn resume(&self, now: Epoch) -> Result<Self, VerbError> {
        let RolloutState::Paused { at } = self.state else {
            return Err(self.refuse("resumed"));
        };
        Ok(Self { ramp: self.ramp.resumed(at, now), state: RolloutState::Active, ..self.clone() })
    }

    /// Opens it to all that it is for.
    ///
    /// # Errors
    /// It was completed or aborted before.
    pub fn complete(&self) -> Result<Self, VerbError> {
        self.ended_as(RolloutState::Completed, "completed")
    }

    /// Closes it to everybody, for good.
    ///
    /// # Errors
    /// It was aborted before.
    pub fn abort(&self) -> Result<Self, VerbError> {
        match self.state {
            RolloutState::Aborted => Err(self.refuse("aborted")),
            _ => Ok(self.with(RolloutState::Aborted)),
        }
    }

    fn in_state(&self, wanted: RolloutState, verb: &'static str, next: RolloutState) -> Result<Self, VerbError> {
        if self.state == wanted { Ok(self.with(next)) } else { Err(self.refuse(verb)) }
    }

    fn ended_as(&self, next: RolloutState, verb: &'static str) -> Result<Self, VerbError> {
        match self.state {
            RolloutState::Active | RolloutState::Paused { .. } => Ok(self.with(next)),
            RolloutState::Completed | RolloutState::Aborted => Err(self.refuse(verb)),
        }
    }

    fn with(&self, state: RolloutState) -> Self {
        Self { state, ..self.clone() }
    }

    fn refuse(&self, verb: &'static str) -> VerbError {
        VerbError { verb, state: self.state.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ramp::Course, samples, share::Share};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pause_keeps_the_share_and_opens_nothing(rollout in samples::rollout(), at in 0i64..400_000, later in 0i64..400_000) {
            let Ok(paused) = rollout.pause(Epoch(at)) else { return Ok(()) };
            prop_assert_eq!(paused.open_share(Epoch(at + later)), rollout.open_share(Epoch(at)));
        }

        #[test]
        fn an_abort_lets_nobody_in(rollout in samples::rollout(), now in 0i64..400_000) {
            if let Ok(aborted) = rollout.abort() {
                prop_assert!(aborted.open_share(Epoch(now)).holds_back(Wariness::given(0.0)));
            }
        }

        #[test]
        fn a_completed_one_lets_everybody_in(rollout in samples::rollout(), now in 0i64..400_000) {
            if let Ok(completed) = rollout.complete() {
                prop_assert!(!completed.open_share(Epoch(now)).holds_back(Wariness::given(1.0)));
            }
        }
    }

    #[test]
    fn verbs_are_refused_by_name() {
        let rollout = Rollout {
            selector: Selector::default(),
            ramp: Ramp { start: None, start_share: Some(Share::ALL), course: Course::Constant },
            state: RolloutState::Aborted,
            origin: Origin::Local,
        };
        assert_eq!(rollout.resume(Epoch(0)).unwrap_err().to_string(), "a rollout that is aborted cannot be resumed");
        assert!(rollout.pause(Epoch(0)).is_err() && rollout.complete().is_err() && rollout.abort().is_err());
    }
}
