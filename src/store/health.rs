//! What operators want to know of the database: its clock, and what is about to expire.

use super::{database::Store, error::StoreError};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// How the database sees things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The time there.
    pub now: Timestamp,
    /// When the first of the live tokens expires.
    pub next_expiry: Option<Timestamp>,
}

impl Store {
    /// Asks for its clock, and for the first of the tokens, good at `now`, that expires.
    ///
    /// # Errors
    /// The database is away.
    pub async fn health(&self, now: Timestamp) -> Result<Health, StoreError> {
        let mut transaction = self.begin_read("store_health").await?;
        let row = sqlx::query!(
            r#"-- name: store_health
            select clock_timestamp() as "now!: jiff_sqlx::Timestamp",
                (select min(expires_at) from tokens where revoked_at is null and expires_at > $1)
                    as "next_expiry: jiff_sqlx::Timestamp""#,
            now.to_sqlx() as _,
        )
        .fetch_one(transaction.connection())
        .await
        .map_err(StoreError::at("store_health"))?;
        Ok(Health { now: row.now.to_jiff(), next_expiry: row.next_expiry.map(jiff_sqlx::Timestamp::to_jiff) })
    }
}
