//! Creates, changes and deletes rollouts, and moves them along by their verbs.

use super::{
    change::Manage,
    edit::Edited,
    refusal::{EditError, Refusal},
    releases::release,
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    duration::Minutes,
    epoch::Epoch,
    ids::{StreamId, Version},
    origin::Origin,
    release::ReleaseState,
    rollout::{Rollout, RolloutState, TransitionError, share::Share},
    stream::Stream,
};

/// The address of a rollout: its release, and its number there. Rollouts are tried on a node in the order of their numbers, from 1.
#[derive(Debug, Clone, Copy)]
pub struct RolloutAddress<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The release.
    pub version: &'a Version,
    /// The number.
    pub number: usize,
}

/// An action on a rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verb {
    /// Starts a scheduled rollout now.
    Start,
    /// Freezes the share.
    Pause,
    /// Lets a paused rollout continue.
    Resume,
    /// Makes the ramp end within a time from now.
    Accelerate(Minutes),
    /// Ends the ramp at a share.
    Hold(Share),
    /// Opens the rollout to all nodes that its selector matches.
    Complete,
    /// Closes the rollout to all nodes, permanently.
    Abort,
}

impl Verb {
    /// Returns the action's name and role.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Start => Action::START_ROLLOUT,
            Self::Pause => Action::PAUSE_ROLLOUT,
            Self::Resume => Action::RESUME_ROLLOUT,
            Self::Accelerate(_) => Action::ACCELERATE_ROLLOUT,
            Self::Hold(_) => Action::HOLD_ROLLOUT,
            Self::Complete => Action::COMPLETE_ROLLOUT,
            Self::Abort => Action::ABORT_ROLLOUT,
        }
    }

    /// Returns true if the action may admit nodes sooner.
    fn opens(self) -> bool {
        match self {
            Self::Start | Self::Resume | Self::Accelerate(_) | Self::Complete => true,
            Self::Pause | Self::Hold(_) | Self::Abort => false,
        }
    }

    fn apply(self, rollout: &Rollout, now: Epoch) -> Result<Rollout, TransitionError> {
        match self {
            Self::Start => rollout.start(now),
            Self::Pause => rollout.pause(now),
            Self::Resume => rollout.resume(now),
            Self::Accelerate(within) => rollout.accelerate(now, within),
            Self::Hold(at) => rollout.hold(now, at),
            Self::Complete => rollout.complete(),
            Self::Abort => rollout.abort(),
        }
    }
}

impl Manage {
    /// Applies a verb to a rollout.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the rollout does not exist, or its state does not allow the verb.
    pub async fn move_rollout(
        &self,
        address: RolloutAddress<'_>,
        verb: Verb,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            if let Some(stop) = present.active_stop().filter(|_| verb.opens()) {
                let (since, reason) = (stop.since, stop.reason.as_str());
                return Err(Refusal::State(format!(
                    "{} has been stopped since {since} ({reason}); lift the stop first",
                    address.stream
                )));
            }
            // Plan time is frozen during a stop.
            let now = present.plan_time(now);
            let mut stream = present.clone();
            let rollout = nth(&mut release(&mut stream, address.version)?.rollouts, address)?;
            *rollout = verb.apply(rollout, now)?;
            if verb == Verb::Resume {
                // The steps are later than planned: those that would fall into a freeze window wait for its end.
                let windows = &present.protection.freeze_windows;
                *rollout = rollout.delayed_past(windows, now);
            }
            Ok(stream.into())
        };
        self.edit(verb.action(), address.stream, request, edit).await
    }

    /// Replaces a rollout that has not started. A started rollout changes by its verbs only.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the rollout does not exist, or has started.
    pub async fn set_rollout(
        &self,
        address: RolloutAddress<'_>,
        make: impl Fn(&Stream, Epoch) -> Result<Rollout, Refusal>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let release = release(&mut stream, address.version)?;
            let is_draft = release.state == ReleaseState::Draft;
            let rollout = nth(&mut release.rollouts, address)?;
            // A completed or aborted rollout stays so, even before its start.
            let is_scheduled = rollout.begins_at() > now
                && matches!(rollout.state, RolloutState::Active | RolloutState::Paused { .. });
            if !is_draft && !is_scheduled {
                let detail = "has started or ended: pause, hold, accelerate, complete or abort it instead";
                return Err(Refusal::State(format!("{} {detail}", subject(address))));
            }
            *rollout = Rollout { origin: Origin::Local, ..make(present, now)? };
            Ok(stream.into())
        };
        self.edit(Action::SET_ROLLOUT, address.stream, request, edit).await
    }

    /// Deletes a rollout of a draft. Rollouts of published releases are never deleted: without one, the release could be open to
    /// all nodes.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the rollout does not exist, or its release is not a draft.
    pub async fn remove_rollout(
        &self,
        address: RolloutAddress<'_>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            let release = release(&mut stream, address.version)?;
            nth(&mut release.rollouts, address)?;
            if release.state != ReleaseState::Draft {
                return Err(Refusal::State(format!(
                    "release {} was published: abort the rollout instead",
                    address.version
                )));
            }
            release.rollouts.remove(address.number - 1);
            Ok(stream.into())
        };
        self.edit(Action::REMOVE_ROLLOUT, address.stream, request, edit).await
    }

    /// Adds a rollout to a release, as the last one or before another one.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist, or `before` is out of range.
    pub async fn create_rollout(
        &self,
        (id, version): (&StreamId, &Version),
        (make, before): (impl Fn(&Stream, Epoch) -> Result<Rollout, Refusal>, Option<usize>),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let release = release(&mut stream, version)?;
            let number = before.unwrap_or(release.rollouts.len() + 1);
            if number == 0 || number > release.rollouts.len() + 1 {
                let max = release.rollouts.len() + 1;
                return Err(Refusal::field("before", format!("must be between 1 and {max}, is {number}")));
            }
            release.rollouts.insert(number - 1, Rollout { origin: Origin::Local, ..make(present, now)? });
            release.suppressed_upstream.remove(&crate::domain::release::PolicyKind::Rollouts);
            Ok(Edited { stream, created: Some(number.to_string()) })
        };
        self.edit(Action::CREATE_ROLLOUT, id, request, edit).await
    }
}

fn subject(address: RolloutAddress<'_>) -> String {
    format!("rollout {} of release {}", address.number, address.version)
}

fn nth<'a>(rollouts: &'a mut [Rollout], address: RolloutAddress<'_>) -> Result<&'a mut Rollout, Refusal> {
    let found = address.number.checked_sub(1).and_then(|index| rollouts.get_mut(index));
    found.ok_or_else(|| Refusal::no_such("rollout", format!("{} of release {}", address.number, address.version)))
}
