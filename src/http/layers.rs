//! What every request passes through.

use super::{access::AccessLog, problem::ProblemKind};
use crate::telemetry::{Metrics, begun_by};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::Method;
use std::{
    any::Any,
    time::{Duration, Instant},
};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, field};

/// What every request is held to and counted by.
#[derive(Debug, Clone)]
pub struct Around {
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// What is counted.
    pub metrics: Metrics,
    /// What is logged.
    pub access: AccessLog,
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
    // What release managers do is few, and each of it matters.
    let access = if route.is_some_and(|route| route.starts_with("/api/")) { AccessLog::ALL } else { around.access };
    let logged = access.wants_next().then(|| request.uri().clone());
    let span = tracing::info_span!(
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
    around.metrics.request(name(&method), route, status.as_u16(), took);
    if let Some(uri) = logged {
        span.in_scope(|| access.write(&method, uri.path(), status, took));
    }
    response
}

/// A method as metrics and traces name it: anybody may make one up.
fn name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
