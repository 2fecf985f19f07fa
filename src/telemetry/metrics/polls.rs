//! Counts responses to agents. Counters are looked up in advance, and each thread buffers its counts until the buffer is full or
//! the metrics are collected. So counting takes nanoseconds, however many cores serve polls.

use super::{labels::request, shards::Shards};
use arc_swap::ArcSwap;
use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The URL schemes of polls.
const SCHEMES: [&str; 2] = ["http", "https"];
/// The statuses of polls.
const STATUSES: [u16; 6] = [200, 304, 400, 404, 429, 503];
/// The labels of a protocol's answers to polls of an existing scope. Counts name them by their index.
#[derive(Debug)]
pub struct PollLabels {
    /// The name of the protocol: each has counters of its own.
    pub protocol: &'static str,
    /// The values of the label `answer`, each with the label `payload` of polls with an unknown payload.
    pub answers: &'static [(&'static str, Option<&'static str>)],
}

/// The scope of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope<'a> {
    /// The product.
    pub product: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The arch.
    pub arch: &'a str,
    /// The scheme of its payloads.
    pub scheme: &'a str,
}

/// The number of polls that a thread buffers.
const BUFFER_SIZE: usize = 128;

/// The protocol, then product, stream, arch and scheme, which labels share.
type Key = Arc<(&'static str, [Arc<str>; 4])>;

pub(super) struct Polls {
    is_on: bool,
    answers: Counter<u64>,
    held_back: Counter<u64>,
    rendered: Counter<u64>,
    wariness: Histogram<f64>,
    requests: Histogram<f64>,
    routes: Mutex<Vec<Arc<RouteTimes>>>,
    by_scope: ArcSwap<BTreeMap<Key, Arc<PollTally>>>,
}

/// The counters for polls of one scope.
#[derive(Debug)]
pub struct PollTally {
    is_on: bool,
    answers: Vec<BoundCounter<u64>>,
    held_back: BoundCounter<u64>,
    rendered: BoundCounter<u64>,
    wariness: BoundHistogram<f64>,
    pending: Shards<Pending>,
}

/// Buffered counts.
#[derive(Debug, Default)]
struct Pending {
    answers: Vec<u64>,
    held_back: u64,
    wariness: Vec<f64>,
}

impl PollTally {
    /// Counts a poll: the index of its answer among the labels of the protocol, the node's wariness, and whether a release was held back
    /// from the node.
    pub fn count(&self, answer: usize, wariness: f64, held_back: bool) {
        if !self.is_on {
            return;
        }
        let mut pending = self.pending.own();
        if pending.answers.is_empty() {
            pending.answers.resize(self.answers.len(), 0);
        }
        if let Some(count) = pending.answers.get_mut(answer) {
            *count += 1;
        }
        pending.held_back += u64::from(held_back);
        pending.wariness.push(wariness);
        if pending.wariness.len() >= BUFFER_SIZE {
            self.flush(&mut pending);
        }
    }

    /// Counts a full graph that was rendered for a poll.
    pub fn count_rendered(&self) {
        if self.is_on {
            self.rendered.add(1);
        }
    }

    fn flush(&self, pending: &mut Pending) {
        for (counter, count) in self.answers.iter().zip(&mut pending.answers) {
            counter.add(std::mem::take(count));
        }
        self.held_back.add(std::mem::take(&mut pending.held_back));
        for wariness in pending.wariness.drain(..) {
            self.wariness.record(wariness);
        }
    }
}

/// The number of combinations of scheme and status.
const KINDS: usize = SCHEMES.len() * STATUSES.len();

/// The durations of the requests of one method and route.
pub struct RouteTimes {
    is_on: bool,
    method: &'static str,
    route: &'static str,
    requests: Histogram<f64>,
    by_kind: [BoundHistogram<f64>; KINDS],
    pending: Shards<[Vec<f64>; KINDS]>,
}

impl RouteTimes {
    /// Records the response to a request, and its duration.
    pub fn record(&self, status: u16, scheme: &'static str, took: Duration) {
        if !self.is_on {
            return;
        }
        let Some(index) = kind(scheme, status) else {
            let labels = request(self.method, Some(self.route), status, scheme);
            return self.requests.record(took.as_secs_f64(), &labels);
        };
        let mut pending = self.pending.own();
        if let Some(times) = pending.get_mut(index) {
            times.push(took.as_secs_f64());
            if times.len() >= BUFFER_SIZE {
                self.flush(&mut pending);
            }
        }
    }

    fn flush(&self, pending: &mut [Vec<f64>; KINDS]) {
        for (histogram, times) in self.by_kind.iter().zip(pending) {
            for took in times.drain(..) {
                histogram.record(took);
            }
        }
    }
}

/// Returns the index of a combination; `None` for other statuses or schemes.
fn kind(scheme: &str, status: u16) -> Option<usize> {
    let scheme = SCHEMES.iter().position(|known| *known == scheme)?;
    let status = STATUSES.iter().position(|known| *known == status)?;
    Some(scheme * STATUSES.len() + status)
}

fn kind_labels(method: &'static str, route: &'static str, kind: usize) -> Vec<KeyValue> {
    let status = STATUSES.get(kind % STATUSES.len()).copied().unwrap_or_default();
    let scheme = SCHEMES.get(kind / STATUSES.len()).copied().unwrap_or_default();
    request(method, Some(route), status, scheme)
}

impl Polls {
    pub(super) fn new(meter: &Meter, requests: &Histogram<f64>, is_on: bool) -> Self {
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_unit("{poll}").with_description(description).build()
        };
        Self {
            is_on,
            answers: counter("lockkeeper.polls", "Polls of agents, by scope and kind of answer"),
            held_back: counter("lockkeeper.polls.held_back", "Polls for which an ongoing rollout held a release back"),
            rendered: meter
                .u64_counter("lockkeeper.catalog.graphs.rendered")
                .with_description("Full graphs rendered for a poll because they were not cached")
                .build(),
            wariness: meter
                .f64_histogram("lockkeeper.poll.wariness")
                .with_description("Wariness of polling nodes, 0 (first) to 1 (last)")
                .with_boundaries((0..=10).map(|tenth| f64::from(tenth) / 10.0).collect())
                .build(),
            requests: requests.clone(),
            routes: Mutex::default(),
            by_scope: ArcSwap::default(),
        }
    }

    /// Creates the durations of a method and route.
    pub(super) fn route(&self, method: &'static str, route: &'static str) -> Arc<RouteTimes> {
        let times = Arc::new(RouteTimes {
            is_on: self.is_on,
            method,
            route,
            requests: self.requests.clone(),
            by_kind: std::array::from_fn(|kind| self.requests.bind(&kind_labels(method, route, kind))),
            pending: Shards::default(),
        });
        self.routes().push(times.clone());
        times
    }

    fn routes(&self) -> MutexGuard<'_, Vec<Arc<RouteTimes>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn scope(&self, scope: &Scope<'_>, answers: &PollLabels) -> Arc<PollTally> {
        let names = [scope.product, scope.stream, scope.arch, scope.scheme].map(Arc::from);
        let key: Key = Arc::new((answers.protocol, names));
        if let Some(tally) = self.by_scope.load().get(&key) {
            return tally.clone();
        }
        let tally = Arc::new(self.tally(&key.1, answers));
        self.by_scope.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.entry(key.clone()).or_insert_with(|| tally.clone());
            all
        });
        self.by_scope.load().get(&key).cloned().unwrap_or(tally)
    }

    fn tally(&self, names: &[Arc<str>; 4], answers: &PollLabels) -> PollTally {
        let [product, stream, ..] = names;
        let stream = [KeyValue::new("product", product.clone()), KeyValue::new("stream", stream.clone())];
        PollTally {
            is_on: self.is_on,
            answers: answers
                .answers
                .iter()
                .map(|(answer, payload)| self.answers.bind(&labels(names, answer, *payload)))
                .collect(),
            held_back: self.held_back.bind(&stream),
            rendered: self.rendered.bind(&stream),
            wariness: self.wariness.bind(&stream),
            pending: Shards::default(),
        }
    }

    /// Counts a rejected poll, which has no existing scope.
    pub(super) fn refused(&self, reason: &'static str) {
        if !self.is_on {
            return;
        }
        let none: Arc<str> = "none".into();
        self.answers.add(1, &labels(&std::array::from_fn(|_| none.clone()), reason, None));
    }

    /// Flushes the buffers of all threads.
    pub(super) fn gather(&self) {
        for route in self.routes().iter() {
            route.pending.each(|pending| route.flush(pending));
        }
        for tally in self.by_scope.load().values() {
            tally.pending.each(|pending| tally.flush(pending));
        }
    }
}

fn labels(names: &[Arc<str>; 4], answer: &'static str, payload: Option<&'static str>) -> Vec<KeyValue> {
    let [product, stream, arch, scheme] = names;
    let mut labels = vec![
        KeyValue::new("product", product.clone()),
        KeyValue::new("stream", stream.clone()),
        KeyValue::new("arch", arch.clone()),
        KeyValue::new("scheme", scheme.clone()),
        KeyValue::new("answer", answer),
    ];
    labels.extend(payload.map(|payload| KeyValue::new("payload", payload)));
    labels
}
