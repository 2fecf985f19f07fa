//! The service from its settings to its end.

use super::{
    connection::{Manners, until},
    database::Database,
    error::ServeError,
    listen::{Bound, Loop},
    places::Places,
    pulse::Pulse,
    tls::Tls,
    watch,
};
use crate::{
    api::Api,
    auth::Issuers,
    catalog::{DiskCopy, Following, Live},
    clock::SharedClock,
    config::{Listeners, Settings},
    domain::stream::Stream,
    exchange::documents,
    protocol::fcos::GraphJson,
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
};
use tokio::{
    sync::{oneshot, watch as signal},
    task::JoinSet,
};

/// A service that listens, but does not answer yet.
pub struct Service {
    pub(super) settings: Settings,
    pub(super) clock: SharedClock,
    pub(super) listeners: Listeners,
    bound: Vec<Bound>,
    documents: Vec<Stream>,
    tls: Option<Arc<Tls>>,
    pub(super) managers: Api,
    pulse: Pulse,
}

impl Service {
    /// Checks everything that can be checked without the database, and takes the addresses.
    ///
    /// # Errors
    /// A setting or a stream document is wrong, or an address is taken.
    pub fn bind(settings: Settings, clock: SharedClock) -> Result<Self, ServeError> {
        let listeners = settings.listeners()?;
        let documents = match &settings.streams_dir {
            Some(folder) => documents::read_folder(folder)?,
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
        // What is wrong with it is told before anything begins.
        Issuers::of(&settings.auth, &clock)?;
        let managers = Api::waiting(settings.auth.signing_key(&settings.data_dir));
        Ok(Self { settings, clock, listeners, bound, documents, tls, managers, pulse: Pulse::default() })
    }

    /// Tells whether what answers agents still works.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Where it really listens for agents, if it does: the configured port may be 0.
    #[must_use]
    pub fn agents_address(&self) -> Option<SocketAddr> {
        self.listeners.agents.map(|address| self.real(address))
    }

    /// Where it really listens for managers, if it does.
    #[must_use]
    pub fn managers_address(&self) -> Option<SocketAddr> {
        self.listeners.managers.map(|address| self.real(address))
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

    /// Answers until `stop` ends, then finishes what is in flight, unless `hurry` ends. `ready` is called once polls are answered
    /// from the store, or from the copy on disk while that cannot be used.
    ///
    /// # Errors
    /// The private database does not start or stop.
    pub async fn run(
        self,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
        ready: impl FnOnce() + Send + 'static,
    ) -> Result<(), ServeError> {
        let hurry = hurry.shared();
        let (stopping, stopped) = signal::channel(false);
        let metrics = if self.settings.telemetry.metrics {
            Metrics::on(self.settings.telemetry.otlp().as_ref())?
        } else {
            Metrics::off()
        };
        let live = Arc::new(Live::new(self.settings.catalog.freeze_after));
        watch::catalog(&metrics, &live, &self.clock);
        if let Some(tls) = &self.tls {
            tls.watch(&metrics);
        }
        let draining = Arc::new(AtomicBool::new(false));
        let fronts = self.fronts(&live, &metrics, &draining)?;
        let following = Following {
            live,
            render: Arc::new(GraphJson),
            clock: self.clock.clone(),
            metrics: metrics.clone(),
            copy: self.copy(),
            settings: self.settings.catalog.clone(),
        };
        following.start_from_copy();
        make_room(self.settings.limits.max_connections);

        // Who asks before the database is there is told so.
        let mut listening = JoinSet::new();
        let (places, door) = (Places::of(self.settings.limits.max_connections), Places::of(MOST_AT_THE_DOOR));
        let manners = Arc::new(Manners::of(&self.settings.limits));
        for bound in self.bound {
            let Some(front) = fronts.get(&bound.configured).cloned() else { continue };
            let is_for_agents = Some(bound.configured) == self.listeners.agents;
            let is_for_probes_alone = self.listeners.is_for_probes_alone(bound.configured);
            let accepting = Loop {
                front,
                manners: manners.clone(),
                places: if is_for_probes_alone { Places::of(usize::MAX) } else { places.clone() },
                door: door.clone(),
                tls: self.tls.clone().filter(|_| !is_for_probes_alone),
                stopping: stopped.clone(),
            };
            for (number, socket) in bound.into_sockets().into_iter().enumerate() {
                if is_for_agents {
                    listening.spawn(on_its_own(number, accepting.clone(), socket, &self.pulse)?);
                } else {
                    listening.spawn(told(accepting.clone().run(socket)));
                }
            }
        }
        let mut upkeep = JoinSet::new();
        if let Some(tls) = self.tls {
            upkeep.spawn(async move { tls.follow_for_ever().await });
        }
        for throttle in fronts.values().filter_map(|front| front.throttle.clone()) {
            upkeep.spawn(async move { throttle.forget_for_ever().await });
        }
        let database = Database {
            settings: self.settings.database.clone(),
            data_dir: self.settings.data_dir.clone(),
            grace: self.settings.shutdown_grace.unsigned_abs(),
            documents: self.documents,
            following,
            managers: self.managers,
            is_for_managers: self.listeners.managers.is_some(),
            auth: self.settings.auth,
            api: self.settings.api,
        };
        let mut following = tokio::spawn(database.follow(until(stopped), ready));
        let failed = tokio::select! {
            () = stop => None,
            ended = &mut following => Some(ended),
        };

        draining.store(true, Ordering::Relaxed);
        if failed.is_none() {
            // Whoever sends requests here sees that readiness says no, and sends them elsewhere.
            let _ = before(hurry.clone(), tokio::time::sleep(self.settings.drain_delay.unsigned_abs())).await;
        }
        tracing::info!("stopping: requests in flight are finished");
        stopping.send_replace(true);
        let finished = async { while listening.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(self.settings.shutdown_grace.unsigned_abs(), finished);
        if !matches!(before(hurry.clone(), in_time).await, Some(Ok(()))) {
            tracing::warn!("some requests did not finish in time and were cut off");
        }
        listening.shutdown().await;
        let ended = match failed {
            Some(ended) => ended,
            // A private PostgreSQL is not left behind, however great the hurry.
            None if self.settings.database.url.is_none() => following.await,
            None => before(hurry, following).await.unwrap_or(Ok(Ok(()))),
        };
        metrics.finish().await;
        // Nobody follows the store any more: better to begin anew than to serve what grows old.
        ended.map_err(ServeError::Bug)?
    }

    /// Where the last good state is kept. A process that cannot write there serves all the same.
    fn copy(&self) -> Option<Arc<DiskCopy>> {
        if !self.settings.catalog.keep_copy {
            return None;
        }
        match DiskCopy::open(&self.settings.data_dir.join("catalog")) {
            Ok(copy) => Some(Arc::new(copy)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no copy of what is served is kept on disk");
                None
            }
        }
    }
}

/// How many may be told at a time that there is no room.
const MOST_AT_THE_DOOR: usize = 256;

/// Agents open a connection for every poll: each core accepts and answers by itself, without a word to the others.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is waited for, unless somebody is in a hurry before it comes.
async fn before<T>(hurry: impl Future<Output = ()>, awaited: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = awaited => Some(value),
        () = hurry => None,
    }
}

/// A loop on a thread and a runtime of its own. What it answers itself never touches the database.
fn on_its_own(
    number: usize,
    accepting: Loop,
    socket: std::net::TcpListener,
    pulse: &Pulse,
) -> Result<impl Future<Output = ()> + Send + use<>, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    pulse.of(runtime.handle());
    let (over, ended) = oneshot::channel();
    let (cut, cut_off) = oneshot::channel::<()>();
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                () = told(accepting.run(socket)) => {}
                _ = cut_off => {}
            }
        });
        let _ = over.send(());
    };
    std::thread::Builder::new().name(format!("agents-{number}")).spawn(work).map_err(ServeError::Thread)?;
    Ok(async move {
        let _ = ended.await;
        drop(cut);
    })
}

/// Raises the limit of open files as far as this account may.
fn make_room(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    // What it cannot do, it says below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let room = getrlimit(Resource::Nofile).current;
    if room.is_some_and(|room| room < u64::try_from(connections).unwrap_or(u64::MAX)) {
        tracing::warn!(
            files = room,
            connections,
            "fewer files may be open than limits.max_connections allows connections"
        );
    }
}

async fn told(running: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = running.await {
        tracing::error!(error = &error as &dyn std::error::Error, "stopped listening");
    }
}
