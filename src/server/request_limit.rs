//! A limit on the number of requests or connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// A semaphore for requests or connections. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct RequestLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    taken: AtomicUsize,
    freed: Notify,
}

/// A permit, released when dropped.
#[derive(Debug)]
pub(super) struct RequestPermit(Arc<Shared>);

impl RequestLimit {
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Shared { max, taken: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// Takes a permit, if one is left.
    pub(super) fn take(&self) -> Option<RequestPermit> {
        let permit = RequestPermit(self.0.clone());
        (self.0.taken.fetch_add(1, Ordering::AcqRel) < self.0.max).then_some(permit)
    }

    /// Waits until all permits are released.
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

impl Drop for RequestPermit {
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
    async fn there_are_as_many_permits_as_the_limit() {
        let request_limit = RequestLimit::new(2);
        let (first, second) = (request_limit.take(), request_limit.take());
        assert!(first.is_some() && second.is_some() && request_limit.take().is_none());
        drop(first);
        let third = request_limit.take();
        assert!(third.is_some());
        drop((second, third));
        request_limit.all_free().await;
    }
}
