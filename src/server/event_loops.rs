//! Checks whether the event loops that answer agents respond.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// The event loops, each of which runs on a thread of its own.
#[derive(Debug, Clone, Default)]
pub struct EventLoopHealth(Arc<Mutex<Vec<Handle>>>);

impl EventLoopHealth {
    /// Adds an event loop.
    pub(super) fn register(&self, event_loop: &Handle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event_loop.clone());
    }

    /// Waits until every event loop has run an empty task. Loops that have ended are skipped.
    pub async fn probe(&self) {
        let handles = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for handle in handles {
            let _ = handle.spawn(async {}).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    #[tokio::test]
    async fn probe_waits_for_a_blocked_loop_but_not_for_an_ended_one() {
        let event_loops = EventLoopHealth::default();
        event_loops.probe().await;
        let (unblock, unblocked) = mpsc::channel::<()>();
        let (block, blocked) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        event_loops.register(runtime.handle());
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                block.send(()).unwrap();
                unblocked.recv().unwrap();
                // Runs the tasks of the probes.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            });
        });
        blocked.recv().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), event_loops.probe()).await.is_err());
        unblock.send(()).unwrap();
        event_loops.probe().await;
        thread.join().unwrap();
        event_loops.probe().await;
    }
}
