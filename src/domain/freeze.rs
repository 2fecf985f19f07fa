//! Freeze windows: times in which nothing is started, resumed or published.

use super::{epoch::Epoch, reason::Reason};
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{DateTime, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// A time in which nothing is opened any further.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezeWindow {
    /// When.
    pub span: FreezeSpan,
    /// Why.
    pub reason: Reason,
}

/// When a window is: its end is not within it any more.
#[derive(Debug, Clone, PartialEq)]
pub enum FreezeSpan {
    /// Once.
    Between {
        /// The first second.
        from: Epoch,
        /// The first second after it.
        until: Epoch,
    },
    /// Every week, as the clocks on the walls of a zone have it; over the end of the week too.
    Weekly {
        /// The first minute.
        from: WeekTime,
        /// The first minute after it.
        until: WeekTime,
        /// Where.
        zone: Zone,
    },
}

/// A minute of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekTime {
    day: Weekday,
    /// 0 to 1439
    minute: i16,
}

/// A time zone by its name in the IANA database, of the edition that this program was built with: no machine has its own.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

/// A window as documents have it: with a zone it is weekly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeWindowDocument {
    /// `friday 16:00`, or without a zone RFC 3339 in whole seconds.
    pub from: String,
    /// The first moment that is not within it, in the same form.
    pub until: String,
    /// The time zone, by its IANA name: `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Why; not blank.
    pub reason: String,
}

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl WeekTime {
    /// Reads `friday 16:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let (_, day) = DAYS.into_iter().find(|(name, _)| *name == day)?;
        let (hour, minute) = time.split_once(':')?;
        let part = |text: &str, most: i16| {
            let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|number: &i16| is_number && *number <= most)
        };
        Some(Self { day, minute: part(hour, 23)? * 60 + part(minute, 59)? })
    }

    fn of(time: DateTime) -> Self {
        Self { day: time.weekday(), minute: i16::from(time.hour()) * 60 + i16::from(time.minute()) }
    }

    /// Minutes since Monday began.
    fn of_week(self) -> i16 {
        i16::from(self.day.to_monday_zero_offset()) * 1440 + self.minute
    }
}

