//! Reads new events once for all readers of this process.

use crate::{domain::event::Event, manage::records::StoreError, store::Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Events with their ids, oldest first.
pub(super) type Numbered = Arc<[(i64, Event)]>;

/// The number of reads that a slow reader may be behind before it reads the table itself.
const BUFFERED_READS: usize = 64;
/// The largest number of events that are read at a time.
pub(super) const PAGE: i64 = 500;

/// Distributes new events to the readers of this process.
#[derive(Debug)]
pub(in crate::manage) struct EventFeed {
    sender: broadcast::Sender<Numbered>,
    /// The newest event that was read; `None` without readers.
    read_to: Mutex<Option<i64>>,
    /// Wakes the feed for a reader that has joined.
    joined: watch::Sender<()>,
}

impl Default for EventFeed {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BUFFERED_READS),
            read_to: Mutex::default(),
            joined: watch::Sender::default(),
        }
    }
}

impl EventFeed {
    /// Begins to receive. What was written before must be read from the table, after this.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Numbered> {
        self.sender.subscribe()
    }

    /// Distributes all events after `position` to a reader that subscribed before.
    pub(super) fn join(&self, position: i64) {
        let mut read_to = self.read_to();
        *read_to = Some(read_to.map_or(position, |read_to| read_to.min(position)));
        drop(read_to);
        self.joined.send_replace(());
    }

    /// Reads and distributes events whenever it is woken. Never returns.
    pub(in crate::manage) async fn run(&self, store: &Store, mut wake: watch::Receiver<()>) {
        let mut joined = self.joined.subscribe();
        loop {
            tokio::select! {
                woken = wake.changed() => {
                    if woken.is_err() {
                        return std::future::pending().await;
                    }
                }
                // The sender is this feed's own.
                _ = joined.changed() => {}
            }
            if let Err(error) = self.read(store).await {
                // They are read at the next wake.
                tracing::debug!(error = &error as &dyn std::error::Error, "events cannot be read now");
            }
        }
    }

    async fn read(&self, store: &Store) -> Result<(), StoreError> {
        loop {
            let Some(after) = self.position() else { return Ok(()) };
            let events = store.begin_read("follow_events").await?.events_after(after, PAGE).await?;
            let Some((newest, _)) = events.last() else { return Ok(()) };
            let mut read_to = self.read_to();
            // A reader that joined in the meantime may have to get earlier ones.
            *read_to = read_to.map(|present| if present < after { present } else { *newest });
            drop(read_to);
            let is_last = events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            // Fails without readers, who then join again.
            let _ = self.sender.send(events.into());
            if is_last {
                return Ok(());
            }
        }
    }

    /// Returns the newest event that was read. Forgets it if there are no readers.
    fn position(&self) -> Option<i64> {
        let mut read_to = self.read_to();
        if self.sender.receiver_count() == 0 {
            *read_to = None;
        }
        *read_to
    }

    fn read_to(&self) -> MutexGuard<'_, Option<i64>> {
        self.read_to.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
