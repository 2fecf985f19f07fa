//! Middleware for every request: limits, metrics, traces and the access log.

use super::{
    access::{AccessLog, Actor, Line},
    problem::ProblemKind,
};
use crate::telemetry::{Metrics, set_parent_from_headers};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderName, Method};
use std::{
    any::Any,
    time::{Duration, Instant},
};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, field};

/// The id of a request; the caller may choose it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of request ids and idempotency keys, in bytes.
pub const MAX_ID_BYTES: usize = 255;

/// The settings of the middleware.
#[derive(Debug, Clone)]
pub struct Around {
    /// The time limit for a response.
    pub answer_timeout: Duration,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// The access log.
    pub access: AccessLog,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Wraps a router in the time limit, metrics, traces, the access log and the handling of panics.
pub fn around(router: Router, around: Around) -> Router {
    router
        .fallback(|| async { ProblemKind::NotFound })
        .method_not_allowed_fallback(|| async { ProblemKind::MethodNotAllowed })
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| {
            let text =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("unknown"), "request handler panicked");
            ProblemKind::Internal.into_response()
        }))
        .layer(middleware::from_fn_with_state(around, observe))
}

/// Counts and traces a request, and logs it when it is answered if it is to be logged.
async fn observe(State(around): State<Around>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let route = route.as_ref().map(MatchedPath::as_str);
    let requested_id = request.headers().get(&REQUEST_ID).cloned();
    let logged = around.access.wants(request.uri().path()).then(|| request.uri().path().to_owned());
    // The highest level: `log.filter` disables spans of lower levels, and traces must not depend on it.
    let span = tracing::error_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{} {}", name(&method), route.unwrap_or_default()).trim_end(),
        http.request.method = name(&method),
        http.route = route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    );
    set_parent_from_headers(&span, request.headers());
    let answer = tokio::time::timeout(around.answer_timeout, next.run(request).instrument(span.clone()));
    let response = match answer.await {
        Ok(response) => response,
        Err(_) => ProblemKind::Timeout.into_response(),
    };
    let (status, took) = (response.status(), started.elapsed());
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    around.metrics.request(name(&method), route, status.as_u16(), around.scheme, took);
    if let Some(path) = logged {
        let actor = response.extensions().get::<Actor>();
        let request_id = response.headers().get(&REQUEST_ID).or(requested_id.as_ref()).and_then(|id| id.to_str().ok());
        let request_id = request_id.filter(|id| id.len() <= MAX_ID_BYTES);
        let line = Line { method: name(&method), path: &path, status, took, actor, request_id };
        span.in_scope(|| around.access.write(&line));
    }
    response
}

/// Returns the name of a method for metrics and traces. Unknown methods share one name: clients can send any.
#[must_use]
pub fn name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
