//! Sets and removes barriers, dead ends and blocked updates.

use crate::{
    domain::{
        document::{parts, shape::BlockedUpdateDocument},
        ids::{StreamId, Version},
        policy::{barrier::Barrier, blocked_update::BlockedUpdate, dead_end::DeadEnd},
        release::PolicyKind,
        stream::Stream,
    },
    manage::{
        address::ReleaseAddress,
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};

/// Marks a release as a barrier.
#[derive(Debug, Clone)]
pub struct SetBarrier {
    /// The release.
    pub release: ReleaseAddress,
    /// The barrier.
    pub barrier: Barrier,
}

impl Command for SetBarrier {
    fn action(&self) -> Action {
        Action::SET_BARRIER
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.barrier = Some(Box::new(self.barrier.clone()));
            release.suppressed_upstream.remove(&PolicyKind::Barrier);
            Ok(())
        })
    }
}

/// Removes the barrier of a release.
#[derive(Debug, Clone)]
pub struct RemoveBarrier {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for RemoveBarrier {
    fn action(&self) -> Action {
        Action::REMOVE_BARRIER
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.suppressed_upstream.remove(&PolicyKind::Barrier);
            release.barrier.take().map(drop).ok_or_else(|| no_policy("barrier", &release.version))
        })
    }
}

/// Marks a release as a dead end.
#[derive(Debug, Clone)]
pub struct SetDeadEnd {
    /// The release.
    pub release: ReleaseAddress,
    /// The dead end.
    pub dead_end: DeadEnd,
}

impl Command for SetDeadEnd {
    fn action(&self) -> Action {
        Action::SET_DEAD_END
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.dead_end = Some(Box::new(self.dead_end.clone()));
            release.suppressed_upstream.remove(&PolicyKind::DeadEnd);
            Ok(())
        })
    }
}

/// Removes the dead end of a release.
#[derive(Debug, Clone)]
pub struct RemoveDeadEnd {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for RemoveDeadEnd {
    fn action(&self) -> Action {
        Action::REMOVE_DEAD_END
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.suppressed_upstream.remove(&PolicyKind::DeadEnd);
            release.dead_end.take().map(drop).ok_or_else(|| no_policy("dead end", &release.version))
        })
    }
}

fn no_policy(what: &'static str, version: &Version) -> Refusal {
    Refusal::no_such(what, format!("on release {version}"))
}

/// Blocks updates to a release from a range of releases. Blocked updates are numbered per target release, from 1. The same range is
/// blocked once: blocking it again for another reason changes the reason.
#[derive(Debug, Clone)]
pub struct BlockUpdate {
    /// The target release.
    pub target: ReleaseAddress,
    /// The range. Its ends are checked against the releases of the stream.
    pub blocked: BlockedUpdateDocument,
}

impl Command for BlockUpdate {
    fn action(&self) -> Action {
        Action::BLOCK_UPDATE
    }

    fn target(&self) -> &StreamId {
        &self.target.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (present, target) = (present.existing()?, &self.target.version);
        if present.position_of(target).is_none() {
            return Err(Refusal::no_such("release", target));
        }
        let blocked = parts::blocked(&self.blocked, present)?;
        let mut stream = present.clone();
        match stream.blocked_updates.iter_mut().find(|known| known.blocks_same(&blocked)) {
            Some(known) if known.reason == blocked.reason => {}
            Some(known) => *known = blocked.clone(),
            None => stream.blocked_updates.push(blocked.clone()),
        }
        let number = updates_to(&stream, target).take_while(|known| !known.blocks_same(&blocked)).count() + 1;
        Ok(Next::from(stream).creates(&number))
    }
}

/// Removes the blocked update of a number.
#[derive(Debug, Clone)]
pub struct UnblockUpdate {
    /// The target release.
    pub target: ReleaseAddress,
    /// The number, from 1.
    pub number: usize,
}

impl Command for UnblockUpdate {
    fn action(&self) -> Action {
        Action::UNBLOCK_UPDATE
    }

    fn target(&self) -> &StreamId {
        &self.target.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (present, target) = (present.existing()?, &self.target.version);
        let found = self.number.checked_sub(1).and_then(|index| updates_to(present, target).nth(index));
        let no_such = || Refusal::no_such("blocked update", format!("{} to {target}", self.number));
        let removed = found.ok_or_else(no_such)?;
        let mut stream = present.clone();
        // An older version of the program may have stored the same range twice.
        stream.blocked_updates.retain(|blocked| !blocked.blocks_same(removed));
        Ok(stream.into())
    }
}

fn updates_to<'a>(stream: &'a Stream, target: &'a Version) -> impl Iterator<Item = &'a BlockedUpdate> {
    stream.blocked_updates.iter().filter(move |blocked| blocked.target == *target)
}

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
