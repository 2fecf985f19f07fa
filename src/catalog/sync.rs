//! Keeps the catalog in sync with the database: listens for changes, polls for missed ones, and saves snapshots on disk.

use super::{
    entry::StreamEntry, handle::CatalogHandle, prepared::Preparers, preparer::Preparer, retry_delay::RetryDelay,
    saver::SnapshotSaver, snapshot::SnapshotStore, streams::Catalog,
};
use crate::{
    clock::SharedClock,
    config::CatalogSettings,
    domain::{
        ids::{ProductName, StreamId},
        stream::Revision,
    },
    store::{
        Access, ProductStops, PublishedProduct, State, StoreError, Transaction,
        signal::{Changes, Signal},
        streams::Head,
    },
    telemetry::{Metrics, TraceContext, set_parent},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::{Instrument, Span};

/// What the sync needs in addition to the database.
pub struct SyncDeps {
    /// The catalog that polls read.
    pub catalog: Arc<CatalogHandle>,
    /// What the protocols prepare.
    pub preparers: Preparers,
    /// Renders and encodes answers in the background.
    pub preparer: Preparer,
    /// The clock.
    pub clock: SharedClock,
    /// The metrics.
    pub metrics: Metrics,
    /// The settings.
    pub settings: CatalogSettings,
    /// The snapshot on disk, if one is kept.
    pub snapshots: Option<Arc<SnapshotStore>>,
    /// Wakes the writer of events, after every refresh.
    pub refreshed: watch::Sender<()>,
    /// Wakes the readers of events: when some were written, and at every interval.
    pub events_written: watch::Sender<()>,
}

impl SyncDeps {
    /// Serves the snapshot until there is contact with the database.
    pub fn start_from_snapshot(&self) {
        let Some(snapshots) = &self.snapshots else { return };
        match snapshots.read() {
            Ok(Some(snapshot)) => {
                let mut catalog = Catalog::new(snapshot.installation);
                // A clock that was ahead at the time must not delay the freeze.
                let last_contact_at = snapshot.last_contact_at.min(self.clock.now());
                catalog.set_stops(snapshot.stops);
                for (name, product) in snapshot.products {
                    catalog.set_record(&name, product.record, product.files);
                }
                for state in snapshot.states {
                    catalog.insert(state);
                }
                catalog.prepare(&self.preparers);
                tracing::warn!(%last_contact_at, "serving the snapshot until the database is available");
                self.catalog.set(catalog);
                self.catalog.record_contact(last_contact_at);
                self.metrics.set_serving_snapshot(true);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "snapshot cannot be used");
            }
        }
    }
}

/// Keeps the catalog of a [`CatalogHandle`] equal to the database.
pub struct CatalogSync {
    access: Arc<Access>,
    deps: SyncDeps,
    saver: Option<SnapshotSaver>,
}

/// What was read from the database and is not in the catalog yet.
#[derive(Default)]
struct Loaded {
    changed: Vec<State>,
    products: Vec<(ProductName, PublishedProduct)>,
    /// The products that were deleted.
    deleted: Vec<ProductName>,
    /// Revisions that cannot be read. Each is logged once.
    broken: BTreeMap<StreamId, Revision>,
}

/// The longest time in which the database must answer.
const MAX_TIME: Duration = Duration::from_secs(30);

impl CatalogSync {
    /// Prepares the sync.
    #[must_use]
    pub fn new(access: Arc<Access>, deps: SyncDeps) -> Self {
        let saver = deps.snapshots.clone().map(|snapshots| SnapshotSaver::new(snapshots, deps.catalog.clone()));
        Self { access, deps, saver }
    }

    /// Saves what is not saved yet, before the process ends.
    pub async fn save_pending(&self) {
        if let Some(saver) = &self.saver {
            saver.save_pending().await;
        }
    }

