//! Metrics: for Prometheus, which asks, and over OTLP to whoever is told. Names are those of OpenTelemetry's semantic conventions,
//! where these have one. Labels are bounded: streams, kinds of answers, routes; never a node.
//!
//! `instruments`: what is counted; `labels`: what is told apart; `polls`: what agents are answered, by scope, `shards`: by each thread for itself; `process`: what
//! this program takes.

mod instruments;
mod labels;
mod polls;
mod process;
mod shards;

pub use polls::{PollRoute, PollTally, Scope};

use super::otlp::{LAST_WORDS, Otlp, OtlpError, resource};
use instruments::{Instruments, State};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// Everything that is counted. Clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Parts>);

struct Parts {
    instruments: Instruments,
    state: Arc<State>,
    /// None where nothing is counted.
    registry: Option<Registry>,
    provider: Option<SdkMeterProvider>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").field("state", &self.0.state).finish_non_exhaustive()
    }
}

/// One value of a gauge, and its labels.
pub type Reading = (f64, Vec<(&'static str, String)>);

impl Metrics {
    /// Counts for whoever asks, and sends what was counted to a collector, if there is one.
    ///
    /// # Errors
    /// Nothing can be sent to the collector.
    pub fn on(otlp: Option<&Otlp>) -> Result<Self, OtlpError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build();
        let mut provider = SdkMeterProvider::builder().with_resource(resource());
        // It fails where something is registered twice in one registry, and this one is new.
        if let Ok(exporter) = exporter {
            provider = provider.with_reader(exporter);
        }
        if let Some(otlp) = otlp {
            provider = provider.with_reader(otlp.metrics()?);
        }
        let provider = provider.build();
        let state = Arc::new(State::default());
        let meter = provider.meter("lockkeeper");
        let instruments = Instruments::of(meter, &state, true);
        process::watch(&instruments);
        Ok(Self(Arc::new(Parts { instruments, state, registry: Some(registry), provider: Some(provider) })))
    }

    /// Counts nothing.
    #[must_use]
    pub fn off() -> Self {
        let meter = opentelemetry::metrics::NoopMeterProvider::new().meter("lockkeeper");
        let state = Arc::new(State::default());
        Self(Arc::new(Parts {
            instruments: Instruments::of(meter, &state, false),
            state,
            registry: None,
            provider: None,
        }))
    }

    /// What agents are answered in one scope is counted here.
    #[must_use]
    pub fn scope(&self, scope: &Scope<'_>) -> Arc<PollTally> {
        self.0.instruments.polls.scope(scope)
    }

    /// A poll was refused, for this reason.
    pub fn poll_refused(&self, reason: &'static str) {
        self.0.instruments.polls.refused(reason);
    }

    /// A poll was answered with this status; it took that long.
    pub fn poll_request(&self, route: PollRoute, status: u16, scheme: &'static str, took: Duration) {
        self.0.instruments.polls.answered(route, status, scheme, took);
    }

    /// A request was answered. The route is the pattern that matched, or nothing.
    pub fn request(
        &self,
        method: &'static str,
        route: Option<&str>,
        status: u16,
        scheme: &'static str,
        took: Duration,
    ) {
        self.0.instruments.requests.record(took.as_secs_f64(), &labels::request(method, route, status, scheme));
    }

    /// There was no place for a connection.
    pub fn connection_refused(&self) {
        self.0.instruments.refused.add(1, &[]);
    }

    /// A changed catalog took this long from the store to the polls.
    pub fn catalog_rebuilt(&self, took: Duration) {
        self.0.instruments.rebuilds.record(took.as_secs_f64(), &[]);
    }

    /// The answers of a stream were made ahead in this time.
    pub fn catalog_rendered(&self, took: Duration) {
        self.0.instruments.renders.record(took.as_secs_f64(), &[]);
    }

    /// Polls are answered from the copy on disk, or from what was heard of the store.
    pub fn serving_copy(&self, copied: bool) {
        self.0.state.from_disk.store(copied, Ordering::Relaxed);
    }

    /// Are polls answered from the copy on disk?
    #[must_use]
    pub fn is_serving_copy(&self) -> bool {
        self.0.state.from_disk.load(Ordering::Relaxed)
    }

    /// Did the database answer when it was last asked?
    #[must_use]
    pub fn is_database_up(&self) -> bool {
        self.0.state.database_up.load(Ordering::Relaxed)
    }

    /// The database answered.
    pub fn database_answered(&self) {
        self.0.state.database_up.store(true, Ordering::Relaxed);
    }

    /// The database did not answer.
    pub fn database_failed(&self) {
        self.0.state.database_up.store(false, Ordering::Relaxed);
        self.0.instruments.failures.add(1, &[]);
    }

    /// A transaction ended.
    pub fn transaction(&self, name: &'static str, took: Duration) {
        self.0.instruments.transactions.record(
            took.as_secs_f64(),
            &[KeyValue::new("db.operation.name", name), KeyValue::new("db.system.name", "postgresql")],
        );
    }

    /// Shows a gauge whose values are read when somebody asks.
    pub fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        self.0.instruments.gauge(name, unit, description, read);
    }

    /// Sends what is still to be sent; nothing is counted any more.
    pub async fn finish(&self) {
        if let Some(provider) = self.0.provider.clone() {
            // A collector that is away has already been complained of.
            let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_WORDS)).await;
        }
    }

    /// Everything, in the text format of Prometheus; none where nothing is counted.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        TextEncoder::new().encode_to_string(&self.0.registry.as_ref()?.gather()).ok()
    }
}

/// Measures a transaction from its begin to whichever end it comes to.
#[derive(Debug)]
pub struct Timed {
    metrics: Metrics,
    name: &'static str,
    started: Instant,
}

impl Timed {
    /// It begins now.
    #[must_use]
    pub fn transaction(metrics: &Metrics, name: &'static str) -> Self {
        Self { metrics: metrics.clone(), name, started: Instant::now() }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.metrics.transaction(self.name, self.started.elapsed());
    }
}
