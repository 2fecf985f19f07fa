//! Queues for reads and writes of managers. They keep connections, stream locks and a core free for restrictive actions (stops,
//! pauses, aborts, withdrawals), for token checks and for the catalog.

use crate::{
    domain::ids::StreamId,
    store::{Store, StoreError, Transaction},
};
use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
};

/// The queues of one process.
#[derive(Debug)]
pub(super) struct WriteQueues {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    /// Long computations run one at a time: in parallel they would take the cores from everything else.
    computing: Semaphore,
    /// Writes to one stream wait here, where they hold no connection.
    streams: Mutex<HashMap<StreamId, Arc<Turn<()>>>>,
}

/// A turn to write, passed on when it is dropped.
pub(super) struct WriteTurn {
    _streams: Vec<OwnedMutexGuard<()>>,
    _lane: Option<OwnedSemaphorePermit>,
}

impl WriteQueues {
    /// Divides the connections of a store: 40 % for reads, 30 % for writes, the rest free.
    pub(super) fn new(store: &Store) -> Self {
        let connections = store.max_connections();
        let part = |tenths: usize| Arc::new(Semaphore::new((connections * tenths / 10).max(1)));
        Self { reads: part(4), writes: part(3), computing: Semaphore::new(1), streams: Mutex::default() }
    }

    /// Waits for a turn to write to these streams. They must be in the order of their names: two writers in different orders
    /// would deadlock.
    pub(super) async fn write(&self, ids: &[StreamId]) -> WriteTurn {
        let mut streams = Vec::with_capacity(ids.len());
        for id in ids {
            streams.push(self.turn_of(id).lock_owned().await);
        }
        WriteTurn { _streams: streams, _lane: self.writes.clone().acquire_owned().await.ok() }
    }

    fn turn_of(&self, id: &StreamId) -> Arc<Turn<()>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        // No write waits for these.
        streams.retain(|_, turn| Arc::strong_count(turn) > 1);
        streams.entry(id.clone()).or_default().clone()
    }

    /// Runs a long computation off the runtime, in its turn.
    pub(super) async fn compute<T>(&self, work: impl FnOnce() -> T) -> T {
        let _turn = self.computing.acquire().await;
        off_the_runtime(work)
    }

    /// Begins a read transaction, in its turn.
    pub(super) async fn read(&self, store: &Store, name: &'static str) -> Result<ReadTransaction, StoreError> {
        let lane = self.reads.clone().acquire_owned().await.ok();
        Ok(ReadTransaction { transaction: store.begin_read(name).await?, _lane: lane })
    }
}

/// Runs blocking work while the tasks of this thread move to other threads.
pub(super) fn off_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // On a single-threaded runtime, tasks cannot move.
        _ => work(),
    }
}

/// A read transaction, and its turn.
pub(super) struct ReadTransaction {
    transaction: Transaction,
    _lane: Option<OwnedSemaphorePermit>,
}

impl Deref for ReadTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl DerefMut for ReadTransaction {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.transaction
    }
}
