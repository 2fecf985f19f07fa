//! The times of tests.

use jiff::Timestamp;

/// The time at which services start.
pub(crate) const NOW: i64 = 1_790_000_000;
/// The seconds of an hour.
pub(crate) const HOUR: i64 = 3600;

/// Returns the time so many hours after `NOW`.
pub(crate) fn at(hours: i64) -> String {
    Timestamp::from_second(NOW + hours * HOUR).unwrap().to_string()
}
