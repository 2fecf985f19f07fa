//! The routes that have reserved permits on a listener that also serves agents.

use axum::{Router, body::Body, extract::Request, middleware};
use futures_util::FutureExt;
use http::StatusCode;
use tower::ServiceExt;

/// The routes of managers and probes, used only to check which paths they serve.
#[derive(Debug)]
pub(super) struct ReservedRoutes(Router);

impl ReservedRoutes {
    /// Wraps the routes that have reserved permits.
    pub(super) fn new(routes: Router) -> Self {
        // Every route that matches returns this instead of running its handler.
        let matched = middleware::from_fn(async |_: Request, _: middleware::Next| StatusCode::NO_CONTENT);
        Self(routes.fallback(async || StatusCode::NOT_FOUND).route_layer(matched))
    }

    /// Returns true if one of the routes serves this path with any method.
    pub(super) fn matches(&self, path: &str) -> bool {
        let Ok(request) = Request::builder().uri(path).body(Body::empty()) else { return false };
        let answer = self.0.clone().oneshot(request).now_or_never();
        answer.is_some_and(|answer| answer.is_ok_and(|answer| answer.status() != StatusCode::NOT_FOUND))
    }
}
