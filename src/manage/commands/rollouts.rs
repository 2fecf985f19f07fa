//! Creates, replaces and deletes rollouts.

use crate::{
    domain::{
        document::{parts, shape::RolloutDocument},
        epoch::Epoch,
        ids::StreamId,
        origin::Origin,
        release::{PolicyKind, ReleaseState},
        rollout::{Rollout, preset::Preset},
        stream::Stream,
    },
    manage::{
        address::{ReleaseAddress, RolloutAddress},
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};

/// A rollout as it is requested.
#[derive(Debug, Clone)]
pub struct RolloutPlan {
    /// The selector and the ramp. Without a start, the rollout starts at the time of the command.
    pub document: RolloutDocument,
    /// The preset to use instead of the document's ramp.
    pub preset: Option<Preset>,
    /// If true, a start or step that would fall into a freeze window waits for its end; otherwise the command is refused.
    pub waits_for_windows: bool,
}

impl RolloutPlan {
    fn rollout(&self, stream: &Stream, now: Epoch) -> Result<Rollout, Refusal> {
        let start = self.document.start.clone().unwrap_or_else(|| now.to_string());
        let mut rollout = parts::rollout(&RolloutDocument { start: Some(start), ..self.document.clone() })?;
        if let Some(preset) = self.preset {
            rollout = rollout.with_plan(preset.ramp(rollout.ramp.start()));
        }
        if self.waits_for_windows {
            // A start at `now` is still ahead: the rollout has not opened yet.
            rollout = rollout.delayed_past(&stream.protection.freeze_windows, now.plus_seconds(-1));
        }
        Ok(Rollout { origin: Origin::Local, ..rollout })
    }
}

/// Adds a rollout to a release, as the last one or before another one.
#[derive(Debug, Clone)]
pub struct CreateRollout {
    /// The release.
    pub release: ReleaseAddress,
    /// The rollout.
    pub plan: RolloutPlan,
    /// The number of the rollout before which it is inserted. Default: after all others.
    pub before: Option<usize>,
}

impl Command for CreateRollout {
    fn action(&self) -> Action {
        Action::CREATE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (present, now) = (present.existing()?, present.now);
        let mut stream = present.clone();
        let release = self.release.find(&mut stream)?;
        let max = release.rollouts.len() + 1;
        let number = self.before.unwrap_or(max);
        if number == 0 || number > max {
            return Err(Refusal::field("before", format!("must be between 1 and {max}, is {number}")));
        }
        release.rollouts.insert(number - 1, self.plan.rollout(present, now)?);
        release.suppressed_upstream.remove(&PolicyKind::Rollouts);
        Ok(Next::from(stream).creates(&number))
    }
}

/// Replaces a rollout that has not started. A started rollout changes by its actions only.
#[derive(Debug, Clone)]
pub struct ReplaceRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
    /// The new rollout.
    pub plan: RolloutPlan,
}

impl Command for ReplaceRollout {
    fn action(&self) -> Action {
        Action::SET_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (present, now) = (present.existing()?, present.now);
        let mut stream = present.clone();
        let release = self.rollout.release.find(&mut stream)?;
        let is_draft = release.state == ReleaseState::Draft;
        let rollout = self.rollout.find(&mut release.rollouts)?;
        // A completed or aborted rollout stays so, even before its start.
        let is_waiting = rollout.is_live() && !rollout.is_open(present.plan_time(now));
        if !is_draft && !is_waiting {
            let detail = "has started or ended: pause, hold, advance, accelerate, complete or abort it instead";
            return Err(Refusal::State(format!("{} {detail}", self.rollout)));
        }
        *rollout = self.plan.rollout(present, now)?;
        Ok(stream.into())
    }
}

/// Deletes a rollout of a draft. Rollouts of published releases are never deleted: without one, the release could be open to all
/// nodes.
#[derive(Debug, Clone)]
pub struct RemoveRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for RemoveRollout {
    fn action(&self) -> Action {
        Action::REMOVE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.release.edit(present, |release| {
            self.rollout.find(&mut release.rollouts)?;
            if release.state != ReleaseState::Draft {
                let detail = format!("release {} was published: abort the rollout instead", release.version);
                return Err(Refusal::State(detail));
            }
            release.rollouts.remove(self.rollout.number - 1);
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "rollouts_tests.rs"]
mod tests;
