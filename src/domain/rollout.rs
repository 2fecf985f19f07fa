//! Rollouts: a release opened to a growing share of the nodes that a selector picks.

use super::{
    duration::Minutes,
    epoch::Epoch,
    origin::Origin,
    ramp::{Course, Ramp},
    selector::Selector,
    share::{OpenShare, Share},
    wariness::Wariness,
};
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

/// A verb that does not fit how the rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerbError {
    /// It is in another state.
    #[error("a rollout that is {state} cannot be {verb}")]
    State {
        /// What was wanted.
        verb: &'static str,
        /// What it is.
        state: &'static str,
    },
    /// It has started already.
    #[error("the rollout has started already")]
    Started,
    /// It would come no sooner to its end.
    #[error("the rollout would not open faster: it has not started, is over, or takes no longer than that anyway")]
    NotFaster,
    /// The share is behind it, or beyond its end.
    #[error("the rollout cannot be held there: it is beyond that share already, or never gets so far")]
    NotAhead,
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

    /// Is it still to come to an end? Somebody who is held back by it may be let in yet.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, RolloutState::Active | RolloutState::Paused { .. })
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

    /// Begins now, though it was to begin later.
    ///
    /// # Errors
    /// It is not active, or has begun.
    pub fn start(&self, now: Epoch) -> Result<Self, VerbError> {
        self.active("started")?;
        if now >= self.ramp.start() {
            return Err(VerbError::Started);
        }
        Ok(Self { ramp: Ramp { start: Some(now), ..self.ramp.clone() }, ..self.clone() })
    }

    /// The same, beginning no earlier than now: of a ramp that would have run while nobody could be sent anywhere. One of upstream's
    /// is upstream's to say, and what stands still opens nothing.
    #[must_use]
    pub fn not_before(&self, now: Epoch) -> Self {
        let runs = self.state == RolloutState::Active && self.ramp.course != Course::Constant;
        if !runs || self.origin == Origin::Upstream || self.ramp.start() >= now {
            return self.clone();
        }
        Self { ramp: Ramp { start: Some(now), ..self.ramp.clone() }, ..self.clone() }
    }

    /// Comes to its end within this time, instead of what was left.
    ///
    /// # Errors
    /// It is not active, or that would not be faster.
    pub fn accelerate(&self, now: Epoch, within: Minutes) -> Result<Self, VerbError> {
        self.active("accelerated")?;
        let ramp = self.ramp.accelerated(now, within).ok_or(VerbError::NotFaster)?;
        Ok(Self { ramp, ..self.clone() })
    }

    /// Goes on as it would have, but no further than this share.
    ///
    /// # Errors
    /// It is not active, is beyond that share already, or never gets so far.
    pub fn hold(&self, now: Epoch, at: Share) -> Result<Self, VerbError> {
        self.active("held")?;
        let ramp = self.ramp.held(now, at).ok_or(VerbError::NotAhead)?;
        Ok(Self { ramp, ..self.clone() })
    }

    fn active(&self, verb: &'static str) -> Result<(), VerbError> {
        if self.state == RolloutState::Active { Ok(()) } else { Err(self.refuse(verb)) }
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
        VerbError::State { verb, state: self.state.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
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
    fn a_rollout_begins_goes_faster_and_stops_short() {
        let hours = |hours: u64| Minutes(hours * 60);
        let at = |hours: i64| Epoch(hours * 3600);
        let share = |share| Share::given(share).unwrap();
        let rollout = Rollout {
            selector: Selector::default(),
            ramp: Ramp {
                start: Some(at(10)),
                start_share: None,
                course: Course::Linear { duration: hours(100), end_share: Share::ALL },
            },
            state: RolloutState::Active,
            origin: Origin::Local,
        };
        let open = |rollout: &Rollout, hours| rollout.open_share(at(hours));
        let begun = rollout.start(at(5)).unwrap();
        assert_eq!((open(&begun, 5), open(&begun, 105)), (OpenShare::Open(0.0), OpenShare::Open(1.0)));
        assert_eq!(rollout.start(at(10)), Err(VerbError::Started));
        let faster = rollout.accelerate(at(60), hours(10)).unwrap();
        assert_eq!(
            (open(&faster, 60), open(&faster, 65), open(&faster, 70)),
            (OpenShare::Open(0.5), OpenShare::Open(0.75), OpenShare::Open(1.0))
        );
        for (now, within) in [(5, 10), (60, 50), (200, 1)] {
            assert_eq!(rollout.accelerate(at(now), hours(within)), Err(VerbError::NotFaster), "{now} {within}");
        }
        let held = rollout.hold(at(60), share(0.6)).unwrap();
        assert_eq!(
            (open(&held, 60), open(&held, 70), open(&held, 900)),
            (OpenShare::Open(0.5), OpenShare::Open(0.6), OpenShare::Open(0.6))
        );
        for (now, to) in [(60, 0.4), (60, 1.0), (200, 0.5)] {
            assert_eq!(rollout.hold(at(now), share(to)), Err(VerbError::NotAhead), "{now} {to}");
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
