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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{rollout::RolloutState, stream::Stream},
        manage::testing::{NOW, at, found, id, next, reason, refusal, stop, stopped, stream},
    };

    /// Returns the states of the rollouts of release 3: running, scheduled, paused, completed, aborted.
    fn states(stream: &Stream) -> Vec<RolloutState> {
        found(stream, "3").rollouts.iter().map(|rollout| rollout.state).collect()
    }

    /// Returns the states after a lifted stop, which pauses the rollouts that would open further.
    fn states_paused_at(hours: i64) -> Vec<RolloutState> {
        let paused = |hours| RolloutState::Paused { at: at(hours) };
        vec![paused(hours), paused(hours), paused(-12), RolloutState::Completed, RolloutState::Aborted]
    }

    #[test]
    fn a_stop_begins_now_and_the_first_one_stays() {
        let stop = |text: &str| StopStream { stream: id(), reason: reason(text) };
        let once = next(&stop("nodes do not boot"), &stream());
        let in_force = EmergencyStop { since: NOW, reason: reason("nodes do not boot") };
        assert_eq!(once, Stream { stop: Some(in_force), ..stream() });
        assert_eq!(next(&stop("another reason"), &once), once);
    }

    #[test]
    fn lifting_a_stop_pauses_what_would_open_further() {
        let lifted = next(&LiftStop { stream: id() }, &stopped(stream()));
        assert_eq!((&lifted.stop, states(&lifted)), (&None, states_paused_at(-6)));
        // The clock of the process that made the stop was ahead.
        let early = Stream { stop: Some(stop(1)), ..stream() };
        assert_eq!(states(&next(&LiftStop { stream: id() }, &early)), states_paused_at(0));
        assert_eq!(refusal(&LiftStop { stream: id() }, &lifted), "there is no emergency stop of os/stable");
    }

    #[test]
    fn lifting_the_stop_of_a_stream_keeps_that_of_its_product() {
        let of_product = Stream { product_stop: Some(stop(-9)), ..stream() };
        assert_eq!(refusal(&LiftStop { stream: id() }, &of_product), "there is no emergency stop of os/stable");
        let lifted = next(&LiftStop { stream: id() }, &stopped(of_product));
        assert_eq!((&lifted.stop, &lifted.product_stop), (&None, &Some(stop(-9))));
        assert_eq!(states(&lifted), states_paused_at(-9), "the earlier stop counts");
    }

    #[test]
    fn the_rollouts_of_a_product_are_paused_at_its_stop() {
        let pause = PauseAtStop { stream: id() };
        assert_eq!(next(&pause, &stream()), stream());
        let of_product = Stream { product_stop: Some(stop(-9)), ..stream() };
        let paused = next(&pause, &of_product);
        assert_eq!((states(&paused), &paused.product_stop), (states_paused_at(-9), &Some(stop(-9))));
    }
}
