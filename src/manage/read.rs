//! What managers read: the store itself, never a replica's copy of it.

use super::change::Manage;
use crate::{
    domain::stream::{Revision, Stream, StreamId},
    store::{State, StoreError, audit, revisions::Record, streams::Head, tokens::TokenRow},
};

/// A stream at one of its revisions.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// What the stream was then.
    pub stream: Stream,
}

impl Manage {
    /// The newest state of every stream that is wanted, all of one moment.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn states(&self, wanted: impl Fn(&StreamId) -> bool) -> Result<Vec<State>, StoreError> {
        let mut transaction = self.store().begin_read("states").await?;
        let mut states = Vec::new();
        for head in transaction.heads().await?.iter().filter(|head| wanted(&head.id)) {
            states.push(transaction.load_state(head, |_| None).await?);
        }
        transaction.commit().await?;
        Ok(states)
    }

    /// Where every stream stands.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        self.store().begin_read("heads").await?.heads().await
    }

    /// A stream as it is.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn stream(&self, id: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let mut transaction = self.store().begin_read("stream").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let stream = transaction.load_stream(&head).await?;
        Ok(Some(Snapshot { revision: head.revision, stream }))
    }

    /// A stream as it was at a revision.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn revision(&self, id: &StreamId, number: Revision) -> Result<Option<Snapshot>, StoreError> {
        let mut transaction = self.store().begin_read("revision").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let stream = transaction.revision(head.key, number).await?;
        Ok(stream.map(|stream| Snapshot { revision: number, stream }))
    }

    /// The records of a stream's revisions, the newest first: those older than `before`, so many at most. None if there is no
    /// such stream.
    ///
    /// # Errors
    /// The database is away.
    pub async fn records(
        &self,
        id: &StreamId,
        before: Option<Revision>,
        most: i64,
    ) -> Result<Option<(Head, Vec<(Revision, Record)>)>, StoreError> {
        let mut transaction = self.store().begin_read("records").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let records = transaction.newest_records(head.key, before, most).await?;
        Ok(Some((head, records)))
    }

    /// Every token that was given, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.store().begin_read("tokens").await?.tokens().await
    }

    /// Acts, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn acts(&self, wanted: audit::Wanted<'_>) -> Result<Vec<(i64, audit::Act)>, StoreError> {
        self.store().begin_read("acts").await?.acts(wanted).await
    }
}
