//! Freeze windows: times in which no rollout is started, stepped or resumed and no release is published.

use crate::domain::{document::shape::FreezeWindowDocument, epoch::Epoch, reason::Reason};
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{DateTime, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use std::fmt;

/// A time in which exposure must not increase.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezeWindow {
    /// The time span.
    pub span: FreezeSpan,
    /// The reason.
    pub reason: Reason,
}

/// The time span of a freeze window, without its end.
#[derive(Debug, Clone, PartialEq)]
pub enum FreezeSpan {
    /// A single span.
    Between {
        /// The first second.
        from: Epoch,
        /// The first second after the window.
        until: Epoch,
    },
    /// A span of every week in the local time of a zone. It may cross the end of the week.
    Weekly {
        /// The first minute.
        from: WeekTime,
        /// The first minute after the window.
        until: WeekTime,
        /// The time zone.
        zone: Zone,
    },
}

/// A minute of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekTime {
    day: Weekday,
    /// 0 to 1439
    minute: i16,
}

/// A time zone of the IANA database that is built into this program. The database of the machine is not used, so all replicas agree.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

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
    /// Parses text such as `friday 16:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let (_, day) = DAYS.into_iter().find(|(name, _)| *name == day)?;
        let (hour, minute) = time.split_once(':')?;
        let part = |text: &str, max: i16| {
            let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|number: &i16| is_number && *number <= max)
        };
        Some(Self { day, minute: part(hour, 23)? * 60 + part(minute, 59)? })
    }

    fn from_datetime(time: DateTime) -> Self {
        Self { day: time.weekday(), minute: i16::from(time.hour()) * 60 + i16::from(time.minute()) }
    }

    /// Returns the minutes since the beginning of Monday.
    fn minute_of_week(self) -> i16 {
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
    /// Returns the zone with this IANA name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name().is_some()).map(Self)
    }

    /// Returns the IANA name of the zone.
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
    /// Returns true if `now` is within the window.
    #[must_use]
    pub fn covers(&self, now: Epoch) -> bool {
        match &self.span {
            FreezeSpan::Between { from, until } => *from <= now && now < *until,
            FreezeSpan::Weekly { from, until, zone } => {
                let Ok(time) = Timestamp::from_second(now.0) else { return false };
                let (from, until) = (from.minute_of_week(), until.minute_of_week());
                let minute = WeekTime::from_datetime(zone.0.to_datetime(time)).minute_of_week();
                if from < until { from <= minute && minute < until } else { from <= minute || minute < until }
            }
        }
    }

    /// Returns the first second after `now` that is outside the window, or `None` if `now` is outside.
    #[must_use]
    pub fn ends_after(&self, now: Epoch) -> Option<Epoch> {
        if !self.covers(now) {
            return None;
        }
        match &self.span {
            FreezeSpan::Between { until, .. } => Some(*until),
            FreezeSpan::Weekly { until, zone, .. } => {
                let time = zone.0.to_datetime(Timestamp::from_second(now.0).ok()?);
                let remaining =
                    (until.minute_of_week() - WeekTime::from_datetime(time).minute_of_week()).rem_euclid(7 * 1440);
                let end = time
                    .with()
                    .second(0)
                    .subsec_nanosecond(0)
                    .build()
                    .ok()?
                    .checked_add(i64::from(remaining).minutes());
                // If the clocks skip the end when they go forward, the window ends at that moment: the search below starts before it.
                let end = zone.0.to_ambiguous_timestamp(end.ok()?).earlier().ok()?;
                // If the clocks go back at the end, times of the window may occur a second time.
                let again = (0..180).filter_map(|minutes| end.checked_add(SignedDuration::from_mins(minutes)).ok());
                again.map(Epoch::from).find(|end| *end > now && !self.covers(*end))
            }
        }
    }

    /// Returns the window in the form of documents.
    #[must_use]
    pub fn to_document(&self) -> FreezeWindowDocument {
        let (from, until, zone) = match &self.span {
            FreezeSpan::Between { from, until } => (from.to_string(), until.to_string(), None),
            FreezeSpan::Weekly { from, until, zone } => (from.to_string(), until.to_string(), Some(zone.name().into())),
        };
        FreezeWindowDocument { from, until, zone, reason: self.reason.as_str().into() }
    }

    /// Parses the window of a document.
    ///
    /// # Errors
    /// Returns the name of the invalid field and a message.
    pub fn from_document(document: &FreezeWindowDocument) -> Result<Self, (&'static str, String)> {
        let reason = Reason::new(&document.reason).map_err(|error| ("reason", error.to_string()))?;
        let span = match &document.zone {
            Some(zone) => weekly(&document.from, &document.until, zone)?,
            None => dated_span(&document.from, &document.until)?,
        };
        Ok(Self { span, reason })
    }
}

fn weekly(from: &str, until: &str, zone: &str) -> Result<FreezeSpan, (&'static str, String)> {
    let time = |field, text: &str| {
        WeekTime::parse(text).ok_or_else(|| (field, format!("is {text:?}, expected a time such as friday 16:00")))
    };
    let (from, until) = (time("from", from)?, time("until", until)?);
    if from == until {
        return Err(("until", "must differ from `from`".into()));
    }
    let unknown = || ("zone", format!("is {zone:?}, expected an IANA time zone such as Europe/Berlin"));
    Ok(FreezeSpan::Weekly { from, until, zone: Zone::from_name(zone).ok_or_else(unknown)? })
}

