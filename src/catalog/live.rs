//! The catalog that polls read now, and how it follows the store.

use super::{entry::StreamEntry, streams::Catalog};
use crate::{
    domain::stream::StreamId,
    store::{Access, State, StoreError},
    telemetry::Metrics,
};
use arc_swap::ArcSwapOption;
use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

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
}

impl Follower {
    /// Follows the store; besides listening, it asks every `interval` whether it missed something.
    #[must_use]
    pub fn new(access: Arc<Access>, live: Arc<Live>, metrics: Metrics, interval: Duration) -> Self {
        Self { access, live, metrics, interval }
    }

    /// Follows until `stopped` ends. A database that is away is waited for: polls go on with what is there.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        tokio::pin!(stopped);
        let mut away = false;
        loop {
            let followed = tokio::select! {
                () = &mut stopped => return,
                followed = self.follow() => followed,
            };
            if let Err(error) = followed {
                self.metrics.database_failed();
                if !away {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database is away; polls go on with what was loaded"
                    );
                }
                away = true;
            }
            if let Err(error) = self.access.revive().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the private PostgreSQL does not come back");
            }
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(self.interval) => {}
            }
            if away && self.refresh().await.is_ok() {
                tracing::info!("the database is back");
                away = false;
            }
        }
    }

    /// Listens and refreshes until the database fails.
    async fn follow(&self) -> Result<(), StoreError> {
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
    /// The database is away, or a row cannot be.
    pub async fn refresh(&self) -> Result<(), StoreError> {
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
            if shown.is_none_or(|shown| shown.revision() < head.revision) {
                let at_hand = |hash| shown.and_then(|entry| entry.source_by_hash(hash));
                changed.push(transaction.load_state(head, at_hand).await?);
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
}
