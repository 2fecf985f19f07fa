//! `/api/v1`: what this service is, for whoever finds it.

use axum::{Json, Router, routing::get};
use serde::Serialize;

/// The service's own description: the one resource that needs no token.
#[derive(Debug, Serialize)]
struct Description {
    name: &'static str,
    version: &'static str,
    links: Links,
}

#[derive(Debug, Serialize)]
struct Links {
    graph: &'static str,
}

/// The routes.
pub fn routes() -> Router {
    Router::new().route("/api/v1", get(describe_service))
}

async fn describe_service() -> Json<Description> {
    Json(Description { name: "lockkeeper", version: env!("CARGO_PKG_VERSION"), links: Links { graph: "/v1/graph" } })
}
