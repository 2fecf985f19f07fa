//! The HTTP face for agents: `/v1/graph` for the default product, `/{product}/v1/graph` for every one.

use super::Settings;
use crate::{catalog::Live, clock::SharedClock, fleet::UnknownPayloads, telemetry::Metrics};
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::Response,
    routing::get,
};
use http::HeaderMap;
use std::sync::Arc;
use tower_http::cors::{Any, CorsLayer};

/// What answers are made of.
#[derive(Clone)]
pub struct Agents {
    /// The streams.
    pub live: Arc<Live>,
    /// What the operator chose.
    pub settings: Arc<Settings>,
    /// The time.
    pub clock: SharedClock,
    /// What is counted.
    pub metrics: Metrics,
    /// Payloads that no release has.
    pub unknown: Arc<UnknownPayloads>,
}

/// The routes.
pub fn routes(agents: Agents) -> Router {
    Router::new()
        .route("/v1/graph", get(default_graph))
        .route("/{product}/v1/graph", get(product_graph))
        .layer(CorsLayer::new().allow_origin(Any))
        .with_state(agents)
}

async fn default_graph(State(agents): State<Agents>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    agents.poll(agents.settings.default_product.as_str(), query.as_deref(), &headers).map(Body::from)
}

async fn product_graph(
    State(agents): State<Agents>,
    product: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // A path that is no text names no product.
    let product = product.map(|Path(product)| product).unwrap_or_default();
    agents.poll(&product, query.as_deref(), &headers).map(Body::from)
}
