//! Replaces streams by documents.

use super::known_payloads::{named_payloads, upstream_aliases};
use crate::{
    domain::{ids::StreamId, origin::Origin, release::ReleaseState, stream::Stream},
    manage::{
        command::{Command, Need, Next, Present, Provenance},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeMap;

/// Replaces a stream by a document, or creates it.
#[derive(Debug, Clone)]
pub struct PutDocument {
    /// What the document says.
    pub written: Stream,
}

impl Command for PutDocument {
    fn action(&self) -> Action {
        Action::PUT_DOCUMENT
    }

    fn target(&self) -> &StreamId {
        &self.written.id
    }

    /// A document that creates a stream, or changes its settings, requires the role for that.
    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let changes_settings = present.stream.is_none_or(|before| {
            before.arches != self.written.arches
                || before.mirrors != self.written.mirrors
                || before.rules != self.written.rules
                || before.protection != self.written.protection
                || before.default_rollout != self.written.default_rollout
        });
        changes_settings.then_some(Need { role: Action::SET_STREAM.role, why: None })
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        Ok(match present.stream {
            Some(before) => with_upstream_aliases(before, &self.written).into(),
            None => self.written.clone().into(),
        })
    }
}

/// Creates a stream from a document of the first start.
#[derive(Debug, Clone)]
pub struct StartStream {
    /// What the document says.
    pub written: Stream,
}

impl Command for StartStream {
    fn action(&self) -> Action {
        Action::CHANGE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.written.id
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Recorded
    }

    fn apply(&self, _: &Present<'_>) -> Result<Next, Refusal> {
        Ok(self.written.clone().into())
    }
}

/// Returns what a document says, with upstream's aliases of published releases if it omits them: nodes may run those payloads, and no
/// later import would add them again.
fn with_upstream_aliases(present: &Stream, written: &Stream) -> Stream {
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = written.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut stream = written.clone();
    let named = named_payloads(&stream);
    for (release, before) in stream.releases.iter_mut().zip(before) {
        let Some(before) = before.filter(|before| before.state != ReleaseState::Draft) else { continue };
        for (key, id) in upstream_aliases(before) {
            if !named.contains(&(key.clone(), id.clone())) {
                release.aliases.entry(key.clone()).or_default().insert(id.clone(), Origin::Upstream);
            }
        }
    }
    stream
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
