//! Something that each thread has for itself, and that can be looked at as a whole.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// More threads than this share.
const MOST: usize = 16;

/// Apart from its neighbours, so that cores do not take lines of memory from each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(Mutex<T>);

/// One for each thread; many threads share some.
#[derive(Debug, Default)]
pub(super) struct Shards<T>([Shard<T>; MOST]);

impl<T> Shards<T> {
    /// This thread's own. Nobody waits here, but for a moment while somebody looks at all of them.
    pub(super) fn own(&self) -> MutexGuard<'_, T> {
        let [first, ..] = &self.0;
        self.0.get(number() % MOST).unwrap_or(first).0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all of them, one after the other.
    pub(super) fn each(&self, mut look: impl FnMut(&mut T)) {
        for shard in &self.0 {
            look(&mut shard.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Which thread this is.
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
    fn whatever_threads_do_is_seen_by_who_looks_at_all() {
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
