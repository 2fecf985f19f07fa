//! What this service is, for whoever finds it: the one resource that needs no token.

use crate::api::state::Api;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(describe_service))
}

/// What this service is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "lockkeeper", "version": "0.1.0",
    "links": { "products": "/api/v1/products", "openapi": "/api/v1/openapi.json", "docs": "/api/v1/docs", "graph": "/v1/graph" } }))]
struct Description {
    /// `lockkeeper`
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Where to go on.
    links: Links,
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    /// The products and their streams.
    products: &'static str,
    /// The description of this API.
    openapi: &'static str,
    /// The same, to be read and tried in a browser.
    docs: &'static str,
    /// What agents poll.
    graph: &'static str,
}

/// What this service is, and where to go on; it needs no token
#[utoipa::path(get, path = "/", tag = "service", security(()), responses((status = 200, description = "its description", body = Description)))]
async fn describe_service() -> Json<Description> {
    let links = Links {
        products: "/api/v1/products",
        openapi: "/api/v1/openapi.json",
        docs: "/api/v1/docs",
        graph: "/v1/graph",
    };
    Json(Description { name: "lockkeeper", version: env!("CARGO_PKG_VERSION"), links })
}
