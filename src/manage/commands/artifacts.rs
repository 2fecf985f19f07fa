//! Sets and removes the locations of artifacts.

use crate::{
    domain::{
        artifact::{Artifact, ArtifactKey},
        ids::StreamId,
    },
    manage::{
        address::ReleaseAddress,
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};

/// Sets the location of an artifact.
#[derive(Debug, Clone)]
pub struct SetArtifact {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and name of the artifact.
    pub key: ArtifactKey,
    /// The location.
    pub artifact: Artifact,
}

impl Command for SetArtifact {
    fn action(&self) -> Action {
        Action::SET_ARTIFACT
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.artifacts.insert(self.key.clone(), self.artifact.clone());
            Ok(())
        })
    }
}

/// Removes the location of an artifact.
#[derive(Debug, Clone)]
pub struct RemoveArtifact {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and name of the artifact.
    pub key: ArtifactKey,
}

impl Command for RemoveArtifact {
    fn action(&self) -> Action {
        Action::REMOVE_ARTIFACT
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| match release.artifacts.remove(&self.key) {
            Some(_) => Ok(()),
            None => Err(Refusal::no_such("artifact", format!("{} for {}", self.key.name, self.key.arch))),
        })
    }
}
