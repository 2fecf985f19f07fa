//! Time as the rules see it: whole seconds.

use jiff::Timestamp;
use std::fmt;

/// Whole seconds since 1970-01-01T00:00:00Z; upstream may write any 64-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub i64);

impl Epoch {
    /// That many seconds later; stops at the end of the range.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The seconds from `earlier` to this; stops at the ends of the range.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339, or a plain number of seconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self).ok().or_else(|| {
            let time: Timestamp = text.parse().ok()?;
            (time.subsec_nanosecond() == 0).then_some(Self(time.as_second()))
        })
    }
}

impl From<Timestamp> for Epoch {
    fn from(time: Timestamp) -> Self {
        // `as_second` rounds towards zero; an agent's clock counts whole seconds that have passed.
        let before = time.as_second() - i64::from(time.subsec_nanosecond() < 0);
        Self(before)
    }
}

/// RFC 3339 where the calendar reaches, else the plain number: [`Epoch::parse`] reads both.
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
        fn what_is_shown_reads_back(seconds: i64) {
            let epoch = Epoch(seconds);
            prop_assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        }
    }

    #[test]
    fn known_instants() {
        assert_eq!(Epoch(1_784_728_800).to_string(), "2026-07-22T14:00:00Z");
        assert_eq!(Epoch::parse("2026-07-22T14:00:00.5Z"), None);
        assert_eq!(Epoch::from(Timestamp::from_millisecond(-1).unwrap()), Epoch(-1));
        assert_eq!(Epoch::from(Timestamp::from_millisecond(1999).unwrap()), Epoch(1));
    }
}
