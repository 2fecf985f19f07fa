//! What commands are applied to within a stream: releases and rollouts.

use super::{
    command::{Next, Present},
    refusal::Refusal,
};
use crate::domain::{
    ids::{StreamId, Version},
    release::Release,
    rollout::{Rollout, id::RolloutId},
    stream::Stream,
};
use std::fmt;

/// The address of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseAddress {
    /// The stream.
    pub stream: StreamId,
    /// The version.
    pub version: Version,
}

impl ReleaseAddress {
    /// Finds the release in a stream.
    ///
    /// # Errors
    /// The stream does not have it.
    pub(super) fn find<'a>(&self, stream: &'a mut Stream) -> Result<&'a mut Release, Refusal> {
        let found = stream.releases.iter_mut().find(|release| release.version == self.version);
        found.map(|release| &mut **release).ok_or_else(|| Refusal::no_such("release", &self.version))
    }

    /// Returns the next state in which the release is changed.
    ///
    /// # Errors
    /// The release does not exist, or `change` refuses.
    pub(super) fn edit(
        &self,
        present: &Present<'_>,
        change: impl FnOnce(&mut Release) -> Result<(), Refusal>,
    ) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        change(self.find(&mut stream)?)?;
        Ok(stream.into())
    }
}

/// The address of a rollout: its release, and its id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutAddress {
    /// The release.
    pub release: ReleaseAddress,
    /// The id.
    pub id: RolloutId,
}

impl RolloutAddress {
    /// Finds the rollout among those of its release.
    ///
    /// # Errors
    /// The release does not have it.
    pub(super) fn find<'a>(&self, rollouts: &'a mut [Rollout]) -> Result<&'a mut Rollout, Refusal> {
        rollouts.iter_mut().find(|rollout| rollout.id == self.id).ok_or_else(|| self.missing())
    }

    /// Returns the index of the rollout among those of its release.
    ///
    /// # Errors
    /// The release does not have it.
    pub(super) fn index_in(&self, rollouts: &[Rollout]) -> Result<usize, Refusal> {
        rollouts.iter().position(|rollout| rollout.id == self.id).ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Refusal {
        Refusal::no_such("rollout", format!("{} of release {}", self.id, self.release.version))
    }
}

impl fmt::Display for RolloutAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rollout {} of release {}", self.id, self.release.version)
    }
}
