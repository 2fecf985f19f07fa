//! The metrics, with their names, units and descriptions.

use super::{GaugeSample, polls::Polls};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// State that gauges show.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_serving_snapshot: AtomicBool,
    pub(super) is_database_up: AtomicBool,
}

pub(super) struct Instruments {
    meter: Meter,
    pub(super) polls: Arc<Polls>,
    pub(super) requests: Histogram<f64>,
    pub(super) refused: Counter<u64>,
    pub(super) rebuilds: Histogram<f64>,
    pub(super) renders: Histogram<f64>,
    pub(super) failures: Counter<u64>,
    pub(super) authentication_failures: Counter<u64>,
    pub(super) encoding_failures: Counter<u64>,
    pub(super) events: Counter<u64>,
    pub(super) followed_releases: Counter<u64>,
    pub(super) transactions: Histogram<f64>,
}

/// Histogram boundaries, in seconds: microseconds for responses from memory, milliseconds for the database, 30 s for timeouts.
const SECONDS: [f64; 16] =
    [0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

impl Instruments {
    pub(super) fn new(meter: Meter, state: &Arc<State>, is_on: bool) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).build()
        };
        let requests = seconds("http.server.request.duration", "Duration of HTTP requests");
        let refused =
            counter("lockkeeper.connections.refused", "Connections rejected because a connection limit was reached");
        let failures = counter("lockkeeper.database.failures", "Failed attempts of the catalog to read the database");
        let authentication_failures =
            counter("lockkeeper.authentication.failures", "API requests whose token was not accepted");
        authentication_failures.add(0, &[]);
        let encoding_failures =
            counter("lockkeeper.encodings.failures", "Responses that could not be encoded and are sent unencoded");
        for coding in ["gzip", "zstd"] {
            encoding_failures.add(0, &[KeyValue::new("coding", coding)]);
        }
        let events = counter("lockkeeper.events.written", "Events that this process wrote");
        events.add(0, &[]);
        let followed_releases =
            counter("lockkeeper.follow.releases", "Releases that this process made of tags of followed repositories");
        for outcome in ["drafted", "published"] {
            followed_releases.add(0, &[KeyValue::new("outcome", outcome)]);
        }
        // Series exist from the start, with the value 0.
        for reason in ["full", "address"] {
            refused.add(0, &[KeyValue::new("reason", reason)]);
        }
        failures.add(0, &[]);
        let instruments = Self {
            polls: Arc::new(Polls::new(&meter, &requests, is_on)),
            requests,
            refused,
            rebuilds: seconds(
                "lockkeeper.catalog.rebuild.duration",
                "Time from querying the database for changes to serving them, for each change",
            ),
            renders: seconds("lockkeeper.catalog.render.duration", "Time to prepare the responses of a stream"),
            failures,
            authentication_failures,
            encoding_failures,
            events,
            followed_releases,
            transactions: seconds("db.client.operation.duration", "Duration of database transactions, by name"),
            meter,
        };
        let flag = |read: fn(&State) -> &AtomicBool| {
            let state = state.clone();
            move || vec![(f64::from(u8::from(read(&state).load(Ordering::Relaxed))), Vec::new())]
        };
        instruments.gauge(
            "lockkeeper.catalog.from_disk",
            "",
            "1 while polls are answered from the snapshot on disk",
            flag(|state| &state.is_serving_snapshot),
        );
        instruments.gauge(
            "lockkeeper.database.up",
            "",
            "1 while the database responds, 0 otherwise",
            flag(|state| &state.is_database_up),
        );
        // A reader calls all gauges before it reads counters, so this gauge can flush the pending counts first.
        let polls = instruments.polls.clone();
        instruments.gauge("lockkeeper.build.info", "", "The version of this program", move || {
            polls.gather();
            vec![(1.0, vec![("version", env!("CARGO_PKG_VERSION").to_owned())])]
        });
        instruments
    }

    /// Registers a gauge whose values are read on collection.
    pub(super) fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<GaugeSample> + Send + Sync + 'static,
    ) {
        let gauge = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(description);
        let _ = gauge
            .with_callback(move |observer| observe(read(), |value, labels| observer.observe(value, labels)))
            .build();
    }

    /// Registers a counter whose values are read on collection.
    pub(super) fn total(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<GaugeSample> + Send + Sync + 'static,
    ) {
        let total = self.meter.f64_observable_counter(name).with_unit(unit).with_description(description);
        let _ = total
            .with_callback(move |observer| observe(read(), |value, labels| observer.observe(value, labels)))
            .build();
    }
}

fn observe(samples: Vec<GaugeSample>, observe: impl Fn(f64, &[KeyValue])) {
    for (value, labels) in samples {
        let labels: Vec<KeyValue> = labels.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
        observe(value, &labels);
    }
}
