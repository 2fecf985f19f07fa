//! The HTTP routes for agents: `/v1/graph` for the default product, `/{product}/v1/graph` for each product.

use super::Settings;
use crate::{
    catalog::{CatalogHandle, Preparer},
    clock::SharedClock,
    fleet::UnknownPayloads,
    telemetry::Metrics,
};
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

/// The state of the routes for agents.
#[derive(Clone)]
pub struct Agents {
    /// The catalog.
    pub catalog: Arc<CatalogHandle>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The clock.
    pub clock: SharedClock,
    /// The metrics.
    pub metrics: Metrics,
    /// Renders and encodes answers in the background.
    pub preparer: Preparer,
    /// Counts unknown payloads.
    pub unknown: Arc<UnknownPayloads>,
}

/// Builds the routes.
pub fn routes(agents: Agents) -> Router {
    Router::new()
        .route("/v1/graph", get(default_graph))
        .route("/{product}/v1/graph", get(product_graph))
        .layer(CorsLayer::new().allow_origin(Any))
        .with_state(agents)
}

async fn default_graph(State(agents): State<Agents>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let product = agents.settings.default_product.as_str();
    agents.poll_rendering(product, query.as_deref(), &headers).await.map(Body::from)
}

async fn product_graph(
    State(agents): State<Agents>,
    product: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // A path that is not UTF-8 names no product.
    let product = product.map(|Path(product)| product).unwrap_or_default();
    agents.poll_rendering(&product, query.as_deref(), &headers).await.map(Body::from)
}
