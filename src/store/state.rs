//! A stream at its newest revision, with its metadata.

use super::{error::StoreError, streams::Head, transaction::Transaction};
use crate::domain::{
    hash::ContentHash,
    stream::{Revision, SourceKind, Stream},
};
use bytes::Bytes;
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// A stream at one revision, with the upstream documents that it was imported from.
#[derive(Debug, Clone)]
pub struct State {
    /// The stream.
    pub stream: Stream,
    /// Its revision.
    pub revision: Revision,
    /// When that revision was created.
    pub changed_at: Timestamp,
    /// Whether no other revision was created in the same second, so that the time identifies the state.
    pub owns_its_second: bool,
    /// The documents by kind.
    pub sources: BTreeMap<SourceKind, Bytes>,
}

impl State {
    /// Returns a state that is not stored, for a stream built from documents.
    #[must_use]
    pub fn unstored(stream: Stream) -> Self {
        Self {
            stream,
            revision: Revision(0),
            changed_at: Timestamp::UNIX_EPOCH,
            owns_its_second: false,
            sources: BTreeMap::new(),
        }
    }
}

/// A state of a stream that a process already has, from which it can follow the history.
#[derive(Debug, Clone)]
pub struct Known {
    /// The revision.
    pub revision: Revision,
    /// When it was created, which distinguishes revisions of the same number, for example after a backup was restored.
    pub changed_at: Timestamp,
    /// The state.
    pub stream: Arc<Stream>,
}

impl Known {
    /// Returns true if the state belongs to a head.
    #[must_use]
    pub fn is_at(&self, head: &Head) -> bool {
        (self.revision, self.changed_at) == (head.revision, head.changed_at)
    }
}

impl From<&State> for Known {
    fn from(state: &State) -> Self {
        Self { revision: state.revision, changed_at: state.changed_at, stream: Arc::new(state.stream.clone()) }
    }
}

impl State {
    /// Returns an upstream document by its hash.
    fn document(&self, hash: ContentHash) -> Option<Bytes> {
        let (kind, _) = self.stream.sources.iter().find(|(_, known)| **known == hash)?;
        self.sources.get(kind).cloned()
    }
}

impl Transaction {
    /// Loads a stream at its newest revision. What an earlier state has is not read again.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn load_state(&mut self, head: &Head, earlier: Option<&State>) -> Result<State, StoreError> {
        let stream = self.load_stream_from(head, earlier.map(Known::from).as_ref()).await?;
        self.state_of(head, stream, earlier).await
    }

    /// Loads what belongs to a stream at its head. What an earlier state has is not read again.
    pub(super) async fn state_of(
        &mut self,
        head: &Head,
        stream: Stream,
        earlier: Option<&State>,
    ) -> Result<State, StoreError> {
        let mut sources = BTreeMap::new();
        for (kind, hash) in &stream.sources {
            let content = match earlier.and_then(|earlier| earlier.document(*hash)) {
                Some(content) => content,
                None => self
                    .document(*hash)
                    .await?
                    .ok_or_else(|| StoreError::corrupt("upstream_documents", format!("document {hash} is missing")))?
                    .into(),
            };
            sources.insert(kind.clone(), content);
        }
        let owns_its_second = self.has_unique_second(head.key, head.revision).await?;
        Ok(State { stream, revision: head.revision, changed_at: head.changed_at, owns_its_second, sources })
    }
}