fn dated_span(from: &str, until: &str) -> Result<FreezeSpan, (&'static str, String)> {
    let time = |field, text: &str| {
        let invalid = || (field, format!("is {text:?}, expected a time in whole seconds such as 2026-07-22T14:00:00Z"));
        Epoch::parse(text).ok_or_else(invalid)
    };
    let (from, until) = (time("from", from)?, time("until", until)?);
    if until <= from {
        return Err(("until", "must be later than `from`".into()));
    }
    Ok(FreezeSpan::Between { from, until })
}

/// Returns the first window that covers `now`.
#[must_use]
pub fn active_window(windows: &[FreezeWindow], now: Epoch) -> Option<&FreezeWindow> {
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
            reason: "a weekend".into(),
        })
    }

    fn at(time: &str) -> Epoch {
        Epoch::parse(time).unwrap()
    }

    #[test]
    fn a_weekly_window_follows_local_time() {
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
        // The clocks go back in between.
        assert_eq!(weekend.ends_after(at("2026-10-24T00:00:00Z")), Some(at("2026-10-26T07:00:00Z")));
        assert_eq!(weekend.ends_after(at("2026-07-27T06:00:00Z")), None);
    }

    #[test]
    fn a_skipped_end_is_when_the_clocks_go_forward() {
        // In Berlin the clocks go forward from 02:00 to 03:00 on 2026-03-29.
        let night = window("saturday 22:00", "sunday 02:30", Some("Europe/Berlin")).unwrap();
        assert!(night.covers(at("2026-03-29T00:59:59Z")) && !night.covers(at("2026-03-29T01:00:00Z")));
        for now in ["2026-03-28T22:00:00Z", "2026-03-29T00:29:00Z", "2026-03-29T00:59:59Z"] {
            assert_eq!(night.ends_after(at(now)), Some(at("2026-03-29T01:00:00Z")), "{now}");
        }
        // A window that begins in the skipped hour begins when the clocks go forward.
        let morning = window("sunday 02:30", "sunday 06:00", Some("Europe/Berlin")).unwrap();
        assert!(!morning.covers(at("2026-03-29T00:59:59Z")) && morning.covers(at("2026-03-29T01:00:00Z")));
        assert_eq!(morning.ends_after(at("2026-03-29T01:00:00Z")), Some(at("2026-03-29T04:00:00Z")));
    }

    #[test]
    fn a_window_without_a_zone_does_not_repeat() {
        let once = window("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z", None).unwrap();
        let covered = |time| once.covers(at(time));
        assert!(covered("2026-12-24T00:00:00Z") && covered("2026-12-26T23:59:59Z"));
        assert!(!covered("2026-12-23T23:59:59Z") && !covered("2026-12-27T00:00:00Z"));
        assert_eq!(once.ends_after(at("2026-12-25T00:00:00Z")), Some(at("2026-12-27T00:00:00Z")));
        assert_eq!(active_window(std::slice::from_ref(&once), at("2026-12-25T00:00:00Z")), Some(&once));
        assert_eq!(active_window(&[once], at("2026-12-28T00:00:00Z")), None);
    }

    #[test]
    fn errors_name_the_invalid_field() {
        let invalid = [
            window("friday", "monday 08:00", Some("UTC")),
            window("friday 24:00", "monday 08:00", Some("UTC")),
            window("friday 16:00", "friday 16:00", Some("UTC")),
            window("friday 16:00", "monday 08:00", Some("Europe/Atlantis")),
            window("friday 16:00", "monday 08:00", None),
            window("2026-12-24T00:00:00Z", "2026-12-24T00:00:00Z", None),
        ];
        assert_eq!(invalid.map(|window| window.unwrap_err().0), ["from", "from", "until", "zone", "from", "until"]);
    }

    proptest! {
        #[test]
        fn a_window_parses_back_and_is_over_at_its_end(window in samples::freeze_window(), now in -400_000_000_000i64..400_000_000_000) {
            prop_assert_eq!(FreezeWindow::from_document(&window.to_document()), Ok(window.clone()));
            let now = Epoch(now);
            match window.ends_after(now) {
                Some(end) => prop_assert!(end > now && !window.covers(end) && window.covers(now)),
                None => prop_assert!(!window.covers(now) || now.0.abs() > 200_000_000_000),
            }
        }

        #[test]
        fn a_window_covers_the_second_before_its_end(window in samples::freeze_window(), now in 0i64..4_000_000_000) {
            if let Some(end) = window.ends_after(Epoch(now)) {
                prop_assert!(window.covers(end.plus_seconds(-1)), "{end} is later than the end");
            }
        }

        #[test]
        fn no_time_panics(window in samples::freeze_window(), now: i64) {
            let _ = (window.covers(Epoch(now)), window.ends_after(Epoch(now)));
        }
    }
}
