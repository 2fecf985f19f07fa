//! The service, from its settings to its shutdown.

use super::{
    connection::ConnectionConfig,
    database::Database,
    error::ServeError,
    event_loops::EventLoopHealth,
    listen::{Bound, Loop},
    local_stop::LocalStopWatch,
    pool::Pool,
    protocols::Registry,
    rejection_slots::{self, RejectionSlots},
    tls::Tls,
    watch,
};
use crate::{
    api::{Api, ApiParts},
    auth::Issuers,
    catalog::{CatalogHandle, Codecs, GraphCache, Preparer, SnapshotStore, SyncDeps},
    clock::SharedClock,
    config::{CatalogSettings, LimitSettings, Listeners, Settings},
    exchange::documents::{self, DocumentFile},
    protocol::preparers,
    registry::{Registries, WebhookSecret},
    telemetry::Metrics,
};
use futures_util::FutureExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// A service whose listeners are bound and that does not answer yet.
pub struct Service {
    pub(super) settings: Settings,
    pub(super) clock: SharedClock,
    pub(super) listeners: Listeners,
    bound: Vec<Bound>,
    documents: Vec<DocumentFile>,
    tls: Option<Arc<Tls>>,
    pub(super) manager_api: Api,
    pub(super) registry: Registry,
    event_loops: EventLoopHealth,
}

impl Service {
    /// Checks everything that can be checked without the database, and binds the addresses.
    ///
    /// # Errors
    /// A setting or a stream document is invalid, or an address cannot be bound.
    pub fn bind(settings: Settings, clock: SharedClock) -> Result<Self, ServeError> {
        let registry = Registry::new(&settings)?;
        Self::bind_with(settings, clock, registry)
    }

    /// Like [`Service::bind`], with other protocols.
    ///
    /// # Errors
    /// Those of [`Service::bind`].
    pub fn bind_with(settings: Settings, clock: SharedClock, registry: Registry) -> Result<Self, ServeError> {
        let listeners = settings.listeners()?;
        let documents = match &settings.streams_dir {
            Some(folder) => documents::check_folder(folder)?,
            None => Vec::new(),
        };
        let tls = match settings.tls.files() {
            Some((certificate, key)) => Some(Arc::new(Tls::from_files(certificate, key)?)),
            None => None,
        };
        let bind = |address| {
            let loops = if Some(address) == listeners.agents { cores() } else { 1 };
            Bound::to(address, loops).map_err(|source| ServeError::Listen { address, source })
        };
        let bound = listeners.addresses().into_iter().map(bind).collect::<Result<_, _>>()?;
        // Checked here to report invalid settings before anything starts.
        Issuers::new(&settings.auth, &clock)?;
        let secret_file = settings.registries.webhook_secret_file.as_deref();
        let webhook_secret = secret_file.map(WebhookSecret::from_file).transpose()?;
        let manager_api = Api::waiting(ApiParts {
            signing_key: settings.auth.signing_key(&settings.data_dir),
            max_token_lifetime: settings.auth.max_token_lifetime,
            bodies_bytes: settings.limits.bodies_bytes,
            event_streams: settings.limits.event_streams,
            registries: Registries::allowed(&settings.registries, registry_time(&settings.limits)),
            webhook_secret,
        });
        Ok(Self {
            settings,
            clock,
            listeners,
            bound,
            documents,
            tls,
            manager_api,
            registry,
            event_loops: EventLoopHealth::default(),
        })
    }

    /// Returns the health of the event loops that answer agents.
    #[must_use]
    pub fn event_loops(&self) -> EventLoopHealth {
        self.event_loops.clone()
    }

    /// Returns the bound address of the agents' listener, if there is one. The configured port may be 0.
    #[must_use]
    pub fn agents_address(&self) -> Option<SocketAddr> {
        self.listeners.agents.map(|address| self.bound_address(address))
    }

    /// Returns the bound address of the managers' listener, if there is one.
    #[must_use]
    pub fn managers_address(&self) -> Option<SocketAddr> {
        self.listeners.managers.map(|address| self.bound_address(address))
    }

    /// Returns the bound address of the status listener.
    #[must_use]
    pub fn status_address(&self) -> SocketAddr {
        self.bound_address(self.listeners.status)
    }

    fn bound_address(&self, configured: SocketAddr) -> SocketAddr {
        let bound = self.bound.iter().find(|bound| bound.configured == configured);
        bound.map_or(configured, |bound| bound.address)
    }

    fn sync_deps(&self, catalog: Arc<CatalogHandle>, preparer: Preparer, metrics: &Metrics) -> SyncDeps {
        SyncDeps {
            catalog,
            preparers: preparers(self.registry.entries()).with_graph_cache(self.graph_cache(metrics)),
            preparer,
            clock: self.clock.clone(),
            metrics: metrics.clone(),
            snapshots: self.open_snapshots(),
            settings: self.settings.catalog.clone(),
            refreshed: tokio::sync::watch::Sender::default(),
            events_written: tokio::sync::watch::Sender::default(),
        }
    }

