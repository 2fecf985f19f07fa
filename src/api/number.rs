//! Whole numbers in queries, with errors that name the allowed range.

use serde::{Deserialize, Deserializer, de::Error};

/// Deserialises an optional whole number between `MIN` and `MAX`.
///
/// # Errors
/// The text is not a whole number, or is out of range. The message names the range.
pub(super) fn between<'de, const MIN: i64, const MAX: i64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    let allowed = if MAX == i64::MAX { format!("of at least {MIN}") } else { format!("from {MIN} to {MAX}") };
    number.map(Some).ok_or_else(|| D::Error::custom(format!("must be a whole number {allowed}, is {text:?}")))
}
