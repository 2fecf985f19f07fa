//! Facts about the database for operators: its clock, the next token to expire, its settings.

use super::{database::Store, error::StoreError};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// The database's clock, and the next expiry of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The time on the database server.
    pub now: Timestamp,
    /// When the next valid token expires.
    pub next_expiry: Option<Timestamp>,
}

/// Settings of the database server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The version: 150004 is 15.4.
    pub version: i32,
    /// Whether it is a read replica.
    pub is_replica: bool,
    /// Whether writes are flushed to disk before they are acknowledged.
    pub fsync: bool,
    /// What a commit waits for; `off` means nothing.
    pub synchronous_commit: String,
    /// The largest number of connections of all clients together.
    pub max_connections: i32,
}

impl Health {
    /// Returns the difference between the database's clock and the local one, in seconds: 0 if the database's time lies between
    /// the times of the request and of the response.
    #[must_use]
    pub fn clock_offset(&self, sent_at: Timestamp, received_at: Timestamp) -> f64 {
        let behind = sent_at.duration_since(self.now).as_secs_f64();
        let ahead = self.now.duration_since(received_at).as_secs_f64();
        behind.max(ahead).max(0.0)
    }
}

impl Store {
    /// Reads the settings of the server.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn server_settings(&self) -> Result<ServerSettings, StoreError> {
        let mut transaction = self.begin_read("server_settings").await?;
        sqlx::query_as!(
            ServerSettings,
            r#"-- name: server_settings
            select current_setting('server_version_num')::int as "version!", pg_is_in_recovery() as "is_replica!",
                current_setting('fsync')::bool as "fsync!", current_setting('synchronous_commit') as "synchronous_commit!",
                current_setting('max_connections')::int as "max_connections!""#,
        )
        .fetch_one(transaction.connection())
        .await
        .map_err(StoreError::at("server_settings"))
    }

    /// Reads the server's clock, and the next expiry of the tokens that are live at `now`.
    ///
    /// # Errors
    /// The database is unavailable.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_offset_allows_for_the_round_trip() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (theirs, offset) in [(100, 0.0), (103, 0.0), (105, 0.0), (98, 2.0), (107, 2.0)] {
            let health = Health { now: at(theirs), next_expiry: None };
            assert!((health.clock_offset(at(100), at(105)) - offset).abs() < 1e-9, "{theirs}");
        }
    }
}
