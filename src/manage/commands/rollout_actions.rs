//! Moves rollouts along: start, pause, resume, accelerate, hold, advance, complete, abort.

use crate::{
    domain::{
        duration::Minutes,
        epoch::Epoch,
        ids::StreamId,
        rollout::{Rollout, TransitionError, share::Share},
        stream::Stream,
    },
    manage::{
        address::RolloutAddress,
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};

impl RolloutAddress {
    /// Returns the next state in which the rollout is moved. Plan time is frozen during a stop.
    fn change(
        &self,
        present: &Present<'_>,
        action: impl FnOnce(&Rollout, Epoch) -> Result<Rollout, TransitionError>,
    ) -> Result<Next, Refusal> {
        let now = present.existing()?.plan_time(present.now);
        self.release.edit(present, |release| {
            let rollout = self.find(&mut release.rollouts)?;
            *rollout = action(rollout, now)?;
            Ok(())
        })
    }

    /// Like [`RolloutAddress::change`], for actions that may admit nodes sooner: they are refused during a stop.
    fn open(
        &self,
        present: &Present<'_>,
        action: impl FnOnce(&Rollout, Epoch) -> Result<Rollout, TransitionError>,
    ) -> Result<Next, Refusal> {
        check_not_stopped(present.existing()?)?;
        self.change(present, action)
    }
}

pub(super) fn check_not_stopped(stream: &Stream) -> Result<(), Refusal> {
    let Some(stop) = stream.active_stop() else { return Ok(()) };
    let (id, since, reason) = (&stream.id, stop.since, stop.reason.as_str());
    Err(Refusal::State(format!("{id} has been stopped since {since} ({reason}); lift the stop first")))
}

/// Starts a scheduled rollout now.
#[derive(Debug, Clone)]
pub struct StartRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for StartRollout {
    fn action(&self) -> Action {
        Action::START_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.open(present, Rollout::start)
    }
}

/// Pauses a rollout: its share stays as it is.
#[derive(Debug, Clone)]
pub struct PauseRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for PauseRollout {
    fn action(&self) -> Action {
        Action::PAUSE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.change(present, Rollout::pause)
    }
}

/// Resumes a paused rollout.
#[derive(Debug, Clone)]
pub struct ResumeRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for ResumeRollout {
    fn action(&self) -> Action {
        Action::RESUME_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    /// The steps are later than planned: those that would fall into a freeze window wait for its end.
    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let windows = &present.existing()?.protection.freeze_windows;
        self.rollout.open(present, |rollout, now| Ok(rollout.resume(now)?.delayed_past(windows, now)))
    }
}

/// Makes the ramp of a rollout end sooner.
#[derive(Debug, Clone)]
pub struct AccelerateRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
    /// The time from now to the end of the ramp.
    pub within: Minutes,
}

impl Command for AccelerateRollout {
    fn action(&self) -> Action {
        Action::ACCELERATE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.open(present, |rollout, now| rollout.accelerate(now, self.within))
    }
}

/// Makes the ramp of a rollout end at a share.
#[derive(Debug, Clone)]
pub struct HoldRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
    /// The share.
    pub share: Share,
}

impl Command for HoldRollout {
    fn action(&self) -> Action {
        Action::HOLD_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.change(present, |rollout, now| rollout.hold(now, self.share))
    }
}

/// How far a rollout is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Further {
    /// It passes the gate at which it waits, and its plan continues.
    PastGate,
    /// It opens to a higher share, where it then stays.
    To {
        /// The share.
        share: Share,
        /// The time from now in which the share is reached; `None` to reach it at once.
        over: Option<Minutes>,
    },
}

/// Opens a rollout further.
#[derive(Debug, Clone)]
pub struct AdvanceRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
    /// How far.
    pub further: Further,
}

impl Command for AdvanceRollout {
    fn action(&self) -> Action {
        Action::ADVANCE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let windows = &present.existing()?.protection.freeze_windows;
        self.rollout.open(present, |rollout, now| match self.further {
            // The steps after the gate come later than planned, like those after a pause.
            Further::PastGate => Ok(rollout.pass_gate(now)?.delayed_past(windows, now)),
            Further::To { share, over } => rollout.advance(now, share, over),
        })
    }
}

/// Completes a rollout: it is open to all nodes that its selector matches.
#[derive(Debug, Clone)]
pub struct CompleteRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for CompleteRollout {
    fn action(&self) -> Action {
        Action::COMPLETE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.open(present, |rollout, _| rollout.complete())
    }
}

/// Aborts a rollout: it is closed to all nodes, permanently.
#[derive(Debug, Clone)]
pub struct AbortRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for AbortRollout {
    fn action(&self) -> Action {
        Action::ABORT_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.change(present, |rollout, _| rollout.abort())
    }
}

/// Restarts an aborted rollout: a new one for the same nodes and with the same plan takes its place. The aborted one comes after it.
#[derive(Debug, Clone)]
pub struct RestartRollout {
    /// The aborted rollout.
    pub rollout: RolloutAddress,
}

impl Command for RestartRollout {
    fn action(&self) -> Action {
        Action::RESTART_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        check_not_stopped(&stream)?;
        let release = self.rollout.release.find(&mut stream)?;
        let index = self.rollout.index_in(&release.rollouts)?;
        let restarted = self.rollout.find(&mut release.rollouts)?.restart(present.now)?;
        let id = release.next_rollout_id();
        release.rollouts.insert(index, Rollout { id, ..restarted });
        Ok(Next::from(stream).creates(&id))
    }
}

#[cfg(test)]
#[path = "rollout_actions_tests.rs"]
mod tests;
