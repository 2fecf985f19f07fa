//! Idempotency keys: a request that is repeated with its key gets the answer that was stored, and nothing is done again.
//!
//! Answers are stored and repeated as the JSON text that was sent, not as a type: a field that a later version renames does not
//! break a repetition across the upgrade.

use super::{error::CommandError, refusal::Refusal};
use crate::store::{
    StoreError, Transaction,
    idempotency::{Claim, IdempotencyKey},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Claims the key of a request. Returns the JSON that is stored under it, or `None` if the request is new or has no key.
pub(super) async fn stored_answer(
    transaction: &mut Transaction,
    key: Option<IdempotencyKey<'_>>,
    now: Timestamp,
) -> Result<Option<String>, CommandError> {
    let Some(key) = key else { return Ok(None) };
    match transaction.claim(key, now).await? {
        Claim::New => Ok(None),
        Claim::Answered(json) => Ok(Some(json)),
        Claim::Other => Err(Refusal::KeyReused.into()),
    }
}

/// Stores the answer to a request under its key, if it has one.
pub(super) async fn store_answer(
    transaction: &mut Transaction,
    key: Option<IdempotencyKey<'_>>,
    answer: &impl Serialize,
) -> Result<(), CommandError> {
    let Some(key) = key else { return Ok(()) };
    let json = serde_json::to_string(answer).map_err(corrupt)?;
    Ok(transaction.store_answer(key, &json).await?)
}

/// Parses what a stored answer holds.
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, CommandError> {
    Ok(serde_json::from_str(json).map_err(corrupt)?)
}

/// Splits a stored list into the texts of its items. An answer that is no list is one item.
pub(super) fn items(json: &str) -> Result<Vec<&str>, CommandError> {
    if !json.trim_start().starts_with('[') {
        return Ok(vec![json]);
    }
    Ok(parse::<Vec<&RawValue>>(json)?.into_iter().map(RawValue::get).collect())
}

fn corrupt(error: serde_json::Error) -> StoreError {
    StoreError::corrupt("idempotency_keys", error)
}
