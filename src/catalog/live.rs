//! The catalog that polls read now, and how it follows the store.

use super::{entry::StreamEntry, streams::Catalog};
use crate::{
    domain::stream::{Revision, StreamId},
    store::{Access, State, StoreError, streams::Head},
    telemetry::Metrics,
};
use arc_swap::ArcSwapOption;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The newest catalog; none until the store has been read once.
#[derive(Debug, Default)]
pub struct Live(ArcSwapOption<Catalog>);

impl Live {
    /// The newest catalog. It stays as it is while somebody holds it.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Catalog>> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub fn set(&self, catalog: Catalog) {
        self.0.store(Some(Arc::new(catalog)));
    }
}

/// Keeps a [`Live`] catalog equal to the store.
#[derive(Debug)]
pub struct Follower {
    access: Arc<Access>,
    live: Arc<Live>,
    metrics: Metrics,
    interval: Duration,
    /// Streams that could not be read, at the revision that was told of.
    broken: Mutex<BTreeMap<StreamId, Revision>>,
}

/// How long the store may take to tell what changed.
const MOST_TIME: Duration = Duration::from_secs(30);

impl Follower {
    /// Follows the store; besides listening, it asks every `interval` whether it missed something.
    #[must_use]
    pub fn new(access: Arc<Access>, live: Arc<Live>, metrics: Metrics, interval: Duration) -> Self {
        Self { access, live, metrics, interval, broken: Mutex::default() }
    }

    /// Follows the store for as long as this is polled. A database that is away is waited for: polls go on with what is there.
    pub async fn follow_for_ever(&self) {
        loop {
            let Err(error) = self.follow().await;
            self.metrics.database_failed();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database is away; polls go on with what was loaded"
            );
            loop {
                tokio::time::sleep(self.interval).await;
                if let Err(error) = self.access.revive().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the private PostgreSQL does not come back"
                    );
                } else if self.refresh().await.is_ok() {
                    break;
                }
            }
            tracing::info!("the database is back");
        }
    }

    /// Listens and refreshes until the database fails.
    async fn follow(&self) -> Result<Infallible, StoreError> {
        // Listen first: a change between reading and listening would be missed.
        let mut changes = self.access.store().listen().await?;
        loop {
            self.refresh().await?;
            tokio::select! {
                heard = changes.next() => heard?,
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    /// Reads what changed, all of it in one state of the store, and swaps it in.
    ///
    /// # Errors
    /// The database is away or does not answer in time.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let late = |_| StoreError::Timeout { seconds: MOST_TIME.as_secs() };
        tokio::time::timeout(MOST_TIME, self.try_refresh()).await.map_err(late)?
    }

    async fn try_refresh(&self) -> Result<(), StoreError> {
        let present = self.live.get();
        let mut catalog = present.as_deref().cloned().unwrap_or_default();
        let mut transaction = self.access.store().begin_read("refresh_catalog").await?;
        let heads = transaction.heads().await?;
        let gone: Vec<StreamId> = {
            let there: BTreeSet<&StreamId> = heads.iter().map(|head| &head.id).collect();
            catalog.streams().map(|(id, _)| id).filter(|id| !there.contains(id)).collect()
        };
        let mut changed: Vec<State> = Vec::new();
        for head in &heads {
            let shown = catalog.stream(head.id.product.as_str(), head.id.stream.as_str());
            // A lower number made later is another history: a backup that was restored.
            let is_newer =
                |shown: &Arc<StreamEntry>| shown.revision() < head.revision || shown.changed_at() < head.changed_at;
            if shown.is_none_or(is_newer) {
                let at_hand = |hash| shown.and_then(|entry| entry.source_by_hash(hash));
                match transaction.load_state(head, at_hand).await {
                    Ok(state) => changed.push(state),
                    // The other streams go on; this one stays as it is until somebody mends it.
                    Err(error @ StoreError::Corrupt { .. }) => self.tell_broken(head, &error),
                    Err(error) => return Err(error),
                }
            }
        }
        transaction.commit().await?;
        self.metrics.database_answered();
        if present.is_some() && gone.is_empty() && changed.is_empty() {
            return Ok(());
        }
        for id in &gone {
            catalog.remove(id);
        }
        for state in changed {
            let (id, revision) = (state.stream.id.clone(), state.revision);
            let built = tokio::task::spawn_blocking(move || StreamEntry::of(state)).await;
            // The rules do not panic; if one did, the stream keeps its last state and the next round tries again.
            let Ok(entry) = built else { continue };
            tracing::info!(stream = %id, revision = %revision, releases = entry.releases(), "a stream was loaded");
            self.metrics.stream_loaded(&id, revision.0);
            catalog.insert_entry(id, entry);
        }
        self.live.set(catalog);
        Ok(())
    }

    fn tell_broken(&self, head: &Head, error: &StoreError) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.insert(head.id.clone(), head.revision) != Some(head.revision) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, stream = %head.id, revision = %head.revision, "a stream cannot be read and stays as it was");
            self.metrics.stream_broken(&head.id);
        }
    }
}
