//! What operators want to know of the database: its clock, what is about to expire, and how it is set.

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

/// How a server is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its version: 150004 is 15.4.
    pub version: i32,
    /// It only follows another one.
    pub is_replica: bool,
    /// What was written is on disk when it says so.
    pub fsync: bool,
    /// What a commit waits for; `off` for nothing.
    pub synchronous_commit: String,
    /// The most connections, for everybody together.
    pub max_connections: i32,
}

impl Health {
    /// How far the clock there is from ours, in seconds: nothing while it is between our question and our hearing the answer.
    #[must_use]
    pub fn apart(&self, asked_at: Timestamp, heard_at: Timestamp) -> f64 {
        let behind = asked_at.duration_since(self.now).as_secs_f64();
        let ahead = self.now.duration_since(heard_at).as_secs_f64();
        behind.max(ahead).max(0.0)
    }
}

impl Store {
    /// Asks how the server is set.
    ///
    /// # Errors
    /// The database is away.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_by_what_the_question_does_not_explain() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (theirs, apart) in [(100, 0.0), (103, 0.0), (105, 0.0), (98, 2.0), (107, 2.0)] {
            let health = Health { now: at(theirs), next_expiry: None };
            assert!((health.apart(at(100), at(105)) - apart).abs() < 1e-9, "{theirs}");
        }
    }
}
