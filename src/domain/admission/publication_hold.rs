//! Why nothing may be published by itself now.

use crate::domain::{epoch::Epoch, stream::Stream};

impl Stream {
    /// Returns why nothing may be published now: an emergency stop or a freeze window.
    #[must_use]
    pub fn publication_hold(&self, now: Epoch) -> Option<String> {
        if let Some(stop) = self.active_stop() {
            return Some(format!("an emergency stop is in force since {}", stop.since));
        }
        let window = self.protection.freeze_windows.iter().find(|window| window.covers(now))?;
        let end = window.ends_after(now).map(|end| format!(" until {end}")).unwrap_or_default();
        Some(format!("a freeze window is in force{end}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        admission::{
            emergency_stop::EmergencyStop,
            freeze_window::{FreezeSpan, FreezeWindow},
        },
        reason::Reason,
        samples,
    };

    #[test]
    fn stops_and_freeze_windows_hold_publications_back() {
        let empty = Stream::empty(samples::id());
        assert_eq!(empty.publication_hold(Epoch(100)), None);
        let stop = EmergencyStop { since: Epoch(60), reason: Reason::new("broken").unwrap() };
        let expected = Some("an emergency stop is in force since 1970-01-01T00:01:00Z".into());
        assert_eq!(Stream { stop: Some(stop.clone()), ..empty.clone() }.publication_hold(Epoch(100)), expected);
        assert_eq!(Stream { product_stop: Some(stop), ..empty.clone() }.publication_hold(Epoch(100)), expected);
        let span = FreezeSpan::Between { from: Epoch(60), until: Epoch(120) };
        let mut frozen = empty;
        frozen.protection.freeze_windows.push(FreezeWindow { span, reason: Reason::new("fair").unwrap() });
        let expected = "a freeze window is in force until 1970-01-01T00:02:00Z";
        assert_eq!(frozen.publication_hold(Epoch(100)).as_deref(), Some(expected));
        assert_eq!(frozen.publication_hold(Epoch(120)), None);
    }
}
