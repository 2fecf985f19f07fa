//! What agents are answered. Everything that a poll counts is looked up ahead: counting is then a matter of nanoseconds.

use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The route of polls.
const ROUTE: &str = "/v1/graph";
/// The statuses of polls.
const STATUSES: [u16; 6] = [200, 304, 400, 404, 429, 503];
/// The answers to polls that name a scope.
const ANSWERS: [&str; 4] = ["node_view", "whole", "unknown_payload", "empty"];

/// What one graph is for.
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

type Key = [String; 4];

pub(super) struct Polls {
    answers: Counter<u64>,
    held_back: Counter<u64>,
    wariness: Histogram<f64>,
    requests: Histogram<f64>,
    by_status: [BoundHistogram<f64>; STATUSES.len()],
    by_scope: Mutex<BTreeMap<Key, Arc<PollTally>>>,
}

/// What agents are answered in one scope.
#[derive(Debug)]
pub struct PollTally {
    answers: [BoundCounter<u64>; ANSWERS.len()],
    held_back: BoundCounter<u64>,
    wariness: BoundHistogram<f64>,
}

impl PollTally {
    /// A poll was answered in this way, to somebody this wary; something may have been held back from them.
    pub fn count(&self, answer: &'static str, wariness: f64, held_back: bool) {
        let index = ANSWERS.iter().position(|known| *known == answer);
        if let Some(counter) = index.and_then(|index| self.answers.get(index)) {
            counter.add(1);
        }
        self.wariness.record(wariness);
        if held_back {
            self.held_back.add(1);
        }
    }
}

fn status_labels(status: u16) -> [KeyValue; 3] {
    [
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.route", ROUTE),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ]
}

impl Polls {
    pub(super) fn of(meter: &Meter, requests: &Histogram<f64>) -> Self {
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_unit("{poll}").with_description(description).build()
        };
        Self {
            answers: counter("lockkeeper.polls", "Polls by agents, by scope and kind of answer"),
            held_back: counter("lockkeeper.polls.held_back", "Polls from which a release was held back"),
            wariness: meter
                .f64_histogram("lockkeeper.poll.wariness")
                .with_description("Where those who polled stand, 0 (first) to 1 (last)")
                .with_boundaries((0..=10).map(|tenth| f64::from(tenth) / 10.0).collect())
                .build(),
            by_status: STATUSES.map(|status| requests.bind(&status_labels(status))),
            requests: requests.clone(),
            by_scope: Mutex::default(),
        }
    }

    pub(super) fn scope(&self, scope: &Scope<'_>) -> Arc<PollTally> {
        let key = [scope.product, scope.stream, scope.arch, scope.scheme].map(str::to_owned);
        let mut by_scope = self.by_scope.lock().unwrap_or_else(PoisonError::into_inner);
        by_scope.entry(key).or_insert_with(|| Arc::new(self.tally(scope))).clone()
    }

    fn tally(&self, scope: &Scope<'_>) -> PollTally {
        let stream =
            [KeyValue::new("product", scope.product.to_owned()), KeyValue::new("stream", scope.stream.to_owned())];
        PollTally {
            answers: ANSWERS.map(|answer| self.answers.bind(&labels(scope, answer))),
            held_back: self.held_back.bind(&stream),
            wariness: self.wariness.bind(&stream),
        }
    }

    /// Polls that are refused name no scope that there is.
    pub(super) fn refused(&self, reason: &'static str) {
        let none = Scope { product: "none", stream: "none", arch: "none", scheme: "none" };
        self.answers.add(1, &labels(&none, reason));
    }

    pub(super) fn answered(&self, status: u16, took: Duration) {
        match STATUSES.iter().position(|known| *known == status).and_then(|index| self.by_status.get(index)) {
            Some(histogram) => histogram.record(took.as_secs_f64()),
            None => self.requests.record(took.as_secs_f64(), &status_labels(status)),
        }
    }
}

fn labels(scope: &Scope<'_>, answer: &'static str) -> [KeyValue; 5] {
    [
        KeyValue::new("product", scope.product.to_owned()),
        KeyValue::new("stream", scope.stream.to_owned()),
        KeyValue::new("arch", scope.arch.to_owned()),
        KeyValue::new("scheme", scope.scheme.to_owned()),
        KeyValue::new("answer", answer),
    ]
}
