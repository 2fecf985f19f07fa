//! What every request passes through.

use super::{
    access::{AccessLog, Asker, Line},
    problem::ProblemKind,
};
use crate::telemetry::{Metrics, begun_by};
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

/// What a request is known by; taken from the caller where it is given.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// More than that is no name.
pub const MOST_ID_BYTES: usize = 255;

/// What every request is held to and counted by.
#[derive(Debug, Clone)]
pub struct Around {
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// What is counted.
    pub metrics: Metrics,
    /// What is logged.
    pub access: AccessLog,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Puts limits, the request log and the handling of bugs around a router.
pub fn around(router: Router, around: Around) -> Router {
    router
        .fallback(|| async { ProblemKind::NotFound })
        .method_not_allowed_fallback(|| async { ProblemKind::MethodNotAllowed })
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| {
            let text =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("something"), "a request ran into a bug");
            ProblemKind::Internal.into_response()
        }))
        .layer(middleware::from_fn_with_state(around, observe))
}

/// Counts a request, traces it, and logs it if it is one that is logged, once, when it is answered.
async fn observe(State(around): State<Around>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let route = route.as_ref().map(MatchedPath::as_str);
    let named = request.headers().get(&REQUEST_ID).cloned();
    let logged = around.access.wants(request.uri().path()).then(|| request.uri().path().to_owned());
    // What is traced does not hang on what is logged: a span of a lower level would end with `log.filter`.
    let span = tracing::error_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{} {}", name(&method), route.unwrap_or_default()).trim_end(),
        http.request.method = name(&method),
        http.route = route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    );
    begun_by(&span, request.headers());
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
        let who = response.extensions().get::<Asker>();
        let request_id = response.headers().get(&REQUEST_ID).or(named.as_ref()).and_then(|id| id.to_str().ok());
        let request_id = request_id.filter(|id| id.len() <= MOST_ID_BYTES);
        let line = Line { method: name(&method), path: &path, status, took, who, request_id };
        span.in_scope(|| around.access.write(&line));
    }
    response
}

/// A method as metrics and traces name it: anybody may make one up.
#[must_use]
pub fn name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
