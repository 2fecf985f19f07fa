//! Helpers for all tables: the key of a stream, and conversions between columns and domain types.

use super::error::StoreError;
use crate::domain::{actor::Actor, rollout::id::RolloutId};
use std::collections::BTreeSet;

/// The row id of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub(super) i64);

/// Parses a column into a domain type.
pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    table: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::corrupt(table, format!("{text:?} {error}")))
}

/// Parses an array into a set.
pub(super) fn parse_all<T: std::str::FromStr<Err: std::fmt::Display> + Ord>(
    table: &'static str,
    texts: &[String],
) -> Result<BTreeSet<T>, StoreError> {
    texts.iter().map(|text| parse(table, text)).collect()
}

/// Parses an optional array into a set.
pub(super) fn parse_some<T: std::str::FromStr<Err: std::fmt::Display> + Ord>(
    table: &'static str,
    texts: Option<&Vec<String>>,
) -> Result<Option<BTreeSet<T>>, StoreError> {
    texts.map(|texts| parse_all(table, texts)).transpose()
}

/// Converts an optional set into an array.
pub(super) fn texts(set: Option<&BTreeSet<impl ToString>>) -> Option<Vec<String>> {
    set.map(|set| set.iter().map(ToString::to_string).collect())
}

/// Returns the actor of a row. Rows of older versions have no name.
pub(super) fn actor(id: String, name: Option<String>) -> Actor {
    match name {
        Some(name) => Actor { id, name },
        None => Actor::from_id(id),
    }
}

/// Parses the id of a rollout; 0 if it has none, because an older version wrote it.
pub(super) fn rollout_id(number: i32) -> Result<RolloutId, StoreError> {
    if number == 0 {
        return Ok(RolloutId::NEW);
    }
    let id = u32::try_from(number).ok().and_then(RolloutId::from_number);
    id.ok_or_else(|| StoreError::corrupt("rollouts", format!("invalid id {number}")))
}
