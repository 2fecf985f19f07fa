//! Barriers, dead ends and blocked updates: set, and taken away.

use super::{
    change::Manage,
    edit::{EditError, Edited},
    refusal::Refusal,
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    barrier::Barrier,
    blocked::BlockedUpdate,
    dead_end::DeadEnd,
    document::Problem,
    release::{Aspect, Release},
    stream::{Stream, StreamId},
    version::Version,
};

impl Manage {
    /// Makes a release a barrier, or takes that away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release, or nothing to take away.
    pub async fn set_barrier(
        &self,
        place: (&StreamId, &Version),
        barrier: Option<&Barrier>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            stands(barrier.is_some() || release.barrier.is_some(), "barrier", &release.version)?;
            release.barrier = barrier.cloned();
            release.cleared.remove(&Aspect::Barrier);
            Ok(())
        };
        let action = if barrier.is_some() { Action::SET_BARRIER } else { Action::REMOVE_BARRIER };
        self.edit_release(action, place, request, set).await
    }

    /// Makes a release a dead end, or takes that away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release, or nothing to take away.
    pub async fn set_dead_end(
        &self,
        place: (&StreamId, &Version),
        dead_end: Option<&DeadEnd>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            stands(dead_end.is_some() || release.dead_end.is_some(), "dead end", &release.version)?;
            release.dead_end = dead_end.cloned();
            release.cleared.remove(&Aspect::DeadEnd);
            Ok(())
        };
        let action = if dead_end.is_some() { Action::SET_DEAD_END } else { Action::REMOVE_DEAD_END };
        self.edit_release(action, place, request, set).await
    }

    /// Blocks updates to a release from a range of others. Its number counts from 1 among those to that release.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; `read` finds fields that are wrong.
    pub async fn block_update(
        &self,
        (id, target): (&StreamId, &Version),
        read: impl Fn(&Stream) -> Result<BlockedUpdate, Vec<Problem>>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            if present.position_of(target).is_none() {
                return Err(Refusal::no_such("release", target));
            }
            let blocked = read(present)?;
            let mut stream = present.clone();
            stream.blocked_updates.push(blocked);
            let number = of_target(&stream, target).count();
            Ok(Edited { stream, created: Some(number.to_string()) })
        };
        self.edit(Action::BLOCK_UPDATE, id, request, edit).await
    }

    /// Takes the block of that number away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such block.
    pub async fn unblock_update(
        &self,
        (id, target): (&StreamId, &Version),
        number: usize,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let place = number.checked_sub(1).and_then(|index| of_target(present, target).nth(index));
            let (place, _) =
                place.ok_or_else(|| Refusal::no_such("blocked update", format!("{number} to {target}")))?;
            let mut stream = present.clone();
            stream.blocked_updates.remove(place);
            Ok(stream.into())
        };
        self.edit(Action::UNBLOCK_UPDATE, id, request, edit).await
    }
}

/// The blocks of updates to a release, with their places in the stream.
pub fn of_target<'a>(stream: &'a Stream, target: &'a Version) -> impl Iterator<Item = (usize, &'a BlockedUpdate)> {
    stream.blocked_updates.iter().enumerate().filter(move |(_, blocked)| blocked.target == *target)
}

fn stands(stands: bool, what: &'static str, version: &Version) -> Result<(), Refusal> {
    if stands { Ok(()) } else { Err(Refusal::no_such(what, format!("on release {version}"))) }
}