    /// Keeps the catalog in sync for as long as this future is polled. While the database is unavailable, polls are answered from the
    /// last catalog.
    pub async fn run(&self) {
        loop {
            let Err(error) = self.sync().await;
            self.deps.metrics.database_failed();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "database unavailable, polls are answered from the last catalog"
            );
            let mut backoff = RetryDelay::from(self.deps.settings.interval());
            loop {
                backoff.wait().await;
                if let Err(error) = self.access.ensure_running().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "private PostgreSQL cannot be restarted");
                } else if self.refresh().await.is_ok() {
                    break;
                }
            }
            tracing::info!("database available again");
        }
    }

    /// Listens and refreshes until the database fails.
    async fn sync(&self) -> Result<Infallible, StoreError> {
        // Listen first: a change between reading and listening would be missed.
        let mut changes = self.listen().await?;
        let mut trace = TraceContext::default();
        loop {
            self.refresh().instrument(swap_span(&trace)).await?;
            self.deps.refreshed.send_replace(());
            trace = tokio::select! {
                change = self.next_change(changes.as_mut()) => change?,
                () = tokio::time::sleep(self.deps.settings.interval()) => {
                    self.deps.events_written.send_replace(());
                    TraceContext::default()
                }
            }
        }
    }

    /// Waits for the next change and returns its trace context, which may be empty. Written events do not concern the catalog.
    async fn next_change(&self, changes: Option<&mut Changes>) -> Result<TraceContext, StoreError> {
        let Some(changes) = changes else { return std::future::pending().await };
        loop {
            match changes.next().await? {
                Signal::Change(trace) => return Ok(trace),
                Signal::Events => self.deps.events_written.send_replace(()),
            }
        }
    }

    /// Listens for changes. Returns `None` if the server does not allow that, such as a standby or a transaction pooler: then the database
    /// is polled only.
    async fn listen(&self) -> Result<Option<Changes>, StoreError> {
        if !self.deps.settings.notifications {
            return Ok(None);
        }
        let timeout = |_| StoreError::Timeout { seconds: MAX_TIME.as_secs() };
        let store = self.access.store();
        match tokio::time::timeout(MAX_TIME, store.listen()).await.map_err(timeout)? {
            Ok(changes) => Ok(Some(changes)),
            Err(error) if error.is_unavailable() && !store.is_replica().await? => Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::info!(error, "database does not support LISTEN, polling for changes only");
                Ok(None)
            }
        }
    }

    /// Reads all changes in one database snapshot and swaps them in.
    ///
    /// # Errors
    /// The database is unavailable or does not answer in time.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let timeout = |_| StoreError::Timeout { seconds: MAX_TIME.as_secs() };
        tokio::time::timeout(MAX_TIME, self.try_refresh()).await.map_err(timeout)?
    }

    async fn try_refresh(&self) -> Result<(), StoreError> {
        let started = Instant::now();
        let queried_at = self.deps.clock.now();
        let mut transaction = self.access.store().begin_read("refresh_catalog").await?;
        let installation = transaction.installation().await?;
        let present = self.deps.catalog.get().clone().filter(|catalog| catalog.installation() == Some(&installation));
        let mut catalog = present.as_deref().cloned().unwrap_or_else(|| Catalog::new(installation));
        let heads = transaction.heads_with_deleted().await?;
        let stops = transaction.product_stops().await?;
        let Loaded { changed, broken, products, deleted } =
            self.load_changed(&mut transaction, &catalog, &heads).await?;
        transaction.commit().await?;
        let is_behind = is_behind(&catalog, &heads) || stops.changed_at < catalog.stops().changed_at;
        let removed = removed_streams(&catalog, &heads);
        let has_other_stops = stops != *catalog.stops() && !lags_behind(&catalog, &heads, &stops);
        let has_fewer = !removed.is_empty() || !deleted.is_empty();
        let has_changed = has_fewer || !changed.is_empty() || !products.is_empty() || has_other_stops;
        let is_new = present.is_none() || has_changed;
        if has_other_stops {
            tracing::warn!(products = ?stops.active.keys().collect::<Vec<_>>(), "product stops changed");
            catalog.set_stops(stops);
        }
        for id in &removed {
            tracing::info!(stream = %id, "stream removed");
            catalog.remove(id);
        }
        for name in &deleted {
            tracing::info!(product = %name, "product removed");
            catalog.remove_record(name);
        }
        for (name, product) in products {
            tracing::info!(product = %name, protocol = %product.record.protocol, files = product.files.len(), "product loaded");
            catalog.set_record(&name, product.record, product.files);
        }
        for state in changed {
            let (id, revision) = (state.stream.id.clone(), state.revision);
            let before = catalog.stream(id.product.as_str(), id.stream.as_str()).cloned();
            let new_entry = move || StreamEntry::new_after(state, before.as_deref());
            let built = tokio::task::spawn_blocking(new_entry).await;
            // Rules do not panic. If one did, the stream would keep its last state and the next refresh would try again.
            let Ok(entry) = built else { continue };
            tracing::info!(stream = %id, revision = %revision, releases = entry.releases(), "stream loaded");
            catalog.insert_entry(id, entry);
        }
        self.deps.catalog.set_broken(broken);
        if is_new || catalog.has_unprepared() {
            self.swap(catalog, started).await;
        }
        self.deps.metrics.database_answered();
        self.deps.metrics.set_serving_snapshot(false);
        // A standby that is behind the catalog does not know what was paused since.
        if !is_behind {
            self.deps.catalog.record_contact(queried_at);
            if let Some(saver) = &self.saver {
                saver.save(is_new, queried_at);
            }
        }
        Ok(())
    }

    /// Prepares the answers of what changed, and replaces the catalog.
    async fn swap(&self, mut catalog: Catalog, started: Instant) {
        let (preparers, preparing) = (self.deps.preparers.clone(), Instant::now());
        let prepared = tokio::task::spawn_blocking(move || {
            catalog.prepare(&preparers);
            catalog
        });
        // Panics of protocols are handled there.
        let Ok(catalog) = prepared.await else { return };
        self.deps.metrics.catalog_rendered(preparing.elapsed());
        self.deps.catalog.set(catalog);
        self.deps.metrics.catalog_rebuilt(started.elapsed());
        let now = self.deps.clock.now();
        if let Some(catalog) = &*self.deps.catalog.get() {
            let offers_nothing = self.deps.catalog.offers_nothing(now);
            self.deps.preparer.prepare_inherited(catalog, self.deps.catalog.time(now).into(), offers_nothing);
        }
    }

    async fn load_changed(
        &self,
        transaction: &mut Transaction,
        catalog: &Catalog,
        heads: &[Head],
    ) -> Result<Loaded, StoreError> {
        let known = self.deps.catalog.broken();
        let mut loaded = Loaded::default();
        for (name, record) in transaction.product_records_with_deleted().await? {
            let shown = catalog.record(&name);
            if record.is_deleted {
                loaded.deleted.extend(shown.filter(|shown| record.is_newer_than(shown)).map(|_| name));
            } else if shown.is_none_or(|shown| record.is_newer_than(shown)) {
                let files = transaction.published_files(&name).await?;
                loaded.products.push((name, PublishedProduct { record, files }));
            }
        }
        let mut failed = |head: &Head, error: StoreError| {
            // The other streams are updated. This one keeps its last good revision until an operator repairs it.
            if known.get(&head.id) != Some(&head.revision) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, stream = %head.id, revision = %head.revision, "stream cannot be read, serving its last good revision");
            }
            loaded.broken.insert(head.id.clone(), head.revision);
        };
        let mut new = Vec::new();
        for head in heads.iter().filter(|head| head.exists()) {
            let Some(shown) = catalog.stream(head.id.product.as_str(), head.id.stream.as_str()) else {
                new.push(head.clone());
                continue;
            };
            // A lower revision with a later time means that a backup was restored.
            if shown.revision() < head.revision || shown.changed_at() < head.changed_at {
                match transaction.load_state(head, Some(shown.state())).await {
                    Err(error @ StoreError::Corrupt { .. }) => failed(head, error),
                    state => loaded.changed.push(state?),
                }
            }
        }
        loaded.changed.extend(transaction.load_states(&new, &mut failed).await?);
        Ok(loaded)
    }
}

