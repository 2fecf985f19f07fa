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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            artifact::{ArtifactName, Location},
            ids::Arch,
        },
        manage::testing::{found, next, refusal, release, stream},
    };

    fn key(name: &str) -> ArtifactKey {
        ArtifactKey { arch: Arch::parse("x86_64").unwrap(), name: ArtifactName::parse(name).unwrap() }
    }

    #[test]
    fn an_artifact_is_added_replaced_and_removed_in_any_state_of_its_release() {
        let artifact = |url: &str| Artifact { location: Location::parse(url).unwrap(), sha256: None, size: Some(1) };
        for version in ["1", "2", "3", "4", "5"] {
            let set = |url| SetArtifact { release: release(version), key: key("live.iso"), artifact: artifact(url) };
            let first = next(&set("https://builds.example/1"), &stream());
            let second = next(&set("https://builds.example/2"), &first);
            let artifacts = &found(&second, version).artifacts;
            assert_eq!(
                artifacts.iter().collect::<Vec<_>>(),
                [(&key("live.iso"), &artifact("https://builds.example/2"))]
            );
            let remove = RemoveArtifact { release: release(version), key: key("live.iso") };
            let removed = next(&remove, &second);
            assert!(found(&removed, version).artifacts.is_empty());
            assert_eq!(refusal(&remove, &removed), "there is no artifact live.iso for x86_64");
        }
    }

    #[test]
    fn other_artifacts_stay() {
        let remove = RemoveArtifact { release: release("4"), key: key("metal.raw.xz") };
        assert_eq!(refusal(&remove, &stream()), "there is no artifact metal.raw.xz for x86_64");
        let artifact =
            Artifact { location: Location::parse("https://builds.example/x").unwrap(), sha256: None, size: None };
        let set = SetArtifact { release: release("4"), key: key("metal.raw.xz"), artifact };
        let keys: Vec<_> = found(&next(&set, &stream()), "4").artifacts.keys().cloned().collect();
        assert_eq!(keys, [key("live.iso"), key("metal.raw.xz")]);
    }
}
