//! The follower of a process. Every process that may write runs this, and the one that holds the lock looks at repositories.

use super::looker::Looker;
use crate::{
    config::RegistrySettings,
    manage::Manage,
    registry::Registries,
    store::{
        Store, StoreError,
        follows::{DueFollow, FollowTimes},
        task_lock::{Task, TaskLock},
    },
};
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;
use std::time::Duration;

/// Looks at the repositories that streams follow, while it holds the lock.
pub struct Follower {
    store: Store,
    looker: Looker,
    lock: Option<TaskLock>,
}

/// How often the database is asked which looks are due.
const TICK: Duration = Duration::from_secs(1);
/// The time after a look in which a stream is not looked at again, whatever registries report.
const REST: SignedDuration = SignedDuration::from_secs(5);
/// The number of repositories that are looked at together.
const MAX_LOOKS: usize = 4;
/// The number of streams whose looks are begun before the database is asked again.
const BATCH: u32 = 16;

impl Follower {
    /// Creates a follower.
    #[must_use]
    pub fn new(store: Store, manage: Manage, settings: &RegistrySettings) -> Self {
        let looker = Looker {
            store: store.clone(),
            manage,
            registries: Registries::followed(settings),
            interval: settings.follow_interval,
        };
        Self { store, looker, lock: None }
    }

    /// Looks at repositories whenever looks are due. Never returns.
    pub async fn run(mut self) {
        let mut is_failing = false;
        loop {
            match self.look().await {
                Ok(_) => is_failing = false,
                Err(error) => {
                    // The lock is lost with its connection, and another process may have got it.
                    self.lock = None;
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "registries cannot be followed now");
                    }
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Looks at the repositories whose looks are due, if this process holds the lock. Returns their number.
    ///
    /// # Errors
    /// The database is unavailable. Errors of registries are saved for each stream.
    pub async fn look(&mut self) -> Result<usize, StoreError> {
        // Without anything to do, no connection is kept for the lock.
        if self.due().await?.is_empty() || !self.holds_lock().await? {
            return Ok(0);
        }
        // The process that held the lock before may have looked meanwhile.
        let due = self.due().await?;
        let looks = due.len();
        let looker = &self.looker;
        let results: Vec<Result<(), StoreError>> = stream::iter(due)
            .map(|due| async move { looker.look(&due).await })
            .buffer_unordered(MAX_LOOKS)
            .collect()
            .await;
        results.into_iter().collect::<Result<(), StoreError>>()?;
        Ok(looks)
    }

    async fn due(&self) -> Result<Vec<DueFollow>, StoreError> {
        let now = self.looker.manage.timestamp();
        let rested_since = now.saturating_sub(REST).unwrap_or(now);
        let mut transaction = self.store.begin_read("due_follows").await?;
        transaction.due_follows(FollowTimes { now, rested_since }, BATCH).await
    }

    async fn holds_lock(&mut self) -> Result<bool, StoreError> {
        let mut lock = match self.lock.take() {
            Some(lock) => lock,
            None => self.store.task_lock(Task::Follow).await?,
        };
        let is_held = lock.try_hold().await?;
        self.lock = Some(lock);
        Ok(is_held)
    }
}
