//! Durations in whole minutes, as upstream counts them, written in ISO 8601.

use std::fmt;
use thiserror::Error;

/// A duration in minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minutes(pub u64);

/// The error for text that is not a duration in whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not an ISO 8601 duration of days, hours and minutes such as PT48H")]
pub struct DurationError;

impl Minutes {
    /// Returns the duration in seconds, saturating at `i64::MAX`.
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0.saturating_mul(60)).unwrap_or(i64::MAX)
    }

    /// Converts seconds, rounded up to whole minutes. Negative values become 0.
    #[must_use]
    pub fn from_seconds_up(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0).div_ceil(60))
    }

    /// Parses `P[nD][T[nH][nM]]`.
    ///
    /// # Errors
    /// Fails if the text has another form, or the number of minutes overflows.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let rest = text.strip_prefix('P').ok_or(DurationError)?;
        let (days, time) = match rest.split_once('T') {
            Some((_, "")) => return Err(DurationError),
            Some((days, time)) => (days, time),
            None => (rest, ""),
        };
        if days.is_empty() && time.is_empty() {
            return Err(DurationError);
        }
        let (day_minutes, days_rest) = Self::take(days, 'D', 24 * 60)?;
        let (hour_minutes, time) = Self::take(time, 'H', 60)?;
        let (minutes, time_rest) = Self::take(time, 'M', 1)?;
        if !days_rest.is_empty() || !time_rest.is_empty() {
            return Err(DurationError);
        }
        day_minutes.checked_add(hour_minutes).and_then(|sum| sum.checked_add(minutes)).map(Self).ok_or(DurationError)
    }

    /// Takes a leading number with this unit and returns it in minutes, with the rest of the text. Returns 0 if the unit is absent.
    fn take(text: &str, unit: char, minutes: u64) -> Result<(u64, &str), DurationError> {
        let Some((number, rest)) = text.split_once(unit) else {
            return Ok((0, text));
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DurationError);
        }
        let number: u64 = number.parse().map_err(|_| DurationError)?;
        number.checked_mul(minutes).map(|total| (total, rest)).ok_or(DurationError)
    }
}

/// Writes whole hours as hours (`PT48H`) and any other duration as minutes (`PT90M`).
impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0.is_multiple_of(60) {
            write!(f, "PT{}H", self.0 / 60)
        } else {
            write!(f, "PT{}M", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_displayed_duration_parses_back(minutes: u64) {
            prop_assert_eq!(Minutes::parse(&Minutes(minutes).to_string()), Ok(Minutes(minutes)));
        }

        #[test]
        fn parsing_never_panics(text in "P?[0-9DTHM.-]{0,12}") {
            let _ = Minutes::parse(&text);
        }
    }

    #[test]
    fn only_days_hours_and_minutes_are_accepted() {
        for (text, minutes) in [("PT48H", 2880), ("P2D", 2880), ("P1DT1H1M", 1501), ("PT0M", 0), ("PT90M", 90)] {
            assert_eq!(Minutes::parse(text), Ok(Minutes(minutes)), "{text}");
        }
        for text in ["", "P", "PT", "48h", "PT1.5H", "P1H", "PT1D", "PTM", "PT1M1H", "-PT1H", "PT99999999999999999999M"]
        {
            assert!(Minutes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_rounded_up_to_minutes() {
        assert_eq!(Minutes::from_seconds_up(61), Minutes(2));
        assert_eq!(Minutes::from_seconds_up(60), Minutes(1));
        assert_eq!(Minutes::from_seconds_up(-5), Minutes(0));
        assert_eq!(Minutes(u64::MAX).seconds(), i64::MAX);
    }
}
