//! Sets and removes barriers, dead ends and blocked updates.

use super::{
    change::Manage,
    edit::Edited,
    refusal::{EditError, Refusal},
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    document::Problem,
    ids::{StreamId, Version},
    policy::{barrier::Barrier, blocked_update::BlockedUpdate, dead_end::DeadEnd},
    release::{PolicyKind, Release},
    stream::Stream,
};

impl Manage {
    /// Marks a release as a barrier, or removes the mark.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist, or there is no barrier to remove.
    pub async fn set_barrier(
        &self,
        place: (&StreamId, &Version),
        barrier: Option<&Barrier>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            check_exists(barrier.is_some() || release.barrier.is_some(), "barrier", &release.version)?;
            release.barrier = barrier.cloned();
            release.suppressed_upstream.remove(&PolicyKind::Barrier);
            Ok(())
        };
        let action = if barrier.is_some() { Action::SET_BARRIER } else { Action::REMOVE_BARRIER };
        self.edit_release(action, place, request, set).await
    }

    /// Marks a release as a dead end, or removes the mark.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist, or there is no dead end to remove.
    pub async fn set_dead_end(
        &self,
        place: (&StreamId, &Version),
        dead_end: Option<&DeadEnd>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            check_exists(dead_end.is_some() || release.dead_end.is_some(), "dead end", &release.version)?;
            release.dead_end = dead_end.cloned();
            release.suppressed_upstream.remove(&PolicyKind::DeadEnd);
            Ok(())
        };
        let action = if dead_end.is_some() { Action::SET_DEAD_END } else { Action::REMOVE_DEAD_END };
        self.edit_release(action, place, request, set).await
    }

    /// Blocks updates to a release from a range of releases. Blocked updates are numbered per target release, from 1. The same
    /// range is blocked once: blocking it again for another reason changes the reason.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; `read` finds invalid fields.
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
            let known = stream.blocked_updates.iter_mut().find(|known| known.blocks_same(&blocked));
            match known {
                Some(known) if known.reason == blocked.reason => {}
                Some(known) => *known = blocked.clone(),
                None => stream.blocked_updates.push(blocked.clone()),
            }
            let index = of_target(&stream, target).position(|(_, known)| known.blocks_same(&blocked));
            let number = index.map_or(0, |index| index + 1);
            Ok(Edited { stream, created: Some(number.to_string()) })
        };
        self.edit(Action::BLOCK_UPDATE, id, request, edit).await
    }

    /// Removes the blocked update of a number.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; there is no blocked update of that number.
    pub async fn unblock_update(
        &self,
        (id, target): (&StreamId, &Version),
        number: usize,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let found = number.checked_sub(1).and_then(|index| of_target(present, target).nth(index));
            let (_, removed) =
                found.ok_or_else(|| Refusal::no_such("blocked update", format!("{number} to {target}")))?;
            let mut stream = present.clone();
            // An older version of the program may have stored the same range twice.
            stream.blocked_updates.retain(|blocked| !blocked.blocks_same(removed));
            Ok(stream.into())
        };
        self.edit(Action::UNBLOCK_UPDATE, id, request, edit).await
    }
}

/// Returns the blocked updates to a release, with their positions in the stream.
pub fn of_target<'a>(stream: &'a Stream, target: &'a Version) -> impl Iterator<Item = (usize, &'a BlockedUpdate)> {
    stream.blocked_updates.iter().enumerate().filter(move |(_, blocked)| blocked.target == *target)
}

fn check_exists(exists: bool, what: &'static str, version: &Version) -> Result<(), Refusal> {
    if exists { Ok(()) } else { Err(Refusal::no_such(what, format!("on release {version}"))) }
}
