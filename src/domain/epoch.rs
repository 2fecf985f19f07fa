//! Time in whole seconds, as the rules use it.

use jiff::Timestamp;
use std::fmt;

/// Whole seconds since 1970-01-01T00:00:00Z. Upstream may write any 64-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

impl Epoch {
    /// Returns the time that many seconds later, saturating at the ends of the range.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Returns the seconds from `earlier` to this time, saturating at the ends of the range.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses RFC 3339 or a plain number of seconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self).ok().or_else(|| {
            let time: Timestamp = text.parse().ok().filter(|_| has_valid_offset(text))?;
            (time.subsec_nanosecond() == 0).then_some(Self(time.as_second()))
        })
    }
}

/// Returns true if the offset is missing or less than 24 hours, as RFC 3339 requires (section 5.6: `time-hour`).
fn has_valid_offset(text: &str) -> bool {
    let time = text.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
    let hours = time.split_once(['+', '-']).map(|(_, offset)| offset.chars().take(2).collect::<String>());
    hours.is_none_or(|hours| hours.parse::<u8>().is_ok_and(|hours| hours < 24))
}

impl From<Timestamp> for Epoch {
    fn from(time: Timestamp) -> Self {
        // `as_second` rounds towards zero, but an agent's clock counts the whole seconds that have passed.
        Self(time.as_second() - i64::from(time.subsec_nanosecond() < 0))
    }
}

/// Writes RFC 3339 from 1970 on as far as the calendar reaches, otherwise the plain number. [`Epoch::parse`] accepts both.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(time) if time >= Timestamp::UNIX_EPOCH => time.fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_displayed_time_parses_back(seconds: i64) {
            let epoch = Epoch(seconds);
            prop_assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        }
    }

    #[test]
    fn known_times_and_offsets() {
        assert_eq!(Epoch(1_784_728_800).to_string(), "2026-07-22T14:00:00Z");
        assert_eq!(Epoch::parse("2026-07-22T14:00:00.5Z"), None);
        for (offset, known) in [
            ("+02:00", true),
            ("-12:00", true),
            ("+23:59", true),
            ("+24:00", false),
            ("+25:00", false),
            ("-25:59", false),
        ] {
            assert_eq!(Epoch::parse(&format!("2026-07-22T14:00:00{offset}")).is_some(), known, "{offset}");
        }
        assert_eq!(Epoch::from(Timestamp::from_millisecond(-1).unwrap()), Epoch(-1));
        assert_eq!(Epoch::from(Timestamp::from_millisecond(1999).unwrap()), Epoch(1));
    }
}
