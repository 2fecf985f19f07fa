//! What was answered to requests that name themselves.

use super::{error::StoreError, transaction::Transaction};
use crate::domain::hash::ContentHash;
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use sqlx::types::Json;

/// A request's name for itself.
#[derive(Debug, Clone, Copy)]
pub struct Once<'a> {
    /// Who asks.
    pub actor: &'a str,
    /// The name, which is the asker's own.
    pub key: &'a str,
    /// What is asked.
    pub fingerprint: ContentHash,
}

/// Whether such a request was made before.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It was not; nobody else can make it until this transaction ends.
    New,
    /// It was, and this was the answer.
    Answered(Value),
    /// Something else was asked by that name.
    Other,
}

/// How long answers are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Transaction {
    /// Takes a request's name. Waits for whoever took it and has not finished.
    ///
    /// # Errors
    /// The database is away.
    pub async fn claim(&mut self, once: Once<'_>, now: Timestamp) -> Result<Claim, StoreError> {
        let oldest = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        // A few at a time, so that nobody waits for the sweeping.
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
            once.actor,
            once.key,
            once.fingerprint.0.as_slice(),
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
            select fingerprint, answer as "answer: Json<Value>" from idempotency_keys where actor = $1 and key = $2"#,
            once.actor,
            once.key,
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("answered"))?;
        match row.answer {
            Some(Json(answer)) if row.fingerprint == once.fingerprint.0 => Ok(Claim::Answered(answer)),
            _ => Ok(Claim::Other),
        }
    }

    /// Keeps the answer to a request whose name was taken in this transaction.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_answer(&mut self, once: Once<'_>, answer: &Value) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: keep_answer
            update idempotency_keys set answer = $3 where actor = $1 and key = $2",
            once.actor,
            once.key,
            Json(answer) as _,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("keep_answer"))
    }
}
