//! The catalog that polls read now, and the time for which they read it.

use super::streams::Catalog;
use crate::domain::stream::{Revision, StreamId};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// The newest catalog; none until the store, or a copy of it, has been read once.
#[derive(Debug)]
pub struct Live {
    catalog: ArcSwapOption<Catalog>,
    /// Streams that stay as they were, since this revision of theirs cannot be read.
    broken: ArcSwap<BTreeMap<StreamId, Revision>>,
    /// When the store was last heard of, in seconds since 1970.
    heard_at: AtomicI64,
    freeze_after: SignedDuration,
}

/// Not heard of yet: nothing to be frozen.
const NEVER: i64 = i64::MAX;

impl Live {
    /// Shares stand still once the store was not heard of for this long.
    #[must_use]
    pub fn new(freeze_after: SignedDuration) -> Self {
        Self {
            catalog: ArcSwapOption::empty(),
            broken: ArcSwap::default(),
            heard_at: AtomicI64::new(NEVER),
            freeze_after,
        }
    }

    /// The newest catalog. It stays as it is while somebody holds it.
    #[must_use]
    pub fn get(&self) -> Guard<Option<Arc<Catalog>>> {
        self.catalog.load()
    }

    /// Puts another in its place.
    pub fn set(&self, catalog: Catalog) {
        self.catalog.store(Some(Arc::new(catalog)));
    }

    /// The streams that stay as they were, and the revision of each that cannot be read.
    #[must_use]
    pub fn broken(&self) -> Arc<BTreeMap<StreamId, Revision>> {
        self.broken.load_full()
    }

    /// These are broken now, and no others.
    pub(super) fn set_broken(&self, broken: BTreeMap<StreamId, Revision>) {
        self.broken.store(Arc::new(broken));
    }

    /// The store was heard of then.
    pub fn heard(&self, at: Timestamp) {
        self.heard_at.store(at.as_second(), Ordering::Relaxed);
    }

    /// When the store was last heard of.
    #[must_use]
    pub fn heard_at(&self) -> Option<Timestamp> {
        Some(self.heard_at.load(Ordering::Relaxed))
            .filter(|at| *at != NEVER)
            .and_then(|at| Timestamp::from_second(at).ok())
    }

    /// From when on every share stands still, unless the store is heard of before.
    #[must_use]
    pub fn freezes_at(&self) -> Option<Timestamp> {
        self.heard_at()?.checked_add(self.freeze_after).ok()
    }

    /// The time for which polls are answered: who cannot know what was paused since opens nothing further.
    #[must_use]
    pub fn time(&self, now: Timestamp) -> Timestamp {
        self.freezes_at().map_or(now, |frozen| now.min(frozen))
    }

    /// Do shares stand still?
    #[must_use]
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.time(now) < now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_when_the_store_is_silent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let live = Live::new(SignedDuration::from_mins(10));
        assert_eq!((live.time(at(5_000_000)), live.is_frozen(at(5_000_000))), (at(5_000_000), false));
        live.heard(at(1000));
        for (now, time) in [(900, 900), (1000, 1000), (1600, 1600), (1601, 1600), (9000, 1600)] {
            assert_eq!((live.time(at(now)), live.is_frozen(at(now))), (at(time), now > time), "{now}");
        }
        live.heard(at(9000));
        assert_eq!(live.time(at(9001)), at(9001));
    }
}
