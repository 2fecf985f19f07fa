//! The identity of the database, and whether it is writable.

use super::{database::Store, error::StoreError, transaction::Transaction};

impl Transaction {
    /// Returns the id that the database was given when it was created. A restored backup keeps it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn installation(&mut self) -> Result<String, StoreError> {
        sqlx::query_scalar!("-- name: installation\nselect id::text as \"id!\" from installation")
            .fetch_one(self.connection())
            .await
            .map_err(StoreError::at("installation"))
    }
}

impl Store {
    /// Returns true if the server is a read replica.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn is_replica(&self) -> Result<bool, StoreError> {
        // A transaction pooler keeps the parts of a query on one connection only inside a transaction.
        let mut transaction = self.begin_read("is_replica").await?;
        sqlx::query_scalar!("-- name: is_replica\nselect pg_is_in_recovery() as \"replica!\"")
            .fetch_one(transaction.connection())
            .await
            .map_err(StoreError::at("is_replica"))
    }
}