/// Creates the span of a refresh, the last part of the trace of a change. A refresh by the timer belongs to no trace.
fn swap_span(trace: &TraceContext) -> Span {
    if trace.is_none() {
        return Span::none();
    }
    let span = tracing::error_span!("swap the catalog", otel.kind = "consumer");
    set_parent(&span, trace);
    span
}

/// Returns true if the database has an older revision of some stream than the catalog.
fn is_behind(catalog: &Catalog, heads: &[Head]) -> bool {
    is_older(catalog, heads)
        || heads.iter().any(|head| {
            let shown = catalog.stream(head.id.product.as_str(), head.id.stream.as_str());
            shown.is_some_and(|shown| head.revision < shown.revision() && head.changed_at <= shown.changed_at())
        })
}

/// Returns true if everything in the database is older than the newest stream of the catalog.
fn is_older(catalog: &Catalog, heads: &[Head]) -> bool {
    let shown = catalog.streams().map(|(_, entry)| entry.changed_at()).max();
    heads.iter().map(|head| head.changed_at).max() < shown
}

/// Returns true if the database is behind the catalog as to product stops, so that a missing stop does not mean that it was lifted. After a
/// backup was restored, the first change ends this.
fn lags_behind(catalog: &Catalog, heads: &[Head], stops: &ProductStops) -> bool {
    let newest = |streams: Option<Timestamp>, stops: Option<Timestamp>| streams.max(stops);
    let shown = catalog.streams().map(|(_, entry)| entry.changed_at()).max();
    let shown = newest(shown, catalog.stops().changed_at);
    stops.changed_at < catalog.stops().changed_at
        && newest(heads.iter().map(|head| head.changed_at).max(), stops.changed_at) <= shown
}

/// Returns the streams that the database has no more. Returns none if the database is behind the catalog.
fn removed_streams(catalog: &Catalog, heads: &[Head]) -> Vec<StreamId> {
    if is_older(catalog, heads) {
        return Vec::new();
    }
    let present: BTreeSet<&StreamId> = heads.iter().filter(|head| head.exists()).map(|head| &head.id).collect();
    catalog.streams().map(|(id, _)| id).filter(|id| !present.contains(id)).collect()
}