    fn graph_cache(&self, metrics: &Metrics) -> GraphCache {
        let cache = GraphCache::new(self.settings.limits.cached_graphs_bytes);
        let shown = cache.clone();
        metrics.gauge("lockkeeper.graphs.size", "By", "Bytes of cached full graphs, not encoded", move || {
            let bytes = u32::try_from(shown.used()).unwrap_or(u32::MAX);
            vec![(f64::from(bytes), Vec::new())]
        });
        cache
    }

    fn preparer(&self, metrics: &Metrics) -> Result<Preparer, ServeError> {
        let max_bytes = self.settings.limits.encodings_bytes;
        Preparer::start(Arc::new(Codecs), max_bytes, metrics).map_err(ServeError::Thread)
    }

    /// Answers until `stop` completes, then finishes requests in flight unless `force_shutdown` completes. Calls `ready` once polls are
    /// answered from the database or, while that is unavailable, from the snapshot.
    ///
    /// # Errors
    /// The private database does not start or stop.
    pub async fn run(
        self,
        stop: impl Future<Output = ()>,
        force_shutdown: impl Future<Output = ()>,
        ready: impl FnOnce() + Send + 'static,
    ) -> Result<(), ServeError> {
        let force_shutdown = force_shutdown.shared();
        let stopping = CancellationToken::new();
        // Connections end, too, if this future is dropped.
        let _guard = stopping.clone().drop_guard();
        let metrics = if self.settings.telemetry.metrics {
            Metrics::on(self.settings.telemetry.otlp().as_ref())?
        } else {
            Metrics::off()
        };
        let CatalogSettings { stale_after, close_after, .. } = self.settings.catalog;
        let catalog = Arc::new(CatalogHandle::new(stale_after, close_after));
        let local_stop = LocalStopWatch::new(&self.settings.data_dir, catalog.clone());
        local_stop.check();
        watch::catalog(&metrics, &catalog, &self.clock);
        watch::event_streams(&metrics, &self.manager_api);
        if let Some(tls) = &self.tls {
            tls.watch(&metrics);
        }
        let draining = Arc::new(AtomicBool::new(false));
        let preparer = self.preparer(&metrics)?;
        let endpoints = self.build_endpoints(&catalog, &preparer, &metrics, &draining)?;
        let sync_deps = self.sync_deps(catalog, preparer, &metrics);
        sync_deps.start_from_snapshot();
        raise_file_limit(&self.settings.limits, self.bound.len());

        // Listens before the database is open: requests that need it get a 503 until then.
        let mut listening = JoinSet::new();
        let limits = &self.settings.limits;
        let connection_config = Arc::new(ConnectionConfig::new(limits));
        for bound in self.bound {
            let Some(endpoint) = endpoints.get(&bound.configured).cloned() else { continue };
            let is_for_agents = Some(bound.configured) == self.listeners.agents;
            let is_probes_only = self.listeners.is_probes_only(bound.configured);
            let accepting = Loop {
                endpoint,
                connection_config: connection_config.clone(),
                pool: if is_for_agents { agents_pool(limits) } else { managers_pool(limits) },
                reserved: managers_pool(limits),
                rejection_slots: rejection_slots(limits),
                tls: self.tls.clone().filter(|_| !is_probes_only),
                stopping: stopping.clone(),
            };
            for (number, socket) in bound.into_sockets().into_iter().enumerate() {
                if is_for_agents {
                    listening.spawn(run_on_own_thread(number, accepting.clone(), socket, &self.event_loops)?);
                } else {
                    listening.spawn(log_failure(accepting.clone().run(socket)));
                }
            }
        }
        let mut upkeep = JoinSet::new();
        upkeep.spawn(local_stop.watch_for_ever());
        if let Some(tls) = self.tls {
            upkeep.spawn(async move { tls.follow_for_ever().await });
        }
        for agents in endpoints.values().filter_map(|endpoint| endpoint.agents.as_ref()) {
            agents.spawn_upkeep(&mut upkeep);
        }
        let (manager_api, logging) = (self.manager_api.clone(), self.manager_api.clone());
        upkeep.spawn(async move { logging.log_failed_authentications().await });
        let database = Database {
            dialects: self.registry.dialects(),
            settings: self.settings.database.clone(),
            data_dir: self.settings.data_dir.clone(),
            grace: self.settings.shutdown_grace.unsigned_abs(),
            documents: self.documents,
            sync_deps,
            manager_api: self.manager_api,
            is_for_managers: self.listeners.managers.is_some(),
            auth: self.settings.auth,
            api: self.settings.api,
            limits: self.settings.limits,
            registries: self.settings.registries,
        };
        let mut database_task = tokio::spawn(database.follow(stopping.clone().cancelled_owned(), ready));
        let failed = tokio::select! {
            () = stop => None,
            ended = &mut database_task => Some(ended),
        };

        draining.store(true, Ordering::Relaxed);
        if failed.is_none() {
            // Load balancers see that readiness fails and send requests elsewhere.
            let _ = unless(force_shutdown.clone(), tokio::time::sleep(self.settings.drain_delay.unsigned_abs())).await;
        }
        tracing::info!("stopping, finishing requests in flight");
        stopping.cancel();
        manager_api.close_event_streams();
        let finished = async { while listening.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(self.settings.shutdown_grace.unsigned_abs(), finished);
        if !matches!(unless(force_shutdown.clone(), in_time).await, Some(Ok(()))) {
            tracing::warn!("requests did not finish in time and were cancelled");
        }
        listening.shutdown().await;
        let ended = match failed {
            Some(ended) => ended,
            // A private PostgreSQL is always stopped, even in a forced shutdown.
            None if self.settings.database.url.is_none() => database_task.await,
            None => unless(force_shutdown, database_task).await.unwrap_or(Ok(Ok(()))),
        };
        manager_api.flush_failed_authentications();
        metrics.finish().await;
        // Without the task that follows the database the catalog would become stale, so its failure ends the service.
        ended.map_err(ServeError::Bug)?
    }

    /// Opens the snapshot. A process that cannot write it serves without one.
    fn open_snapshots(&self) -> Option<Arc<SnapshotStore>> {
        if !self.settings.catalog.keep_snapshot {
            return None;
        }
        match SnapshotStore::open(&self.settings.data_dir.join("catalog")) {
            Ok(snapshots) => Some(Arc::new(snapshots)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "snapshots cannot be saved");
                None
            }
        }
    }
}

