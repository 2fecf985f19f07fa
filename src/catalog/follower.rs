//! How the catalog follows the store: it listens, asks now and then whether it missed something, and keeps a copy on disk.

use super::{copy::DiskCopy, entry::StreamEntry, live::Live, rendered::Render, streams::Catalog};
use crate::{
    clock::SharedClock,
    config::CatalogSettings,
    domain::stream::{Revision, StreamId},
    store::{Access, State, StoreError, Transaction, signal::Changes, streams::Head},
    telemetry::{Carried, Metrics, follow},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{Instrument, Span};

/// What following takes besides the store.
pub struct Following {
    /// What polls read.
    pub live: Arc<Live>,
    /// How answers are written.
    pub render: Arc<dyn Render>,
    /// The time.
    pub clock: SharedClock,
    /// What is counted.
    pub metrics: Metrics,
    /// What the operator chose.
    pub settings: CatalogSettings,
    /// Where the last good state is kept, if anywhere.
    pub copy: Option<Arc<DiskCopy>>,
}

impl Following {
    /// Serves what was kept, until the store is heard of.
    pub fn start_from_copy(&self) {
        let Some(copy) = &self.copy else { return };
        match copy.read() {
            Ok(Some(kept)) => {
                let mut catalog = Catalog::of(kept.installation);
                // A clock that was ahead once must not put off the freeze.
                let heard_at = kept.heard_at.min(self.clock.now());
                for state in kept.states {
                    catalog.insert(state, &*self.render);
                }
                tracing::warn!(%heard_at, "serving the copy on disk until the database is heard of");
                self.live.set(catalog);
                self.live.heard(heard_at);
                self.metrics.serving_copy(true);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the copy on disk is of no use");
            }
        }
    }
}

/// Keeps a [`Live`] catalog equal to the store.
pub struct Follower {
    access: Arc<Access>,
    with: Following,
    keeping: Arc<Keeping>,
}

/// What the store has that is not shown yet.
#[derive(Default)]
struct Loaded {
    changed: Vec<State>,
    /// What cannot be read, and is told of once.
    broken: BTreeMap<StreamId, Revision>,
}

/// How far the copy on disk is behind.
#[derive(Debug)]
struct Keeping {
    /// There is something newer than what was kept.
    owed: AtomicBool,
    /// The last try failed: the next one is not made at once.
    failed: AtomicBool,
    /// It is being written, however long that takes: nobody waits for a disk.
    busy: AtomicBool,
    /// When it was last noted that the store was heard of.
    noted_at: Mutex<Timestamp>,
}

/// How long the store may take to tell what changed.
const MOST_TIME: Duration = Duration::from_secs(30);
/// The longest time between two tries to reach a store that is away.
const MOST_BACKOFF: Duration = Duration::from_secs(15);
/// How far the note on disk may lie back.
const NOTE_EVERY: SignedDuration = SignedDuration::from_secs(15);

impl Follower {
    /// Follows the store.
    #[must_use]
    pub fn new(access: Arc<Access>, with: Following) -> Self {
        let noted_at = Mutex::new(Timestamp::MIN);
        let keeping = Keeping {
            owed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            noted_at,
        };
        Self { access, with, keeping: Arc::new(keeping) }
    }

    /// Follows the store for as long as this is polled. A database that is away is waited for: polls go on with what is there.
    pub async fn follow_for_ever(&self) {
        loop {
            let Err(error) = self.follow().await;
            self.with.metrics.database_failed();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database is away; polls go on with what was loaded"
            );
            let mut backoff = Backoff::from(self.with.settings.interval());
            loop {
                backoff.wait().await;
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
        let mut changes = self.listen().await?;
        let mut trace = Carried::default();
        loop {
            self.refresh().instrument(swap(&trace)).await?;
            trace = tokio::select! {
                heard = next(changes.as_mut()) => heard?,
                () = tokio::time::sleep(self.with.settings.interval()) => Carried::default(),
            }
        }
    }

    /// A server that follows another one does not let us listen, nor does a pooler of transactions: then asking has to do.
    async fn listen(&self) -> Result<Option<Changes>, StoreError> {
        if !self.with.settings.notifications {
            return Ok(None);
        }
        let late = |_| StoreError::Timeout { seconds: MOST_TIME.as_secs() };
        let store = self.access.store();
        match tokio::time::timeout(MOST_TIME, store.listen()).await.map_err(late)? {
            Ok(changes) => Ok(Some(changes)),
            Err(error) if error.is_away() && !store.is_replica().await? => Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::info!(error, "the database does not let us listen to changes; it is asked for them");
                Ok(None)
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
        let started = Instant::now();
        let asked_at = self.with.clock.now();
        let mut transaction = self.access.store().begin_read("refresh_catalog").await?;
        let installation = transaction.installation().await?;
        let present = self.with.live.get().clone().filter(|catalog| catalog.installation() == Some(&installation));
        let mut catalog = present.as_deref().cloned().unwrap_or_else(|| Catalog::of(installation));
        let heads = transaction.heads().await?;
        let Loaded { changed, broken } = self.load_changed(&mut transaction, &catalog, &heads).await?;
        transaction.commit().await?;
        let is_behind = is_behind(&catalog, &heads);
        let gone = gone(&catalog, &heads);
        let is_new = present.is_none() || !gone.is_empty() || !changed.is_empty();
        for id in &gone {
            catalog.remove(id);
        }
        for state in changed {
            let (id, revision) = (state.stream.id.clone(), state.revision);
            let render = self.with.render.clone();
            let rendering = Instant::now();
            let built = tokio::task::spawn_blocking(move || StreamEntry::of(state, &*render)).await;
            // The rules do not panic; if one did, the stream keeps its last state and the next round tries again.
            let Ok(entry) = built else { continue };
            self.with.metrics.catalog_rendered(rendering.elapsed());
            tracing::info!(stream = %id, revision = %revision, releases = entry.releases(), "a stream was loaded");
            catalog.insert_entry(id, entry);
        }
        self.with.live.set_broken(broken);
        if is_new {
            self.with.live.set(catalog);
            self.with.metrics.catalog_rebuilt(started.elapsed());
        }
        self.with.metrics.database_answered();
        self.with.metrics.serving_copy(false);
        // A replica that lags behind what is shown does not tell what was paused since.
        if !is_behind {
            self.with.live.heard(asked_at);
            self.keep(is_new, asked_at);
        }
        Ok(())
    }

    async fn load_changed(
        &self,
        transaction: &mut Transaction,
        catalog: &Catalog,
        heads: &[Head],
    ) -> Result<Loaded, StoreError> {
        let known = self.with.live.broken();
        let mut loaded = Loaded::default();
        for head in heads {
            let shown = catalog.stream(head.id.product.as_str(), head.id.stream.as_str());
            // A lower number made later is another history: a backup that was restored.
            let is_newer =
                |shown: &Arc<StreamEntry>| shown.revision() < head.revision || shown.changed_at() < head.changed_at;
            if shown.is_none_or(is_newer) {
                let at_hand = |hash| shown.and_then(|entry| entry.source_by_hash(hash));
                match transaction.load_state(head, at_hand).await {
                    Ok(state) => loaded.changed.push(state),
                    // The other streams go on; this one stays as it is until somebody mends it.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        if known.get(&head.id) != Some(&head.revision) {
                            let error = &error as &dyn std::error::Error;
                            tracing::error!(error, stream = %head.id, revision = %head.revision, "a stream cannot be read and stays as it was");
                        }
                        loaded.broken.insert(head.id.clone(), head.revision);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(loaded)
    }

    /// Keeps what is new on disk; otherwise, now and then, that the store was heard of.
    fn keep(&self, is_new: bool, heard_at: Timestamp) {
        let Some(copy) = self.with.copy.clone().filter(|copy| copy.is_ours()) else { return };
        let keeping = self.keeping.clone();
        // What another process kept until now may be older.
        keeping.owed.fetch_or(is_new || copy.was_taken_over(), Ordering::Relaxed);
        if !keeping.is_due(heard_at) || keeping.busy.swap(true, Ordering::Acquire) {
            return;
        }
        // In this order: whatever is owed from here on is newer than what is kept now.
        let is_new = keeping.owed.swap(false, Ordering::Relaxed);
        let Some(catalog) = self.with.live.get().clone() else { return };
        tokio::task::spawn_blocking(move || {
            let written = match (is_new, catalog.installation()) {
                (true, _) => copy.keep(&catalog, heard_at),
                (false, Some(installation)) => copy.note(installation, heard_at),
                (false, None) => Ok(()),
            };
            *keeping.noted_at.lock().unwrap_or_else(PoisonError::into_inner) = heard_at;
            keeping.failed.store(written.is_err(), Ordering::Relaxed);
            if let Err(error) = written {
                keeping.owed.fetch_or(is_new, Ordering::Relaxed);
                tracing::error!(error = &error as &dyn std::error::Error, "the copy on disk was not renewed");
            }
            keeping.busy.store(false, Ordering::Release);
        });
    }
}

impl Keeping {
    fn is_due(&self, now: Timestamp) -> bool {
        let noted_at = *self.noted_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = self.owed.load(Ordering::Relaxed) && !self.failed.load(Ordering::Relaxed);
        is_new || noted_at.checked_add(NOTE_EVERY).is_ok_and(|due| due <= now)
    }
}

/// The last part of the trace of a change, wherever that began. What is asked for by the clock is part of none.
fn swap(trace: &Carried) -> Span {
    if trace.is_none() {
        return Span::none();
    }
    let span = tracing::error_span!("swap the catalog", otel.kind = "consumer");
    follow(&span, trace);
    span
}

async fn next(changes: Option<&mut Changes>) -> Result<Carried, StoreError> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Does the store know less of some stream than is shown?
fn is_behind(catalog: &Catalog, heads: &[Head]) -> bool {
    is_older(catalog, heads)
        || heads.iter().any(|head| {
            let shown = catalog.stream(head.id.product.as_str(), head.id.stream.as_str());
            shown.is_some_and(|shown| head.revision < shown.revision() && head.changed_at <= shown.changed_at())
        })
}

/// Is all that the store knows older than the newest that is shown?
fn is_older(catalog: &Catalog, heads: &[Head]) -> bool {
    let shown = catalog.streams().map(|(_, entry)| entry.changed_at()).max();
    heads.iter().map(|head| head.changed_at).max() < shown
}

/// The streams that are no more. A store that lags behind what is shown cannot tell.
fn gone(catalog: &Catalog, heads: &[Head]) -> Vec<StreamId> {
    if is_older(catalog, heads) {
        return Vec::new();
    }
    let there: BTreeSet<&StreamId> = heads.iter().map(|head| &head.id).collect();
    catalog.streams().map(|(id, _)| id).filter(|id| !there.contains(id)).collect()
}

/// Waits longer and longer, and never as long as the others do.
pub struct Backoff(Duration);

impl Backoff {
    /// Waits about this long at first.
    #[must_use]
    pub fn from(first: Duration) -> Self {
        Self(first.min(MOST_BACKOFF))
    }

    /// Waits.
    pub async fn wait(&mut self) {
        let share = 0.5 + fastrand::f64() / 2.0;
        tokio::time::sleep(self.0.mul_f64(share)).await;
        self.0 = (self.0 * 2).min(MOST_BACKOFF);
    }
}
