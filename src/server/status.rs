//! Health checks and metrics.

use crate::{
    catalog::Live,
    clock::SharedClock,
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

/// What health is judged by.
#[derive(Clone)]
pub(super) struct Status {
    pub(super) clock: SharedClock,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Metrics,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) unknown: Arc<UnknownPayloads>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    detail: &'static str,
    /// When the store was last heard of.
    heard_at: Option<Timestamp>,
    /// Every share stands still, as the store is silent.
    frozen: bool,
    /// The revision of each stream that polls are answered from.
    streams: BTreeMap<String, i64>,
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
    let catalog = status.live.get();
    let draining = status.draining.load(Ordering::Relaxed);
    let heard_at = status.live.heard_at();
    let frozen = status.live.is_frozen(status.clock.now());
    let readiness = Readiness {
        ready: catalog.is_some() && !draining,
        detail: match (&*catalog, draining) {
            (_, true) => "stopping",
            (None, _) if status.metrics.is_database_up() => "the store cannot be used yet: see the log",
            (None, _) => "the store has not been read yet",
            (Some(_), _) if status.metrics.is_serving_copy() && status.metrics.is_database_up() => {
                "answering from the copy on disk, until the store can be used: see the log"
            }
            (Some(_), _) if status.metrics.is_serving_copy() => "answering from the copy on disk, the database is away",
            (Some(_), _) if !status.metrics.is_database_up() => "answering, though the database is away",
            (Some(_), _) => "answering",
        },
        heard_at,
        frozen,
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
    Json(status.unknown.list())
}

async fn metrics(State(status): State<Status>) -> Response {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    match status.metrics.text() {
        Some(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        None => ProblemKind::NotFound.because("telemetry.metrics is off").into_response(),
    }
}