fn agents_pool(limits: &LimitSettings) -> Pool {
    Pool::new(limits.max_connections, limits.agent_connections_per_address(), &limits.trusted_proxies)
}

fn managers_pool(limits: &LimitSettings) -> Pool {
    let size = limits.manager_connections;
    Pool::new(size, limits.other_connections_per_address(size), &limits.trusted_proxies)
}

fn rejection_slots(limits: &LimitSettings) -> RejectionSlots {
    RejectionSlots::new(
        rejection_slots::MAX_WAITING,
        limits.other_connections_per_address(rejection_slots::MAX_WAITING),
        &limits.trusted_proxies,
    )
}

/// Returns the number of accept loops for agents. Agents open a connection for every poll, so each core accepts and answers on its own.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the output of `awaited`, or `None` if `force_shutdown` completes before.
async fn unless<T>(force_shutdown: impl Future<Output = ()>, awaited: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = awaited => Some(value),
        () = force_shutdown => None,
    }
}

/// Runs an accept loop on its own thread and runtime. It answers polls without the database.
fn run_on_own_thread(
    number: usize,
    accepting: Loop,
    socket: std::net::TcpListener,
    event_loops: &EventLoopHealth,
) -> Result<impl Future<Output = ()> + Send + use<>, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    event_loops.register(runtime.handle());
    let (finish, finished) = oneshot::channel();
    let cancelled = CancellationToken::new();
    let guard = cancelled.clone().drop_guard();
    let work = move || {
        runtime.block_on(cancelled.run_until_cancelled(log_failure(accepting.run(socket))));
        let _ = finish.send(());
    };
    std::thread::Builder::new().name(format!("agents-{number}")).spawn(work).map_err(ServeError::Thread)?;
    Ok(async move {
        let _ = finished.await;
        drop(guard);
    })
}

/// Returns the longest time for reading an image: two thirds of that of a response, so that the caller learns which registry did not answer.
fn registry_time(limits: &LimitSettings) -> Duration {
    limits.answer_timeout.unsigned_abs() * 2 / 3
}

/// Raises the limit of open files as far as the system allows.
fn raise_file_limit(limits: &LimitSettings, listeners: usize) {
    let per_listener = limits.manager_connections.saturating_add(rejection_slots::MAX_WAITING);
    let connections = limits.max_connections.saturating_add(per_listener.saturating_mul(listeners));
    let limit = getrlimit(Resource::Nofile);
    // A failure shows in the limit that is read next.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = getrlimit(Resource::Nofile).current;
    if files.is_some_and(|files| files < u64::try_from(connections).unwrap_or(u64::MAX)) {
        tracing::warn!(files, connections, "limit of open files is lower than the limits of connections");
    }
}

async fn log_failure(running: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = running.await {
        tracing::error!(error = &error as &dyn std::error::Error, "listener failed");
    }
}
