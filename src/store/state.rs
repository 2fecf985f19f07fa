//! All that is known of a stream at its newest revision.

use super::{error::StoreError, streams::Head, transaction::Transaction};
use crate::domain::{
    hash::ContentHash,
    stream::{Revision, SourceKind, Stream},
};
use bytes::Bytes;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A stream at one revision, with the upstream documents that it came from.
#[derive(Debug, Clone)]
pub struct State {
    /// The stream.
    pub stream: Stream,
    /// Its revision.
    pub revision: Revision,
    /// When it got there.
    pub changed_at: Timestamp,
    /// Does the second of that time name the state, or was there another state in it?
    pub owns_its_second: bool,
    /// The documents by their kind.
    pub sources: BTreeMap<SourceKind, Bytes>,
}

impl State {
    /// A stream that was never stored: made of documents, to be asked.
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

impl Transaction {
    /// Loads a stream at its newest revision. Documents that are at hand already are not fetched again.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn load_state(
        &mut self,
        head: &Head,
        at_hand: impl Fn(ContentHash) -> Option<Bytes>,
    ) -> Result<State, StoreError> {
        let stream = self.load_stream(head).await?;
        let mut sources = BTreeMap::new();
        for (kind, hash) in &stream.sources {
            let content = match at_hand(*hash) {
                Some(content) => content,
                None => self
                    .document(*hash)
                    .await?
                    .ok_or_else(|| StoreError::corrupt("upstream_documents", format!("{hash} is not there")))?
                    .into(),
            };
            sources.insert(kind.clone(), content);
        }
        let owns_its_second = self.has_a_second_of_its_own(head.key, head.revision).await?;
        Ok(State { stream, revision: head.revision, changed_at: head.changed_at, owns_its_second, sources })
    }
}
