//! Creates, replaces and deletes rollouts.

use crate::{
    domain::{
        document::{parts, shape::RolloutDocument},
        epoch::Epoch,
        ids::StreamId,
        origin::Origin,
        release::{PolicyKind, ReleaseState},
        rollout::{Rollout, id::RolloutId, preset::Preset},
        stream::Stream,
    },
    manage::{
        address::{ReleaseAddress, RolloutAddress},
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeSet;

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
    pub(super) fn rollout(&self, stream: &Stream, now: Epoch) -> Result<Rollout, Refusal> {
        let start = self.document.start.clone().unwrap_or_else(|| now.to_string());
        let mut rollout = parts::rollout(&RolloutDocument { start: Some(start), ..self.document.clone() })?;
        if let Some(preset) = self.preset {
            rollout = rollout.with_plan(preset.ramp(rollout.ramp.start()));
        }
        if self.waits_for_windows {
            // A start at `now` is still ahead: the rollout has not opened yet.
            rollout = rollout.delayed_past(&stream.protection.freeze_windows, now.plus_seconds(-1));
        }
        let ramp = rollout.ramp.with_closed_gates();
        Ok(Rollout { origin: Origin::Local, ramp, ..rollout })
    }
}

/// Adds a rollout to a release, as the last one or before another one.
#[derive(Debug, Clone)]
pub struct CreateRollout {
    /// The release.
    pub release: ReleaseAddress,
    /// The rollout.
    pub plan: RolloutPlan,
    /// The rollout before which it is inserted. Default: after all others.
    pub before: Option<RolloutId>,
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
        let index = match self.before {
            None => release.rollouts.len(),
            Some(before) => {
                let found = release.rollouts.iter().position(|rollout| rollout.id == before);
                found
                    .ok_or_else(|| Refusal::field("before", format!("is {before}, which the release does not have")))?
            }
        };
        let id = release.next_rollout_id();
        release.rollouts.insert(index, Rollout { id, ..self.plan.rollout(present, now)? });
        release.suppressed_upstream.remove(&PolicyKind::Rollouts);
        Ok(Next::from(stream).creates(&id))
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
        *rollout = Rollout { id: rollout.id, ..self.plan.rollout(present, now)? };
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
            let index = self.rollout.index_in(&release.rollouts)?;
            if release.state != ReleaseState::Draft {
                let detail = format!("release {} was published: abort the rollout instead", release.version);
                return Err(Refusal::State(detail));
            }
            release.rollouts.remove(index);
            Ok(())
        })
    }
}

/// Changes the order in which the rollouts of a release are tried on a node. Their ids stay.
#[derive(Debug, Clone)]
pub struct OrderRollouts {
    /// The release.
    pub release: ReleaseAddress,
    /// The ids of all its rollouts, in the new order.
    pub ids: Vec<RolloutId>,
}

impl Command for OrderRollouts {
    fn action(&self) -> Action {
        Action::ORDER_ROLLOUTS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            let place = |rollout: &Rollout| self.ids.iter().position(|id| *id == rollout.id);
            let listed: BTreeSet<RolloutId> = self.ids.iter().copied().collect();
            let known: BTreeSet<RolloutId> = release.rollouts.iter().map(|rollout| rollout.id).collect();
            if listed != known || self.ids.len() != known.len() {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let expected = format!("must list every rollout of the release once: {}", known.join(", "));
                return Err(Refusal::field("ids", expected));
            }
            release.rollouts.sort_by_key(place);
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "rollouts_tests.rs"]
mod tests;
