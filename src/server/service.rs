//! The service from its settings to its end.

use super::{listen::Bound, seed, status};
use crate::{
    api,
    catalog::{Follower, Live},
    clock::SharedClock,
    config::{self, ConfigError, DatabaseSettings, Listeners, Settings},
    domain::stream::Stream,
    exchange::documents::{self, DocumentError},
    fleet::UnknownPayloads,
    http::layers,
    manage::Manage,
    protocol::fcos::{self, routes::Agents},
    store::{Access, AccessError},
    telemetry::Metrics,
};
use axum::Router;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{sync::watch, task::JoinSet};

/// Why the service did not start, or did not stop well.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no database.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A stream document is wrong.
    #[error("the store cannot be started from these stream documents")]
    Document(#[from] DocumentError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A service that listens, but does not answer yet.
pub struct Service {
    settings: Settings,
    clock: SharedClock,
    listeners: Listeners,
    bound: Vec<Bound>,
    documents: Vec<Stream>,
}

impl Service {
    /// Checks everything that can be checked without the database, and takes the addresses.
    ///
    /// # Errors
    /// A setting or a stream document is wrong, or an address is taken.
    pub async fn bind(settings: Settings, clock: SharedClock) -> Result<Self, ServeError> {
        let listeners = settings.listeners()?;
        let documents = match &settings.streams_dir {
            Some(folder) => documents::read_folder(folder)?,
            None => Vec::new(),
        };
        let mut bound = Vec::new();
        for address in listeners.addresses() {
            bound.push(Bound::to(address).await.map_err(|source| ServeError::Listen { address, source })?);
        }
        Ok(Self { settings, clock, listeners, bound, documents })
    }

    /// Where it really listens for agents: the configured port may be 0.
    #[must_use]
    pub fn agents_address(&self) -> SocketAddr {
        self.real(self.listeners.agents)
    }

    /// Where it really listens for managers.
    #[must_use]
    pub fn managers_address(&self) -> SocketAddr {
        self.real(self.listeners.managers)
    }

    /// Where it really listens for health checks.
    #[must_use]
    pub fn status_address(&self) -> SocketAddr {
        self.real(self.listeners.status)
    }

    fn real(&self, configured: SocketAddr) -> SocketAddr {
        let bound = self.bound.iter().find(|bound| bound.configured == configured);
        bound.map_or(configured, |bound| bound.address)
    }

    /// Answers until `stop` ends, then finishes what is in flight. `ready` is called once the store has been read.
    ///
    /// # Errors
    /// The private database does not start or stop.
    pub async fn run(
        self,
        stop: impl Future<Output = ()>,
        ready: impl FnOnce() + Send + 'static,
    ) -> Result<(), ServeError> {
        let (stopping, stopped) = watch::channel(false);
        let metrics = Metrics::default();
        let live = Arc::new(Live::default());
        let draining = Arc::new(AtomicBool::new(false));
        let routers = self.routers(&live, &metrics, &draining)?;

        // Who asks before the database is there is told so.
        let mut listening = JoinSet::new();
        for bound in self.bound {
            let router = routers.get(&bound.configured).cloned().unwrap_or_default();
            listening.spawn(bound.serve(router, until(stopped.clone())));
        }
        let database = Database {
            settings: self.settings.database.clone(),
            data_dir: self.settings.data_dir.clone(),
            interval: self.settings.catalog.interval(),
            grace: self.settings.shutdown_grace.unsigned_abs(),
            documents: self.documents,
            clock: self.clock,
            live,
            metrics,
        };
        let mut following = tokio::spawn(database.follow(until(stopped), ready));
        let failed = tokio::select! {
            () = stop => None,
            ended = &mut following => Some(ended),
        };

        tracing::info!("stopping: requests in flight are finished");
        draining.store(true, Ordering::Relaxed);
        stopping.send_replace(true);
        let grace = self.settings.shutdown_grace.unsigned_abs();
        let finished = async { while listening.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!("some requests did not finish in time and were cut off");
        }
        listening.shutdown().await;
        let ended = match failed {
            Some(ended) => ended,
            None => following.await,
        };
        // A task that panicked has told its story in the log.
        ended.unwrap_or(Ok(()))
    }

    /// One router an address: those that share one are merged.
    fn routers(
        &self,
        live: &Arc<Live>,
        metrics: &Metrics,
        draining: &Arc<AtomicBool>,
    ) -> Result<BTreeMap<SocketAddr, Router>, ServeError> {
        let unknown = Arc::new(UnknownPayloads::default());
        let agents = Agents {
            live: live.clone(),
            settings: Arc::new(fcos_settings(&self.settings, self.agents_address())?),
            clock: self.clock.clone(),
            metrics: metrics.clone(),
            unknown: unknown.clone(),
        };
        let status =
            status::Status { live: live.clone(), metrics: metrics.clone(), draining: draining.clone(), unknown };
        let mut routers: BTreeMap<SocketAddr, Router> = BTreeMap::new();
        for (address, routes) in [
            (self.listeners.agents, fcos::routes::routes(agents.clone())),
            (self.listeners.agents, fcos::document_routes::routes(agents)),
            (self.listeners.managers, api::v1::routes()),
            (self.listeners.status, status::routes(status)),
        ] {
            let router = routers.remove(&address).unwrap_or_default();
            routers.insert(address, router.merge(routes));
        }
        Ok(routers.into_iter().map(|(address, router)| (address, layers::around(router, metrics.clone()))).collect())
    }
}

fn fcos_settings(settings: &Settings, agents: SocketAddr) -> Result<fcos::Settings, ConfigError> {
    Ok(fcos::Settings {
        default_product: settings.fcos.product()?,
        unknown_payload: match settings.fcos.unknown_payload {
            config::UnknownPayload::Whole => fcos::UnknownPayload::Whole,
            config::UnknownPayload::Empty => fcos::UnknownPayload::Empty,
        },
        offer_synthetic: settings.offer_synthetic || agents.ip().is_loopback(),
    })
}

/// The database's side of the service.
struct Database {
    settings: DatabaseSettings,
    data_dir: PathBuf,
    interval: Duration,
    grace: Duration,
    documents: Vec<Stream>,
    clock: SharedClock,
    live: Arc<Live>,
    metrics: Metrics,
}

impl Database {
    /// Opens the database, prepares it, and follows it until `stopped` ends; then closes it, whatever went before.
    async fn follow(self, stopped: impl Future<Output = ()>, ready: impl FnOnce()) -> Result<(), ServeError> {
        let mut stopped = pin!(stopped);
        let mut opening = pin!(Access::open(&self.settings, &self.data_dir));
        let access = tokio::select! {
            access = &mut opening => Arc::new(access?),
            () = &mut stopped => {
                // A start is not broken off in the middle, but not waited for without end either.
                if let Ok(access) = tokio::time::timeout(self.grace, opening).await {
                    access?.close().await?;
                } else {
                    tracing::warn!("the private PostgreSQL was still starting and is left alone");
                }
                return Ok(());
            }
        };
        let follower = Follower::new(access.clone(), self.live, self.metrics, self.interval);
        let manage = Manage::new(access.store().clone(), self.clock);
        let work = async {
            seed::prepare(&access, &manage, &self.documents, &follower, self.interval).await;
            ready();
            follower.follow_for_ever().await;
        };
        tokio::select! {
            () = &mut stopped => {}
            () = work => {}
        }
        drop(follower);
        match Arc::try_unwrap(access) {
            Ok(access) => Ok(access.close().await?),
            Err(_) => Ok(()),
        }
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender going away means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
