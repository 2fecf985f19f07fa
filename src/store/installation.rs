//! Which store this is, and whether it can be written to.

use super::{database::Store, error::StoreError, transaction::Transaction};

impl Transaction {
    /// The name that this store was given when it was made; a restored backup has it too.
    ///
    /// # Errors
    /// The database is away.
    pub async fn installation(&mut self) -> Result<String, StoreError> {
        sqlx::query_scalar!("-- name: installation\nselect id::text as \"id!\" from installation")
            .fetch_one(self.connection())
            .await
            .map_err(StoreError::at("installation"))
    }
}

impl Store {
    /// Is it a server that only follows another one, so that nothing can be written there?
    ///
    /// # Errors
    /// The database is away.
    pub async fn is_replica(&self) -> Result<bool, StoreError> {
        // A pooler of transactions keeps the parts of a query together in a transaction alone.
        let mut transaction = self.begin_read("is_replica").await?;
        sqlx::query_scalar!("-- name: is_replica\nselect pg_is_in_recovery() as \"replica!\"")
            .fetch_one(transaction.connection())
            .await
            .map_err(StoreError::at("is_replica"))
    }
}
