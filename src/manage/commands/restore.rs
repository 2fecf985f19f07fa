//! Restores streams from backups.

use super::revert::restored;
use crate::{
    domain::ids::StreamId,
    domain::stream::Stream,
    manage::{
        command::{Command, Next, Present, Reads},
        refusal::Refusal,
        request::Action,
    },
};

/// Restores a stream to a state that a backup has, as far as published releases allow: with its settings, and with releases that were
/// published since withdrawn. A stream that does not exist is created.
#[derive(Debug, Clone)]
pub struct RestoreStream {
    /// The state in the backup.
    pub saved: Stream,
}

impl Command for RestoreStream {
    fn action(&self) -> Action {
        Action::RESTORE
    }

    fn target(&self) -> &StreamId {
        &self.saved.id
    }

    fn reads(&self) -> Reads {
        Reads::for_base(self.saved.base.as_deref())
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        Ok(match present.stream {
            Some(now) => restored(now, &self.saved).into(),
            None => Next::from(self.saved.clone()).creates(&self.saved.id.stream),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            origin::Origin,
            release::{Release, ReleaseState},
            rollout::preset::Preset,
        },
        manage::{
            command::LoadedReads,
            testing::{apply_to, next, stream, version},
        },
    };

    #[test]
    fn settings_and_policies_return_and_later_releases_are_withdrawn() {
        let saved = Stream { default_rollout: Some(Preset::Week), ..stream() };
        let mut present = Stream { default_rollout: None, ..saved.clone() };
        present.releases[0].barrier = None;
        let added = version("99");
        present.releases.push(Release::published(added.clone(), Origin::Local).into());
        let restored = next(&RestoreStream { saved: saved.clone() }, &present);
        assert_eq!(restored.default_rollout, Some(Preset::Week));
        let later = restored.releases.iter().find(|release| release.version == added).unwrap();
        assert_eq!(later.state, ReleaseState::Withdrawn);
        let others = restored.releases.iter().filter(|release| release.version != added);
        assert!(others.eq(&saved.releases));
    }

    #[test]
    fn a_missing_stream_is_created() {
        let created = apply_to(&RestoreStream { saved: stream() }, None, &LoadedReads::default()).unwrap();
        assert_eq!((created.stream, created.created.as_deref()), (stream(), Some("stable")));
    }
}
