//! What every request passes through.

use super::{access::AccessLog, problem::ProblemKind};
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
use tower_http::catch_panic::CatchPanicLayer;

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

/// Counts a request, and logs it if it is one that is logged, once, when it is answered.
async fn observe(State(around): State<Around>, request: Request, next: Next) -> Response {
    let started = around.access.wants_next().then(|| (Instant::now(), request.method().clone(), request.uri().clone()));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match tokio::time::timeout(around.answer_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ProblemKind::Timeout.into_response(),
    };
    around.metrics.request(route.as_ref().map(MatchedPath::as_str), response.status().as_u16());
    if let Some((started, method, uri)) = started {
        around.access.write(&method, uri.path(), response.status(), started.elapsed());
    }
    response
}
