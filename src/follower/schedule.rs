//! When the next look at a repository is due.

use crate::{
    domain::{hash::ContentHash, ids::StreamId},
    store::retried_tags::RetriedTag,
};
use jiff::{SignedDuration, Timestamp};

/// The longest time to the next look after failures, unless looks are less frequent anyway.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_hours(1);

/// Returns when the next look is due, after so many failures in a row: after the interval, which doubles with each failure, and up to a tenth of
/// it later, so that not all streams are looked at together.
pub(super) fn next_look(now: Timestamp, interval: SignedDuration, failures: u32, id: &StreamId) -> Timestamp {
    let factor = 1_i32.checked_shl(failures.min(16)).unwrap_or(i32::MAX);
    let delay = interval.saturating_mul(factor).min(MAX_BACKOFF.max(interval));
    let jitter = delay.as_millis_f64() / 10.0 * part_of(id);
    let delay = delay.saturating_add(SignedDuration::try_from_secs_f64(jitter / 1000.0).unwrap_or_default());
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

/// Returns when a stream may be published to again, if that is later than `now`.
pub(super) fn next_publication(last: Option<Timestamp>, interval: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let next = last?.saturating_add(interval).unwrap_or(Timestamp::MAX);
    Some(next).filter(|next| *next > now)
}

/// When the tags of a stream that could not become releases are tried again.
pub(super) struct RetrySchedule<'a> {
    pub(super) stream: &'a StreamId,
    pub(super) now: Timestamp,
    pub(super) interval: SignedDuration,
    /// When the stream or its base was last changed.
    pub(super) changed_at: Option<Timestamp>,
    /// True if the registry has reported a change.
    pub(super) is_woken: bool,
}

impl RetrySchedule<'_> {
    /// Returns true if a tag is to be tried again: after the interval, which doubles with each try, and at once when something has changed that may
    /// have been the cause.
    pub(super) fn is_due(&self, tag: &RetriedTag) -> bool {
        let is_changed = self.is_woken || self.changed_at.is_some_and(|changed_at| changed_at >= tag.tried_at);
        is_changed || next_look(tag.tried_at, self.interval, tag.tries.saturating_sub(1), self.stream) <= self.now
    }
}

/// Returns a number from 0 to 1 that is always the same for a stream.
fn part_of(id: &StreamId) -> f64 {
    let ContentHash([first, second, ..]) = ContentHash::from_content(id.to_string().as_bytes());
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ProductName, StreamName};

    fn stream(number: u32) -> StreamId {
        StreamId {
            product: ProductName::parse("os").unwrap(),
            stream: StreamName::parse(&format!("s{number}")).unwrap(),
        }
    }

    fn minutes(interval: i64, failures: u32, number: u32) -> f64 {
        let next = next_look(Timestamp::UNIX_EPOCH, SignedDuration::from_mins(interval), failures, &stream(number));
        next.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64() / 60.0
    }

    #[test]
    fn looks_are_never_early_and_differ_between_streams() {
        let delays: Vec<f64> = (0..100).map(|number| minutes(5, 0, number)).collect();
        assert!(delays.iter().all(|delay| (5.0..=5.5).contains(delay)), "{delays:?}");
        assert!(delays.iter().filter(|delay| **delay < 5.25).count().abs_diff(50) < 20, "{delays:?}");
        assert!((minutes(5, 0, 7) - delays[7]).abs() < f64::EPSILON);
    }

    #[test]
    fn publications_are_an_interval_apart() {
        let (interval, at) = (SignedDuration::from_mins(5), |seconds| Timestamp::from_second(seconds).unwrap());
        assert_eq!(next_publication(None, interval, at(0)), None);
        assert_eq!(next_publication(Some(at(0)), interval, at(299)), Some(at(300)));
        assert_eq!(next_publication(Some(at(0)), interval, at(300)), None);
    }

    #[test]
    fn tags_are_tried_again_less_and_less_often_until_something_changes() {
        let stream = stream(1);
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let tag = |tries| RetriedTag {
            tag: "v1".into(),
            digest: None,
            error: "why".into(),
            since: at(0),
            tried_at: at(100),
            tries,
            is_unanswered: false,
        };
        let schedule = |minutes: i64, changed_at: Option<i64>, is_woken: bool| RetrySchedule {
            stream: &stream,
            now: at(minutes),
            interval: SignedDuration::from_mins(5),
            changed_at: changed_at.map(at),
            is_woken,
        };
        // A tenth later at most.
        for (tries, early, late) in [(1, 104, 106), (2, 109, 111), (3, 119, 122), (u32::MAX, 159, 166)] {
            assert!(!schedule(early, None, false).is_due(&tag(tries)), "{tries}");
            assert!(schedule(late, None, false).is_due(&tag(tries)), "{tries}");
        }
        assert!(!schedule(101, Some(99), false).is_due(&tag(9)));
        assert!(schedule(101, Some(100), false).is_due(&tag(9)));
        assert!(schedule(101, None, true).is_due(&tag(9)));
    }

    #[test]
    fn delays_double_with_failures_up_to_an_hour() {
        for (failures, expected) in [(0, 5.0), (1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (5, 60.0), (u32::MAX, 60.0)]
        {
            let delay = minutes(5, failures, 1);
            assert!((expected..=expected * 1.1).contains(&delay), "{failures}: {delay}");
        }
        let daily = minutes(24 * 60, 9, 1);
        assert!((1440.0..=1584.0).contains(&daily), "{daily}");
    }
}
