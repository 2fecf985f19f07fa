//! How many connections there are, and may be.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Room for so many connections.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    taken: AtomicUsize,
    freed: Notify,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Shared>);

impl Places {
    pub(super) fn of(most: usize) -> Self {
        Self(Arc::new(Shared { most, taken: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// Takes one, if there is any left.
    pub(super) fn take(&self) -> Option<Place> {
        let place = Place(self.0.clone());
        (self.0.taken.fetch_add(1, Ordering::AcqRel) < self.0.most).then_some(place)
    }

    /// Waits until all are free.
    pub(super) async fn all_free(&self) {
        loop {
            let freed = self.0.freed.notified();
            if self.0.taken.load(Ordering::Acquire) == 0 {
                return;
            }
            freed.await;
        }
    }
}

impl Place {
    /// Are more than half of them taken?
    pub(super) fn is_crowded(&self) -> bool {
        self.0.taken.load(Ordering::Relaxed) > self.0.most / 2
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_as_many_as_are_said() {
        let places = Places::of(2);
        let (first, second) = (places.take(), places.take());
        assert!(first.is_some() && second.is_some() && places.take().is_none());
        drop(first);
        let third = places.take();
        assert!(third.is_some());
        assert!(third.as_ref().is_some_and(Place::is_crowded));
        drop(third);
        assert!(!second.as_ref().is_some_and(Place::is_crowded));
        drop(second);
        places.all_free().await;
    }
}
