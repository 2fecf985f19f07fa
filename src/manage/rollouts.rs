//! Rollouts: made, and moved along by their verbs.

use super::{
    change::Manage,
    edit::{EditError, Edited},
    refusal::Refusal,
    releases::release,
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    duration::Minutes,
    epoch::Epoch,
    origin::Origin,
    release::ReleaseState,
    rollout::{Rollout, RolloutState, VerbError},
    share::Share,
    stream::{Stream, StreamId},
    version::Version,
};

/// Which rollout: of which release, and its number, which counts from 1 in the order in which they are tried on a node.
#[derive(Debug, Clone, Copy)]
pub struct RolloutPlace<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The release.
    pub version: &'a Version,
    /// The number.
    pub number: usize,
}

/// What can be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verb {
    /// Begins now.
    Start,
    /// Keeps its share.
    Pause,
    /// Goes on.
    Resume,
    /// Comes to its end within a time.
    Accelerate(Minutes),
    /// Goes no further than a share.
    Hold(Share),
    /// Opens to all that it is for.
    Complete,
    /// Closes to all, for good.
    Abort,
}

impl Verb {
    /// What it is called, and takes.
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

    fn done_to(self, rollout: &Rollout, now: Epoch) -> Result<Rollout, VerbError> {
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
    /// Does something to a rollout.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such rollout, or it does not stand so.
    pub async fn move_rollout(
        &self,
        place: RolloutPlace<'_>,
        verb: Verb,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        self.edit_rollout(verb.action(), place, request, |rollout, now| Ok(verb.done_to(rollout, now)?)).await
    }

    /// Makes a rollout something else. While nodes may be sent by it, its verbs are the way.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such rollout, or it has begun.
    pub async fn set_rollout(
        &self,
        place: RolloutPlace<'_>,
        make: impl Fn(Epoch) -> Result<Rollout, Refusal>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let release = release(&mut stream, place.version)?;
            let is_draft = release.state == ReleaseState::Draft;
            let stands = nth(&mut release.rollouts, place)?;
            // One that was completed or aborted stays so, whenever it was to begin.
            let is_ahead =
                stands.ramp.start() > now && matches!(stands.state, RolloutState::Active | RolloutState::Paused { .. });
            if !is_draft && !is_ahead {
                return Err(Refusal::State(format!("{} has begun, or was ended; use its verbs", told(place))));
            }
            *stands = Rollout { origin: Origin::Local, ..make(now)? };
            Ok(stream.into())
        };
        self.edit(Action::SET_ROLLOUT, place.stream, request, edit).await
    }

    /// Takes a rollout away from a draft. One of a release that is out is never taken away: that could open it.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such rollout, or its release is no draft.
    pub async fn remove_rollout(&self, place: RolloutPlace<'_>, request: &Request<'_>) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            let release = release(&mut stream, place.version)?;
            nth(&mut release.rollouts, place)?;
            if release.state != ReleaseState::Draft {
                return Err(Refusal::State(format!("release {} is out; abort its rollout", place.version)));
            }
            release.rollouts.remove(place.number - 1);
            Ok(stream.into())
        };
        self.edit(Action::REMOVE_ROLLOUT, place.stream, request, edit).await
    }

    /// Adds a rollout to a release, as the last that is tried on a node, or before another.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release, or no such place.
    pub async fn create_rollout(
        &self,
        (id, version): (&StreamId, &Version),
        (make, before): (impl Fn(Epoch) -> Result<Rollout, Refusal>, Option<usize>),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let release = release(&mut stream, version)?;
            let number = before.unwrap_or(release.rollouts.len() + 1);
            if number == 0 || number > release.rollouts.len() + 1 {
                let most = release.rollouts.len() + 1;
                return Err(Refusal::field("before", format!("is {number}; there is a place from 1 to {most}")));
            }
            release.rollouts.insert(number - 1, Rollout { origin: Origin::Local, ..make(now)? });
            release.cleared.remove(&crate::domain::release::Aspect::Rollouts);
            Ok(Edited { stream, created: Some(number.to_string()) })
        };
        self.edit(Action::CREATE_ROLLOUT, id, request, edit).await
    }

    async fn edit_rollout(
        &self,
        action: Action,
        place: RolloutPlace<'_>,
        request: &Request<'_>,
        change: impl Fn(&Rollout, Epoch) -> Result<Rollout, Refusal>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let rollouts = &mut release(&mut stream, place.version)?.rollouts;
            let stands = nth(rollouts, place)?;
            *stands = change(stands, now)?;
            Ok(stream.into())
        };
        self.edit(action, place.stream, request, edit).await
    }
}

fn told(place: RolloutPlace<'_>) -> String {
    format!("rollout {} of release {}", place.number, place.version)
}

fn nth<'a>(rollouts: &'a mut [Rollout], place: RolloutPlace<'_>) -> Result<&'a mut Rollout, Refusal> {
    let found = place.number.checked_sub(1).and_then(|index| rollouts.get_mut(index));
    found.ok_or_else(|| Refusal::no_such("rollout", format!("{} of release {}", place.number, place.version)))
}
