//! The HTTP routes of polls that have no prepared answer: `/v1/graph` for the default product, `/{product}/v1/graph` for each product.

use super::Fcos;
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::Response,
    routing::get,
};
use http::HeaderMap;
use tower_http::cors::{Any, CorsLayer};

/// Builds the routes.
pub(super) fn routes(fcos: Fcos) -> Router {
    Router::new()
        .route("/v1/graph", get(default_graph))
        .route("/{product}/v1/graph", get(product_graph))
        .layer(CorsLayer::new().allow_origin(Any))
        .with_state(fcos)
}

async fn default_graph(State(fcos): State<Fcos>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let product = fcos.settings.default_product.as_str();
    fcos.poll_rendering(product, query.as_deref(), &headers).await.map(Body::from)
}

async fn product_graph(
    State(fcos): State<Fcos>,
    product: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // A path that is not UTF-8 names no product.
    let product = product.map(|Path(product)| product).unwrap_or_default();
    fcos.poll_rendering(&product, query.as_deref(), &headers).await.map(Body::from)
}
