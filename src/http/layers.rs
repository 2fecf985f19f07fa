//! What every request passes through.

use super::problem::ProblemKind;
use crate::telemetry::Metrics;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::{
    any::Any,
    time::{Duration, Instant},
};
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer};

/// The most bytes of a body that is read: nothing here takes a larger one.
const MOST_BODY_BYTES: usize = 64 * 1024;
/// How long an answer may take.
const MOST_TIME: Duration = Duration::from_secs(30);

/// Puts limits, the request log and the handling of bugs around a router.
pub fn around(router: Router, metrics: Metrics) -> Router {
    router
        .fallback(|| async { ProblemKind::NotFound })
        .method_not_allowed_fallback(|| async { ProblemKind::MethodNotAllowed })
        .layer(RequestBodyLimitLayer::new(MOST_BODY_BYTES))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| {
            let text =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("something"), "a request ran into a bug");
            ProblemKind::Internal.into_response()
        }))
        .layer(middleware::from_fn_with_state(metrics, observe))
}

/// Counts and logs a request, once, when it is answered. The query is left out: nodes name themselves in it.
async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match tokio::time::timeout(MOST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ProblemKind::Timeout.into_response(),
    };
    let status = response.status().as_u16();
    metrics.request(route.as_ref().map(MatchedPath::as_str), status);
    tracing::debug!(
        http.method = %method,
        url.path = path,
        http.status = status,
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "a request was answered"
    );
    response
}
