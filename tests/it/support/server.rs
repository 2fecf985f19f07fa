//! The service in this process, with a clock that the test moves.

use super::{postgres::Database, time::NOW};
use jiff::Timestamp;
use lockkeeper::{
    clock::ManualClock,
    config::Settings,
    server::{Registry, Service},
};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::{sync::oneshot, task::JoinHandle};

/// A running service.
pub(crate) struct Server {
    /// The address for agents.
    pub(crate) agents: SocketAddr,
    /// The address for managers.
    pub(crate) managers: SocketAddr,
    /// The address of health checks and metrics.
    pub(crate) status: SocketAddr,
    /// The clock of the service.
    pub(crate) clock: Arc<ManualClock>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(database: &Database) -> Self {
        Self::start_with(database, |_| {}).await
    }

    pub(crate) async fn start_with(database: &Database, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_speaking(database, change, |settings| Registry::new(settings).unwrap()).await
    }

    /// Starts a service that speaks the protocols of a registry.
    pub(crate) async fn start_speaking(
        database: &Database,
        change: impl FnOnce(&mut Settings),
        registry: impl FnOnce(&Settings) -> Registry,
    ) -> Self {
        let change = |settings: &mut Settings| {
            settings.database = database.settings();
            change(settings);
        };
        let (server, ready) = Self::begin(NOW, change, registry);
        ready.await.unwrap();
        server
    }

    /// Starts a service without a database, with the snapshot in `data_dir`, at the given time.
    pub(crate) fn start_without_database(data_dir: &Path, at: i64, change: impl FnOnce(&mut Settings)) -> Self {
        let (server, _) = Self::begin(
            at,
            |settings| {
                settings.database.url = Some("postgres://127.0.0.1:1/none".into());
                settings.data_dir = data_dir.into();
                settings.catalog.keep_snapshot = true;
                change(settings);
            },
            |settings| Registry::new(settings).unwrap(),
        );
        server
    }

    fn begin(
        at: i64,
        change: impl FnOnce(&mut Settings),
        registry: impl FnOnce(&Settings) -> Registry,
    ) -> (Self, oneshot::Receiver<()>) {
        let mut settings = Settings { listen: "127.0.0.1:0".into(), ..Settings::default() };
        // A jump of the test's clock must not freeze shares.
        settings.catalog.stale_after = jiff::SignedDuration::from_hours(24 * 365 * 100);
        settings.catalog.keep_snapshot = false;
        change(&mut settings);
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(at).unwrap()));
        let registry = registry(&settings);
        let service = Service::bind_with(settings, clock.clone(), registry).unwrap();
        let agents = service.agents_address().unwrap_or(service.status_address());
        let managers = service.managers_address().unwrap_or(service.status_address());
        let status = service.status_address();
        let (stop, stopped) = oneshot::channel();
        let (ready_sender, ready) = oneshot::channel();
        let running = service.run(
            async {
                // Dropping the server stops it too.
                stopped.await.unwrap_or_default();
            },
            std::future::pending(),
            || {
                // `start_without_database` does not wait for it.
                if !ready_sender.is_closed() {
                    ready_sender.send(()).unwrap();
                }
            },
        );
        let task = tokio::spawn(async { running.await.unwrap() });
        let client = super::client();
        (Self { agents, managers, status, clock, client, stop, task }, ready)
    }

    pub(crate) fn at(&self, epoch: i64) {
        self.clock.set(Timestamp::from_second(epoch).unwrap());
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.agents))
    }

    /// Builds a request to the managers' address.
    pub(crate) fn manage(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.managers))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Returns the body of the readiness check.
    pub(crate) async fn readiness(&self) -> serde_json::Value {
        let url = format!("http://{}/healthz/ready", self.status);
        serde_json::from_str(&self.client.get(url).send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Returns all metrics as text.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.status);
        self.client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Returns the value of a metric.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let text = self.metrics().await;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).split(' ').nth(1).unwrap().to_owned()
    }

    /// Returns the revision that polls of a stream are answered from.
    pub(crate) async fn revision(&self, stream: &str) -> Option<i64> {
        self.readiness().await["streams"][stream].as_i64()
    }

    /// Waits until polls of a stream are answered from this revision or a later one.
    pub(crate) async fn shows(&self, stream: &str, revision: i64) {
        super::eventually("the revision is served", || async { self.revision(stream).await >= Some(revision) }).await;
    }

    /// Returns a whole response without its date, the only part in which services with equal state differ.
    async fn response(&self, path: &str) -> (u16, http::HeaderMap, bytes::Bytes) {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
        headers.remove(http::header::DATE).unwrap();
        (status, headers, response.bytes().await.unwrap())
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Two services with the same database: with the fast path, and without it.
pub(crate) struct Pair {
    with_fast_path: Server,
    without_fast_path: Server,
}

impl Pair {
    pub(crate) async fn start(database: &Database) -> Self {
        Self {
            with_fast_path: Server::start(database).await,
            without_fast_path: Server::start_with(database, |settings| settings.limits.fast_path = false).await,
        }
    }

    pub(crate) fn at(&self, epoch: i64) {
        self.with_fast_path.at(epoch);
        self.without_fast_path.at(epoch);
    }

    pub(crate) async fn shows(&self, stream: &str, revision: i64) {
        self.with_fast_path.shows(stream, revision).await;
        self.without_fast_path.shows(stream, revision).await;
    }

    /// Sends a request to both services, and checks that the responses are the same.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let (status, headers, body) = self.with_fast_path.response(path).await;
        let without_fast_path = self.without_fast_path.response(path).await;
        assert_eq!(without_fast_path, (status, headers, body.clone()), "{path}");
        (status, String::from_utf8(body.into()).unwrap())
    }

    pub(crate) async fn stop(self) {
        self.with_fast_path.stop().await;
        self.without_fast_path.stop().await;
    }
}
