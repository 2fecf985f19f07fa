//! Health checks and metrics.

use crate::{
    catalog::CatalogHandle,
    clock::SharedClock,
    domain::admission::emergency_stop::EmergencyStop,
    fleet::{UnknownPayloads, Unknowns},
    http::problem::ProblemKind,
    telemetry::Metrics,
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The state that health checks and metrics read.
#[derive(Clone)]
pub(super) struct Status {
    pub(super) clock: SharedClock,
    pub(super) catalog: Arc<CatalogHandle>,
    pub(super) metrics: Metrics,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) unknown: Arc<UnknownPayloads>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    detail: &'static str,
    /// The last contact with the database.
    last_contact_at: Option<Timestamp>,
    /// Shares are frozen, because the last contact with the database was too long ago.
    stale: bool,
    /// No updates are offered, because the last contact with the database was even longer ago.
    closed: bool,
    /// The active emergency stops of this machine, of products and of streams.
    stopped: Vec<Stopped>,
    /// The revision of each stream that polls are answered from.
    streams: BTreeMap<String, i64>,
}

/// An active emergency stop.
#[derive(Serialize)]
struct Stopped {
    /// What is stopped: `local`, a product, or a stream with its product.
    what: String,
    since: Option<Timestamp>,
    reason: String,
}

fn active_stops(handle: &CatalogHandle) -> Vec<Stopped> {
    let catalog = handle.get();
    let local = handle.local_stop();
    let local =
        local.iter().map(|stop| Stopped { what: "local".into(), since: stop.since, reason: stop.reason.clone() });
    let stopped = |what: String, stop: &EmergencyStop| Stopped {
        what,
        since: Timestamp::from_second(stop.since.0).ok(),
        reason: stop.reason.as_str().into(),
    };
    let products = catalog.iter().flat_map(|catalog| &catalog.stops().active);
    let products = products.map(|(product, stop)| stopped(product.to_string(), stop));
    let streams = catalog.iter().flat_map(|catalog| catalog.streams());
    let streams = streams.filter_map(|(id, entry)| Some(stopped(id.to_string(), entry.stream().stop.as_ref()?)));
    local.chain(products).chain(streams).collect()
}

pub(super) fn routes(status: Status) -> Router {
    Router::new()
        .route("/healthz/live", get(|| async { "alive\n" }))
        .route("/healthz/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/fleet/unknown-payloads", get(unknown_payloads))
        .with_state(status)
}

async fn ready(State(status): State<Status>) -> Response {
    let catalog = status.catalog.get();
    let draining = status.draining.load(Ordering::Relaxed);
    let last_contact_at = status.catalog.last_contact_at();
    let stale = status.catalog.is_stale(status.clock.now());
    let readiness = Readiness {
        ready: catalog.is_some() && !draining,
        detail: match (&*catalog, draining) {
            (_, true) => "stopping",
            (None, _) if status.metrics.is_database_up() => "the database cannot be used yet, see the log",
            (None, _) => "the catalog has not been loaded yet",
            (Some(_), _) if status.metrics.is_serving_snapshot() && status.metrics.is_database_up() => {
                "answering from the snapshot, the database cannot be used yet, see the log"
            }
            (Some(_), _) if status.metrics.is_serving_snapshot() => {
                "answering from the snapshot, the database is unavailable"
            }
            (Some(_), _) if !status.metrics.is_database_up() => "answering, the database is unavailable",
            (Some(_), _) => "answering",
        },
        last_contact_at,
        stale,
        closed: status.catalog.is_closed(status.clock.now()),
        stopped: active_stops(&status.catalog),
        streams: catalog
            .iter()
            .flat_map(|catalog| catalog.streams())
            .map(|(id, entry)| (id.to_string(), entry.revision().0))
            .collect(),
    };
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

async fn unknown_payloads(State(status): State<Status>) -> Json<Unknowns> {
    let unknowns = status.unknown.list();
    let catalog = status.catalog.get();
    Json(match &*catalog {
        Some(catalog) => unknowns.with_releases(catalog),
        None => unknowns,
    })
}

async fn metrics(State(status): State<Status>) -> Response {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    match status.metrics.text() {
        Some(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        None => ProblemKind::NotFound.because("metrics are disabled by `telemetry.metrics`").into_response(),
    }
}
