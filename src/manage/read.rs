//! Reads for managers: from the database, never from a replica's catalog.

use super::manager::Manage;
use crate::{
    domain::{
        admission::emergency_stop::EmergencyStop,
        epoch::Epoch,
        ids::{ProductName, StreamId},
        located::Located,
        stream::{Revision, Stream},
    },
    store::{State, StoreError, audit, revisions::RevisionMeta, streams::Head, tokens::TokenRow},
};
use std::sync::Arc;

/// A stream at one of its revisions.
#[derive(Debug, Clone)]
pub struct StreamAtRevision {
    /// The revision.
    pub revision: Revision,
    /// The stream at that revision.
    pub stream: Arc<Stream>,
}

impl Manage {
    /// Returns the newest state of every stream that `filter` selects, in one consistent read.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn states(&self, filter: impl Fn(&StreamId) -> bool) -> Result<Vec<State>, StoreError> {
        let mut transaction = self.reading("states").await?;
        let mut states = Vec::new();
        for head in transaction.heads().await?.iter().filter(|head| filter(&head.id)) {
            states.push(transaction.load_state(head, |_| None).await?);
        }
        Ok(states)
    }

    /// Returns the newest revision of every stream.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        self.reading("heads").await?.heads().await
    }

    /// Returns the present state of a stream.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn stream(&self, id: &StreamId) -> Result<Option<StreamAtRevision>, StoreError> {
        let mut transaction = self.reading("stream").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let stream = self.load_stream(&mut transaction, &head).await?;
        Ok(Some(StreamAtRevision { revision: head.revision, stream }))
    }

    /// Returns the state of a stream at a revision.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn revision(&self, id: &StreamId, number: Revision) -> Result<Option<StreamAtRevision>, StoreError> {
        let mut transaction = self.reading("revision").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let stream = transaction.revision(head.key, number).await?;
        Ok(stream.map(|stream| StreamAtRevision { revision: number, stream: Arc::new(stream) }))
    }

    /// Returns the metadata of a stream's revisions older than `before`, the newest first, at most `most`. Returns `None` if the
    /// stream does not exist.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn records(
        &self,
        id: &StreamId,
        before: Option<Revision>,
        most: i64,
    ) -> Result<Option<(Head, Vec<(Revision, RevisionMeta)>)>, StoreError> {
        let mut transaction = self.reading("records").await?;
        let Some(head) = transaction.head(id).await? else { return Ok(None) };
        let records = transaction.newest_records(head.key, before, most).await?;
        Ok(Some((head, records)))
    }

    /// Returns the releases that have a payload or an alias, without drafts, in streams that `is_included` accepts.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn locate(
        &self,
        payload: &str,
        is_included: impl Fn(&StreamId) -> bool,
    ) -> Result<Vec<Located>, StoreError> {
        let mut located = self.reading("locate").await?.locate_payload(payload).await?;
        located.retain(|located| is_included(&located.stream));
        Ok(located)
    }

    /// Returns every issued token, the newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.reading("tokens").await?.tokens().await
    }

    /// Returns entries of the audit log, the newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn audit_entries(
        &self,
        filter: audit::AuditFilter<'_>,
    ) -> Result<Vec<(i64, audit::AuditEntry)>, StoreError> {
        self.reading("audit_entries").await?.audit_entries(filter).await
    }

    /// Returns the stop of a product that is in force.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn product_stop(&self, product: &ProductName) -> Result<Option<EmergencyStop>, StoreError> {
        self.reading("product_stop").await?.product_stop(product).await
    }
    /// Returns the stop of a product that was in force at a time.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn product_stop_at(&self, product: &ProductName, at: Epoch) -> Result<Option<EmergencyStop>, StoreError> {
        self.reading("product_stop_at").await?.product_stop_at(product, at).await
    }
}
