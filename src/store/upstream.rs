//! Upstream documents, each stored once under the hash of its content.

use super::{error::StoreError, transaction::Transaction};
use crate::domain::hash::ContentHash;

impl Transaction {
    /// Stores a document if it is not stored yet.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn keep_document(&mut self, hash: ContentHash, content: &[u8]) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: keep_document
            insert into upstream_documents (hash, content) values ($1, $2) on conflict do nothing",
            &hash.0[..],
            content
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("keep_document"))
    }

    /// Returns a stored document.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn document(&mut self, hash: ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar!(
            "-- name: document
            select content from upstream_documents where hash = $1",
            &hash.0[..]
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("document"))
    }
}
