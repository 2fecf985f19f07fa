//! The current catalog, and the time for which polls are answered.

use super::streams::Catalog;
use crate::domain::{ids::StreamId, stream::Revision};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// The current catalog. There is one once the database or the snapshot has been read.
#[derive(Debug)]
pub struct CatalogHandle {
    catalog: ArcSwapOption<Catalog>,
    /// Streams whose newest revision cannot be read. They are served at their last good revision.
    broken: ArcSwap<BTreeMap<StreamId, Revision>>,
    /// The time of the last contact with the database, in seconds since 1970.
    last_contact_at: AtomicI64,
    stale_after: SignedDuration,
    /// Nothing is offered if the last contact with the database is longer ago than this.
    close_after: Option<SignedDuration>,
    /// The stop of the processes that use this data directory.
    local_stop: ArcSwapOption<LocalStop>,
}

/// A stop of the processes that use one data directory. It needs no database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalStop {
    /// When it was set, if known.
    pub since: Option<Timestamp>,
    /// The reason.
    pub reason: String,
}

/// There was no contact with the database yet, so there is nothing to freeze.
const NEVER: i64 = i64::MAX;

impl CatalogHandle {
    /// Creates an empty handle. Without contact with the database, shares are frozen after `stale_after`, and nothing is offered after
    /// `close_after`.
    #[must_use]
    pub fn new(stale_after: SignedDuration, close_after: Option<SignedDuration>) -> Self {
        Self {
            catalog: ArcSwapOption::empty(),
            broken: ArcSwap::default(),
            last_contact_at: AtomicI64::new(NEVER),
            stale_after,
            close_after,
            local_stop: ArcSwapOption::empty(),
        }
    }

    /// Returns the current catalog. The returned value does not change.
    #[must_use]
    pub fn get(&self) -> Guard<Option<Arc<Catalog>>> {
        self.catalog.load()
    }

    /// Replaces the catalog.
    pub fn set(&self, catalog: Catalog) {
        self.catalog.store(Some(Arc::new(catalog)));
    }

    /// Returns the streams whose newest revision cannot be read, with that revision.
    #[must_use]
    pub fn broken(&self) -> Arc<BTreeMap<StreamId, Revision>> {
        self.broken.load_full()
    }

    /// Replaces the list of streams whose newest revision cannot be read.
    pub(super) fn set_broken(&self, broken: BTreeMap<StreamId, Revision>) {
        self.broken.store(Arc::new(broken));
    }

    /// Records a contact with the database.
    pub fn record_contact(&self, at: Timestamp) {
        self.last_contact_at.store(at.as_second(), Ordering::Relaxed);
    }

    /// Returns the time of the last contact with the database.
    #[must_use]
    pub fn last_contact_at(&self) -> Option<Timestamp> {
        Some(self.last_contact_at.load(Ordering::Relaxed))
            .filter(|at| *at != NEVER)
            .and_then(|at| Timestamp::from_second(at).ok())
    }

    /// Returns the time from which on all shares are frozen if there is no contact with the database before.
    #[must_use]
    pub fn freezes_at(&self) -> Option<Timestamp> {
        self.last_contact_at()?.checked_add(self.stale_after).ok()
    }

    /// Returns the time for which polls are answered. It is frozen while the catalog is stale: a rollout may have been paused since, so it
    /// must not open further.
    #[must_use]
    pub fn time(&self, now: Timestamp) -> Timestamp {
        self.freezes_at().map_or(now, |freezes_at| now.min(freezes_at))
    }

    /// Returns true if nothing may be offered, whatever the catalog says: there is a local stop, or the last contact with the database is
    /// too long ago to know about emergency stops.
    #[must_use]
    pub fn offers_nothing(&self, now: Timestamp) -> bool {
        self.local_stop.load().is_some() || self.is_closed(now)
    }

    /// Returns true if there was no contact with the database for `catalog.close_after`.
    #[must_use]
    pub fn is_closed(&self, now: Timestamp) -> bool {
        let (Some(close_after), Some(last_contact_at)) = (self.close_after, self.last_contact_at()) else {
            return false;
        };
        last_contact_at.checked_add(close_after).is_ok_and(|closes| closes < now)
    }

    /// Returns the local stop, if one is active.
    #[must_use]
    pub fn local_stop(&self) -> Option<Arc<LocalStop>> {
        self.local_stop.load_full()
    }

    /// Sets or lifts the local stop.
    pub fn set_local_stop(&self, stop: Option<LocalStop>) {
        self.local_stop.store(stop.map(Arc::new));
    }

    /// Returns true if shares are frozen because there was no contact with the database for `catalog.stale_after`.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.time(now) < now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_freezes_without_contact_with_the_database() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let handle = CatalogHandle::new(SignedDuration::from_mins(10), Some(SignedDuration::from_mins(20)));
        assert_eq!((handle.time(at(5_000_000)), handle.is_stale(at(5_000_000))), (at(5_000_000), false));
        handle.record_contact(at(1000));
        for (now, time) in [(900, 900), (1000, 1000), (1600, 1600), (1601, 1600), (9000, 1600)] {
            assert_eq!((handle.time(at(now)), handle.is_stale(at(now))), (at(time), now > time), "{now}");
        }
        for (now, is_closed) in [(1000, false), (2200, false), (2201, true), (99_000, true)] {
            assert_eq!(handle.offers_nothing(at(now)), is_closed, "{now}");
        }
        handle.record_contact(at(9000));
        assert_eq!(handle.time(at(9001)), at(9001));
        assert!(!handle.offers_nothing(at(9001)));
    }
}
