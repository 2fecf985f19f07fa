//! Metrics, scraped by Prometheus or sent over OTLP. Names follow OpenTelemetry's semantic conventions where these have one.
//! Labels are bounded: streams, kinds of answers, routes; never a node.
//!
//! `instruments`: the metrics; `labels`: their labels; `polls`: responses to agents, by scope, counted per thread with `shards`;
//! `process`: resource usage.

mod instruments;
mod labels;
mod polls;
mod process;
mod shards;

pub use polls::{PollLabels, PollTally, RouteTimes, Scope};

use super::otlp::{FLUSH_TIMEOUT, Otlp, OtlpError, resource};
use instruments::{Instruments, State};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// The metrics of the service. Clones share their values.
#[derive(Clone)]
pub struct Metrics(Arc<Parts>);

struct Parts {
    instruments: Instruments,
    state: Arc<State>,
    /// `None` if metrics are off.
    registry: Option<Registry>,
    provider: Option<SdkMeterProvider>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").field("state", &self.0.state).finish_non_exhaustive()
    }
}

/// One value of a gauge, and its labels.
pub type GaugeSample = (f64, Vec<(&'static str, String)>);

impl Metrics {
    /// Records metrics for Prometheus, and sends them to the collector, if there is one.
    ///
    /// # Errors
    /// The exporter for the collector cannot be created.
    pub fn on(otlp: Option<&Otlp>) -> Result<Self, OtlpError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build();
        let mut provider = SdkMeterProvider::builder().with_resource(resource());
        // Fails only if the registry already contains an exporter, and this one is new.
        if let Ok(exporter) = exporter {
            provider = provider.with_reader(exporter);
        }
        if let Some(otlp) = otlp {
            provider = provider.with_reader(otlp.metrics()?);
        }
        let provider = provider.build();
        let state = Arc::new(State::default());
        let meter = provider.meter("lockkeeper");
        let instruments = Instruments::new(meter, &state, true);
        process::watch(&instruments);
        Ok(Self(Arc::new(Parts { instruments, state, registry: Some(registry), provider: Some(provider) })))
    }

    /// Records nothing.
    #[must_use]
    pub fn off() -> Self {
        let meter = opentelemetry::metrics::NoopMeterProvider::new().meter("lockkeeper");
        let state = Arc::new(State::default());
        Self(Arc::new(Parts {
            instruments: Instruments::new(meter, &state, false),
            state,
            registry: None,
            provider: None,
        }))
    }

    /// Returns the counters for polls of one scope, whose answers have the labels of its protocol.
    #[must_use]
    pub fn scope(&self, scope: &Scope<'_>, labels: &PollLabels) -> Arc<PollTally> {
        self.0.instruments.polls.scope(scope, labels)
    }

    /// Counts a rejected poll by reason.
    pub fn poll_refused(&self, reason: &'static str) {
        self.0.instruments.polls.refused(reason);
    }

    /// Creates the durations of the requests of a method and route, which are recorded without looking anything up.
    #[must_use]
    pub fn route(&self, method: &'static str, route: &'static str) -> Arc<RouteTimes> {
        self.0.instruments.polls.route(method, route)
    }

    /// Records the response to a request. The route is the pattern that matched, if any.
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

    /// Counts a connection that was rejected by a limit, by reason.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0.instruments.refused.add(1, &[KeyValue::new("reason", reason)]);
    }

    /// Counts an API request whose token was not accepted.
    pub fn authentication_failed(&self) {
        self.0.instruments.authentication_failures.add(1, &[]);
    }

    /// Counts events that were written.
    pub fn events_written(&self, events: usize) {
        self.0.instruments.events.add(u64::try_from(events).unwrap_or(u64::MAX), &[]);
    }

    /// Counts a release that was made of a tag of a followed repository.
    pub fn release_followed(&self, outcome: &'static str) {
        self.0.instruments.followed_releases.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// Records the time from querying the database to serving a changed catalog.
    pub fn catalog_rebuilt(&self, took: Duration) {
        self.0.instruments.rebuilds.record(took.as_secs_f64(), &[]);
    }

    /// Records the time to prepare the responses of a stream.
    pub fn catalog_rendered(&self, took: Duration) {
        self.0.instruments.renders.record(took.as_secs_f64(), &[]);
    }

    /// Counts an encoder that failed.
    pub fn encoding_failed(&self, coding: &'static str) {
        self.0.instruments.encoding_failures.add(1, &[KeyValue::new("coding", coding)]);
    }

    /// Sets whether polls are answered from the snapshot on disk.
    pub fn set_serving_snapshot(&self, is_snapshot: bool) {
        self.0.state.is_serving_snapshot.store(is_snapshot, Ordering::Relaxed);
    }

    /// Returns true while polls are answered from the snapshot on disk.
    #[must_use]
    pub fn is_serving_snapshot(&self) -> bool {
        self.0.state.is_serving_snapshot.load(Ordering::Relaxed)
    }

    /// Returns true if the last access to the database succeeded.
    #[must_use]
    pub fn is_database_up(&self) -> bool {
        self.0.state.is_database_up.load(Ordering::Relaxed)
    }

    /// Records a successful access to the database.
    pub fn database_answered(&self) {
        self.0.state.is_database_up.store(true, Ordering::Relaxed);
    }

    /// Records a failed access to the database.
    pub fn database_failed(&self) {
        self.0.state.is_database_up.store(false, Ordering::Relaxed);
        self.0.instruments.failures.add(1, &[]);
    }

    /// Records the duration of a transaction.
    pub fn transaction(&self, name: &'static str, took: Duration) {
        self.0.instruments.transactions.record(
            took.as_secs_f64(),
            &[KeyValue::new("db.operation.name", name), KeyValue::new("db.system.name", "postgresql")],
        );
    }

    /// Registers a gauge whose values are read on collection.
    pub fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<GaugeSample> + Send + Sync + 'static,
    ) {
        self.0.instruments.gauge(name, unit, description, read);
    }

    /// Sends pending metrics and stops recording.
    pub async fn finish(&self) {
        if let Some(provider) = self.0.provider.clone() {
            // A failed collector has been logged already.
            let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        }
    }

    /// Returns all metrics in the text format of Prometheus; `None` if metrics are off.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        TextEncoder::new().encode_to_string(&self.0.registry.as_ref()?.gather()).ok()
    }
}

/// Measures a transaction, and records its duration when it is dropped.
#[derive(Debug)]
pub struct Timed {
    metrics: Metrics,
    name: &'static str,
    started: Instant,
}

impl Timed {
    /// Starts measuring a transaction.
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
