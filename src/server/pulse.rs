//! Whether the loops that answer agents still turn.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// All loops that were begun, each on a thread of its own.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Vec<Handle>>>);

impl Pulse {
    pub(super) fn of(&self, of: &Handle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(of.clone());
    }

    /// Waits until each of them has done something that is asked of it now. One that has ended is waited for no longer.
    pub async fn beat(&self) {
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
    async fn a_loop_that_hangs_does_not_beat_and_one_that_ended_is_not_waited_for() {
        let pulse = Pulse::default();
        pulse.beat().await;
        let (go_on, gone_on) = mpsc::channel::<()>();
        let (hangs, is_hanging) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        pulse.of(runtime.handle());
        let hanging = std::thread::spawn(move || {
            runtime.block_on(async {
                hangs.send(()).unwrap();
                gone_on.recv().unwrap();
                // Until it is asked for its pulse.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            });
        });
        is_hanging.recv().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), pulse.beat()).await.is_err());
        go_on.send(()).unwrap();
        pulse.beat().await;
        hanging.join().unwrap();
        pulse.beat().await;
    }
}
