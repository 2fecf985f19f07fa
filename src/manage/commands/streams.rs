//! Creates streams and changes their settings.

use crate::{
    domain::{
        admission::protection::Protection,
        ids::{Arch, StreamId},
        payload::Repository,
        stream::Stream,
    },
    manage::{
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeSet;

/// The settings of a stream.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// The arches that it serves.
    pub arches: BTreeSet<Arch>,
    /// Repositories that hold the same images under the same digests.
    pub mirrors: BTreeSet<Repository>,
    /// Limits on how fast and when it may be opened.
    pub protection: Protection,
}

impl StreamSettings {
    fn apply_to(&self, stream: &Stream) -> Stream {
        let Self { arches, mirrors, protection } = self.clone();
        Stream { arches, mirrors, protection, ..stream.clone() }
    }
}

/// Creates a stream.
#[derive(Debug, Clone)]
pub struct CreateStream {
    /// The stream.
    pub stream: StreamId,
    /// Its settings.
    pub settings: StreamSettings,
}

impl Command for CreateStream {
    fn action(&self) -> Action {
        Action::CREATE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        if present.stream.is_some() {
            return Err(Refusal::Exists { what: "stream", name: self.stream.to_string() });
        }
        let stream = self.settings.apply_to(&Stream::empty(self.stream.clone()));
        Ok(Next::from(stream).creates(&self.stream.stream))
    }
}

/// Changes the settings of a stream.
#[derive(Debug, Clone)]
pub struct SetStream {
    /// The stream.
    pub stream: StreamId,
    /// Its settings.
    pub settings: StreamSettings,
}

impl Command for SetStream {
    fn action(&self) -> Action {
        Action::SET_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        Ok(self.settings.apply_to(present.existing()?).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::duration::Minutes,
        manage::{
            command::LoadedReads,
            testing::{apply_to, id, next, refusal, stream},
        },
    };

    fn settings() -> StreamSettings {
        StreamSettings {
            arches: BTreeSet::from([Arch::parse("s390x").unwrap()]),
            mirrors: BTreeSet::from([Repository::parse("mirror.example/os").unwrap()]),
            protection: Protection { shortest_rollout: Some(Minutes(60)), ..Protection::default() },
        }
    }

    #[test]
    fn a_new_stream_has_its_settings_and_no_releases() {
        let create = CreateStream { stream: id(), settings: settings() };
        let created = apply_to(&create, None, &LoadedReads::default()).unwrap();
        let StreamSettings { arches, mirrors, protection } = settings();
        assert_eq!(created.stream, Stream { arches, mirrors, protection, ..Stream::empty(id()) });
        assert_eq!(created.created.as_deref(), Some("stable"));
        assert_eq!(refusal(&create, &created.stream), "stream os/stable exists already");
    }

    #[test]
    fn settings_are_replaced_and_nothing_else_changes() {
        let set = SetStream { stream: id(), settings: settings() };
        let StreamSettings { arches, mirrors, protection } = settings();
        assert_eq!(next(&set, &stream()), Stream { arches, mirrors, protection, ..stream() });
    }
}
