//! Metrics, for Prometheus and those who read its format. Labels are bounded: streams, kinds of answers, routes; never a node.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use std::sync::Arc;

/// Everything that is counted. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    polls: Family<PollLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    revisions: Family<StreamLabels, Gauge>,
    broken: Family<StreamLabels, Counter>,
    database_up: Gauge,
    database_failures: Counter,
}

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
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("http_requests", "HTTP requests, by route and status", requests.clone());
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
        Self { registry: Arc::new(registry), polls, requests, revisions, broken, database_up, database_failures }
    }
}

impl Metrics {
    /// A poll was answered in this way.
    pub fn poll(&self, answer: &'static str) {
        self.polls.get_or_create(&PollLabels { answer }).inc();
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
