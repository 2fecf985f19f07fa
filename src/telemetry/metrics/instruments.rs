//! What is counted, by its name, unit and meaning.

use super::{Reading, polls::Polls};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What holds now.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) from_disk: AtomicBool,
    pub(super) database_up: AtomicBool,
}

pub(super) struct Instruments {
    meter: Meter,
    pub(super) polls: Arc<Polls>,
    pub(super) requests: Histogram<f64>,
    pub(super) refused: Counter<u64>,
    pub(super) rebuilds: Histogram<f64>,
    pub(super) renders: Histogram<f64>,
    pub(super) failures: Counter<u64>,
    pub(super) transactions: Histogram<f64>,
}

/// In seconds: what is answered out of memory takes microseconds, what asks the database milliseconds, what hangs half a minute.
const SECONDS: [f64; 16] =
    [0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

impl Instruments {
    pub(super) fn of(meter: Meter, state: &Arc<State>, is_on: bool) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        let counter = |name: &'static str, description: &'static str| {
            meter.u64_counter(name).with_description(description).build()
        };
        let requests = seconds("http.server.request.duration", "How long requests took to be answered");
        let refused = counter("lockkeeper.connections.refused", "Connections for which there was no place");
        let failures = counter("lockkeeper.database.failures", "Times that the catalog could not read the database");
        // What never happened is shown as such.
        refused.add(0, &[]);
        failures.add(0, &[]);
        let instruments = Self {
            polls: Arc::new(Polls::of(&meter, &requests, is_on)),
            requests,
            refused,
            rebuilds: seconds(
                "lockkeeper.catalog.rebuild.duration",
                "From asking the store to the new answers, where something had changed",
            ),
            renders: seconds("lockkeeper.catalog.render.duration", "How long a stream's answers took to be made ahead"),
            failures,
            transactions: seconds("db.client.operation.duration", "How long transactions took, by their name"),
            meter,
        };
        let flag = |read: fn(&State) -> &AtomicBool| {
            let state = state.clone();
            move || vec![(f64::from(u8::from(read(&state).load(Ordering::Relaxed))), Vec::new())]
        };
        instruments.gauge(
            "lockkeeper.catalog.from_disk",
            "",
            "1 while polls are answered from the copy on disk",
            flag(|state| &state.from_disk),
        );
        instruments.gauge(
            "lockkeeper.database.up",
            "",
            "1 while the database answers, 0 while it does not",
            flag(|state| &state.database_up),
        );
        // Whoever reads asks every gauge first, and only then reads what was counted.
        let polls = instruments.polls.clone();
        instruments.gauge("lockkeeper.build.info", "", "This program", move || {
            polls.gather();
            vec![(1.0, vec![("version", env!("CARGO_PKG_VERSION").to_owned())])]
        });
        instruments
    }

    pub(super) fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        let gauge = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(description);
        let _ = gauge
            .with_callback(move |observer| observe(read(), |value, labels| observer.observe(value, labels)))
            .build();
    }

    /// One that only grows.
    pub(super) fn total(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        let total = self.meter.f64_observable_counter(name).with_unit(unit).with_description(description);
        let _ = total
            .with_callback(move |observer| observe(read(), |value, labels| observer.observe(value, labels)))
            .build();
    }
}

fn observe(readings: Vec<Reading>, observe: impl Fn(f64, &[KeyValue])) {
    for (value, labels) in readings {
        let labels: Vec<KeyValue> = labels.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
        observe(value, &labels);
    }
}