impl fmt::Display for WeekTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = DAYS.iter().find(|(_, day)| *day == self.day).map_or("", |(name, _)| name);
        write!(f, "{name} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

impl Zone {
    /// The zone of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name().is_some()).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or_default()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl FreezeWindow {
    /// Is `now` within it?
    #[must_use]
    pub fn covers(&self, now: Epoch) -> bool {
        match &self.span {
            FreezeSpan::Between { from, until } => *from <= now && now < *until,
            FreezeSpan::Weekly { from, until, zone } => {
                let Ok(time) = Timestamp::from_second(now.0) else { return false };
                let (from, until) = (from.of_week(), until.of_week());
                let minute = WeekTime::of(zone.0.to_datetime(time)).of_week();
                if from < until { from <= minute && minute < until } else { from <= minute || minute < until }
            }
        }
    }

    /// The first second after `now` that is not within it any more, where `now` is.
    #[must_use]
    pub fn ends_after(&self, now: Epoch) -> Option<Epoch> {
        if !self.covers(now) {
            return None;
        }
        match &self.span {
            FreezeSpan::Between { until, .. } => Some(*until),
            FreezeSpan::Weekly { until, zone, .. } => {
                let time = zone.0.to_datetime(Timestamp::from_second(now.0).ok()?);
                let left = (until.of_week() - WeekTime::of(time).of_week()).rem_euclid(7 * 1440);
                let end =
                    time.with().second(0).subsec_nanosecond(0).build().ok()?.checked_add(i64::from(left).minutes());
                let end = zone.0.to_ambiguous_timestamp(end.ok()?).compatible().ok()?;
                // Where the clocks are put back, what was after it on the wall may come again.
                let again = (0..180).filter_map(|minutes| end.checked_add(SignedDuration::from_mins(minutes)).ok());
                again.map(Epoch::from).find(|end| *end > now && !self.covers(*end))
            }
        }
    }

    /// As documents have it.
    #[must_use]
    pub fn to_document(&self) -> FreezeWindowDocument {
        let (from, until, zone) = match &self.span {
            FreezeSpan::Between { from, until } => (from.to_string(), until.to_string(), None),
            FreezeSpan::Weekly { from, until, zone } => (from.to_string(), until.to_string(), Some(zone.name().into())),
        };
        FreezeWindowDocument { from, until, zone, reason: self.reason.as_str().into() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// The field that is wrong, and what is wrong with it.
    pub fn from_document(document: &FreezeWindowDocument) -> Result<Self, (&'static str, String)> {
        let reason = Reason::given(&document.reason).map_err(|error| ("reason", error.to_string()))?;
        let span = match &document.zone {
            Some(zone) => weekly(&document.from, &document.until, zone)?,
            None => once(&document.from, &document.until)?,
        };
        Ok(Self { span, reason })
    }
}

fn weekly(from: &str, until: &str, zone: &str) -> Result<FreezeSpan, (&'static str, String)> {
    let time = |field, text: &str| {
        WeekTime::parse(text).ok_or_else(|| (field, format!("is {text:?}, not a time such as friday 16:00")))
    };
    let (from, until) = (time("from", from)?, time("until", until)?);
    if from == until {
        return Err(("until", "is where it begins".into()));
    }
    let unknown = || ("zone", format!("is {zone:?}, no time zone such as Europe/Berlin"));
    Ok(FreezeSpan::Weekly { from, until, zone: Zone::named(zone).ok_or_else(unknown)? })
}

fn once(from: &str, until: &str) -> Result<FreezeSpan, (&'static str, String)> {
    let time = |field, text: &str| {
        let wrong = || (field, format!("is {text:?}, not a time in whole seconds such as 2026-07-22T14:00:00Z"));
        Epoch::parse(text).ok_or_else(wrong)
    };
    let (from, until) = (time("from", from)?, time("until", until)?);
    if until <= from {
        return Err(("until", "is not later than it begins".into()));
    }
    Ok(FreezeSpan::Between { from, until })
}

/// The first of the windows that `now` is within.
#[must_use]
pub fn frozen(windows: &[FreezeWindow], now: Epoch) -> Option<&FreezeWindow> {
    windows.iter().find(|window| window.covers(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    fn window(from: &str, until: &str, zone: Option<&str>) -> Result<FreezeWindow, (&'static str, String)> {
        let zone = zone.map(Into::into);
        FreezeWindow::from_document(&FreezeWindowDocument {
            from: from.into(),
            until: until.into(),
            zone,
            reason: "nobody is at work".into(),
        })
    }

    fn at(time: &str) -> Epoch {
        Epoch::parse(time).unwrap()
    }

    #[test]
    fn a_weekend_is_what_the_clocks_on_the_walls_say() {
        let weekend = window("friday 16:00", "monday 08:00", Some("Europe/Berlin")).unwrap();
        for (time, covered) in [
            ("2026-07-24T13:59:59Z", false),
            ("2026-07-24T14:00:00Z", true),
            ("2026-07-26T12:00:00Z", true),
            ("2026-07-27T05:59:59Z", true),
            ("2026-07-27T06:00:00Z", false),
            // In winter, an hour later.
            ("2026-11-20T14:59:59Z", false),
            ("2026-11-20T15:00:00Z", true),
        ] {
            assert_eq!(weekend.covers(at(time)), covered, "{time}");
        }
        assert_eq!(weekend.ends_after(at("2026-07-25T00:00:30Z")), Some(at("2026-07-27T06:00:00Z")));
        // The clocks are put back in between.
        assert_eq!(weekend.ends_after(at("2026-10-24T00:00:00Z")), Some(at("2026-10-26T07:00:00Z")));
        assert_eq!(weekend.ends_after(at("2026-07-27T06:00:00Z")), None);
    }

    #[test]
    fn once_is_once() {
        let once = window("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z", None).unwrap();
        let covered = |time| once.covers(at(time));
        assert!(covered("2026-12-24T00:00:00Z") && covered("2026-12-26T23:59:59Z"));
        assert!(!covered("2026-12-23T23:59:59Z") && !covered("2026-12-27T00:00:00Z"));
        assert_eq!(once.ends_after(at("2026-12-25T00:00:00Z")), Some(at("2026-12-27T00:00:00Z")));
        assert_eq!(frozen(std::slice::from_ref(&once), at("2026-12-25T00:00:00Z")), Some(&once));
        assert_eq!(frozen(&[once], at("2026-12-28T00:00:00Z")), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            window("friday", "monday 08:00", Some("UTC")),
            window("friday 24:00", "monday 08:00", Some("UTC")),
            window("friday 16:00", "friday 16:00", Some("UTC")),
            window("friday 16:00", "monday 08:00", Some("Europe/Atlantis")),
            window("friday 16:00", "monday 08:00", None),
            window("2026-12-24T00:00:00Z", "2026-12-24T00:00:00Z", None),
        ];
        assert_eq!(wrong.map(|window| window.unwrap_err().0), ["from", "from", "until", "zone", "from", "until"]);
    }

    proptest! {
        #[test]
        fn windows_read_back_and_end_where_they_say(window in samples::freeze_window(), now in -400_000_000_000i64..400_000_000_000) {
            prop_assert_eq!(FreezeWindow::from_document(&window.to_document()), Ok(window.clone()));
            let now = Epoch(now);
            match window.ends_after(now) {
                Some(end) => prop_assert!(end > now && !window.covers(end) && window.covers(now)),
                None => prop_assert!(!window.covers(now) || now.0.abs() > 200_000_000_000),
            }
        }

        #[test]
        fn no_time_panics(window in samples::freeze_window(), now: i64) {
            let _ = (window.covers(Epoch(now)), window.ends_after(Epoch(now)));
        }
    }
}
