//! Values with one shard per thread, which can be visited together.

use crossbeam_utils::CachePadded;
use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of shards. With more threads, some threads share a shard.
const MAX: usize = 16;

/// A value per thread, each on its own cache lines, which prevents false sharing between cores. A value is created when its first thread uses it.
#[derive(Debug, Default)]
pub(super) struct Shards<T>([OnceLock<Box<CachePadded<Mutex<T>>>>; MAX]);

impl<T: Default> Shards<T> {
    /// Locks the shard of the current thread. There is no contention, except while all shards are visited.
    pub(super) fn own(&self) -> MutexGuard<'_, T> {
        let [first, ..] = &self.0;
        let shard = self.0.get(number() % MAX).unwrap_or(first).get_or_init(Box::default);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Visits all shards in turn.
    pub(super) fn each(&self, mut visit: impl FnMut(&mut T)) {
        for shard in self.0.iter().filter_map(OnceLock::get) {
            visit(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Returns the number of the current thread.
fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visiting_all_shards_sees_the_updates_of_all_threads() {
        let shards = Shards::<u32>::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..100).for_each(|_| *shards.own() += 1));
            }
        });
        let mut sum = 0;
        shards.each(|count| sum += *count);
        assert_eq!(sum, 4000);
    }
}
