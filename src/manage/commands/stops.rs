//! Stops streams and lifts their stops.

use crate::{
    domain::{admission::emergency_stop::EmergencyStop, ids::StreamId, reason::Reason},
    manage::{
        command::{Command, Next, Present, Provenance},
        refusal::Refusal,
        request::Action,
    },
};

/// Stops a stream: it offers no updates to any node until the stop is lifted. A stop that is in force already stays as it is.
#[derive(Debug, Clone)]
pub struct StopStream {
    /// The stream.
    pub stream: StreamId,
    /// The reason, which nodes' operators see.
    pub reason: Reason,
}

impl Command for StopStream {
    fn action(&self) -> Action {
        Action::STOP
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        stream.stop.get_or_insert_with(|| EmergencyStop { since: present.now, reason: self.reason.clone() });
        Ok(stream.into())
    }
}

/// Lifts a stream's stop. The offers from before the stop are restored. Rollouts that would open further are paused as of the beginning
/// of the stop, until a release manager resumes them.
#[derive(Debug, Clone)]
pub struct LiftStop {
    /// The stream.
    pub stream: StreamId,
}

impl Command for LiftStop {
    fn action(&self) -> Action {
        Action::LIFT_STOP
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn lifts_stop(&self) -> bool {
        true
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        if stream.stop.is_none() {
            return Err(Refusal::no_such("emergency stop", format!("of {}", self.stream)));
        }
        stream.pause_at_stop(present.now);
        stream.stop = None;
        Ok(stream.into())
    }
}

/// Pauses the rollouts of a stream whose product's stop is lifted.
#[derive(Debug, Clone)]
pub(in crate::manage) struct PauseAtStop {
    pub(in crate::manage) stream: StreamId,
}

impl Command for PauseAtStop {
    fn action(&self) -> Action {
        Action::LIFT_STOP
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Recorded
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        stream.pause_at_stop(present.now);
        Ok(stream.into())
    }
}
