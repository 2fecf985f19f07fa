//! What the tables share: the key of a stream, and the way from columns to domain types and back.

use super::error::StoreError;
use std::collections::BTreeSet;

/// A stream's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub(super) i64);

/// Text out of a row that a domain type has to take.
pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    table: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::corrupt(table, format!("{text:?} {error}")))
}

/// A set out of an array.
pub(super) fn parse_all<T: std::str::FromStr<Err: std::fmt::Display> + Ord>(
    table: &'static str,
    texts: &[String],
) -> Result<BTreeSet<T>, StoreError> {
    texts.iter().map(|text| parse(table, text)).collect()
}

/// A set out of an array that may be absent.
pub(super) fn parse_some<T: std::str::FromStr<Err: std::fmt::Display> + Ord>(
    table: &'static str,
    texts: Option<&Vec<String>>,
) -> Result<Option<BTreeSet<T>>, StoreError> {
    texts.map(|texts| parse_all(table, texts)).transpose()
}

/// An array out of a set that may be absent.
pub(super) fn texts(set: Option<&BTreeSet<impl ToString>>) -> Option<Vec<String>> {
    set.map(|set| set.iter().map(ToString::to_string).collect())
}
