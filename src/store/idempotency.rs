//! Idempotency keys and the answers that were sent to their requests.

use super::{error::StoreError, transaction::Transaction};
use crate::domain::hash::ContentHash;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

/// An idempotency key: the caller's own name for a request.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    /// The id of the caller.
    pub actor: &'a str,
    /// The key, unique to the caller.
    pub key: &'a str,
    /// The hash of the request's method, URI and body.
    pub fingerprint: ContentHash,
}

/// Whether a request with the key was made before.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It was not. Other requests with the key wait until this transaction ends.
    New,
    /// It was, and this JSON was the answer: the text as it was sent, of this version of the program or an older one.
    Answered(String),
    /// The key was used for a different request.
    Other,
}

/// How long answers are stored.
const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Transaction {
    /// Claims an idempotency key. Waits for a transaction that has claimed it and has not ended.
    ///
    /// The column is of type `json`, which keeps the text of its input.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn claim(&mut self, key: IdempotencyKey<'_>, now: Timestamp) -> Result<Claim, StoreError> {
        let oldest = now.checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
        // Few rows at a time: no request waits long for the clean-up.
        sqlx::query!(
            "-- name: forget_answers
            delete from idempotency_keys where (actor, key) in (
                select actor, key from idempotency_keys where made_at < $1 order by made_at limit 100 for update skip locked
            )",
            oldest.to_sqlx() as _,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("forget_answers"))?;
        let claimed = sqlx::query!(
            "-- name: claim
            insert into idempotency_keys (actor, key, fingerprint, made_at) values ($1, $2, $3, $4) on conflict do nothing",
            key.actor,
            key.key,
            key.fingerprint.0.as_slice(),
            now.to_sqlx() as _,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("claim"))?;
        if claimed.rows_affected() == 1 {
            return Ok(Claim::New);
        }
        let row = sqlx::query!(
            r#"-- name: answered
            select fingerprint, answer::text as answer from idempotency_keys where actor = $1 and key = $2"#,
            key.actor,
            key.key,
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("answered"))?;
        match row.answer {
            Some(answer) if row.fingerprint == key.fingerprint.0 => Ok(Claim::Answered(answer)),
            _ => Ok(Claim::Other),
        }
    }

    /// Stores the answer to a request whose key was claimed in this transaction.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn store_answer(&mut self, key: IdempotencyKey<'_>, json: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: store_answer
            update idempotency_keys set answer = $3::text::json where actor = $1 and key = $2",
            key.actor,
            key.key,
            json,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("store_answer"))
    }
}
