//! Metrics, for Prometheus and those who read its format. Labels are bounded: streams, kinds of answers, routes; never a node.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{sync::Arc, time::Duration};

/// Everything that is counted. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    polls: Family<PollLabels, Counter>,
    /// The usual ones of these, at hand without a lock.
    by_answer: Arc<[Counter; ANSWERS.len()]>,
    requests: Family<RequestLabels, Counter>,
    /// Polls among these, by status.
    polled: Arc<[Counter; STATUSES.len()]>,
    refused: Counter,
    rebuilds: Histogram,
    copied: Gauge,
    frozen: Gauge,
    heard_at: Gauge,
    revisions: Family<StreamLabels, Gauge>,
    broken: Family<StreamLabels, Counter>,
    database_up: Gauge,
    database_failures: Counter,
}

/// The route of polls.
const POLLS: &str = "/v1/graph";
/// The statuses of polls.
const STATUSES: [u32; 6] = [200, 304, 400, 404, 429, 503];
/// The usual answers, the most frequent first.
const ANSWERS: [&str; 4] = ["node_view", "whole", "unknown_payload", "empty"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    stream: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lockkeeper");
        let polls = Family::<PollLabels, Counter>::default();
        registry.register("polls", "Polls by agents, by the kind of answer", polls.clone());
        let by_answer = Arc::new(ANSWERS.map(|answer| polls.get_or_create_owned(&PollLabels { answer })));
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "HTTP requests, by route and status", requests.clone());
        let poll_status = |status| requests.get_or_create_owned(&RequestLabels { route: POLLS.into(), status });
        let polled = Arc::new(STATUSES.map(poll_status));
        let refused = Counter::default();
        registry.register("connections_refused", "Connections for which there was no place", refused.clone());
        let rebuilds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        registry.register_with_unit(
            "catalog_rebuild",
            "From asking the store to the new answers, where something had changed",
            Unit::Seconds,
            rebuilds.clone(),
        );
        let copied = Gauge::default();
        registry.register("catalog_from_disk", "1 while polls are answered from the copy on disk", copied.clone());
        let frozen = Gauge::default();
        registry.register("catalog_frozen", "1 while every share stands still, as the store is silent", frozen.clone());
        let heard_at = Gauge::default();
        registry.register_with_unit(
            "catalog_heard",
            "When the store was last heard of, since 1970",
            Unit::Seconds,
            heard_at.clone(),
        );
        let revisions = Family::<StreamLabels, Gauge>::default();
        registry.register(
            "catalog_revision",
            "The revision of each stream that polls are answered from",
            revisions.clone(),
        );
        let broken = Family::<StreamLabels, Counter>::default();
        registry.register("catalog_broken", "Revisions of a stream that could not be read", broken.clone());
        let database_up = Gauge::default();
        registry.register("database_up", "1 while the database answers, 0 while it does not", database_up.clone());
        let database_failures = Counter::default();
        registry.register(
            "database_failures",
            "Times that the catalog could not read the database",
            database_failures.clone(),
        );
        registry.register("build", "This program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            registry: Arc::new(registry),
            polls,
            by_answer,
            requests,
            polled,
            refused,
            rebuilds,
            copied,
            frozen,
            heard_at,
            revisions,
            broken,
            database_up,
            database_failures,
        }
    }
}

impl Metrics {
    /// A poll was answered in this way.
    pub fn poll(&self, answer: &'static str) {
        match ANSWERS.iter().position(|known| *known == answer).and_then(|index| self.by_answer.get(index)) {
            Some(counter) => counter.inc(),
            None => self.polls.get_or_create(&PollLabels { answer }).inc(),
        };
    }

    /// A poll was answered with this status.
    pub fn poll_request(&self, status: u16) {
        match STATUSES.iter().position(|known| *known == u32::from(status)).and_then(|index| self.polled.get(index)) {
            Some(counter) => drop(counter.inc()),
            None => self.request(Some(POLLS), status),
        }
    }

    /// There was no place for a connection.
    pub fn connection_refused(&self) {
        self.refused.inc();
    }

    /// A changed catalog took this long from the store to the polls.
    pub fn catalog_rebuilt(&self, took: Duration) {
        self.rebuilds.observe(took.as_secs_f64());
    }

    /// Polls are answered from the copy on disk, or from what was heard of the store.
    pub fn serving_copy(&self, copied: bool) {
        self.copied.set(copied.into());
    }

    /// Are polls answered from the copy on disk?
    #[must_use]
    pub fn is_serving_copy(&self) -> bool {
        self.copied.get() == 1
    }

    /// Did the database answer when it was last asked?
    #[must_use]
    pub fn is_database_up(&self) -> bool {
        self.database_up.get() == 1
    }

    /// Whether every share stands still, and when the store was last heard of.
    pub fn catalog_heard(&self, at: Option<i64>, is_frozen: bool) {
        self.heard_at.set(at.unwrap_or_default());
        self.frozen.set(is_frozen.into());
    }

    /// A request was answered. The route is the pattern that matched, or nothing.
    pub fn request(&self, route: Option<&str>, status: u16) {
        let labels = RequestLabels { route: route.unwrap_or("none").into(), status: status.into() };
        self.requests.get_or_create(&labels).inc();
    }

    /// The database answered.
    pub fn database_answered(&self) {
        self.database_up.set(1);
    }

    /// The database did not answer.
    pub fn database_failed(&self) {
        self.database_up.set(0);
        self.database_failures.inc();
    }

    /// A stream is served from this revision on.
    pub fn stream_loaded(&self, stream: &impl ToString, revision: i64) {
        self.revisions.get_or_create(&StreamLabels { stream: stream.to_string() }).set(revision);
    }

    /// A revision of a stream could not be read.
    pub fn stream_broken(&self, stream: &impl ToString) {
        self.broken.get_or_create(&StreamLabels { stream: stream.to_string() }).inc();
    }

    /// Everything, in the text format of `OpenMetrics`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
