//! The description of this service, the only resource that needs no token.

use crate::api::state::Api;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_service))
}

/// The service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "lockkeeper", "version": "0.1.0",
    "links": { "products": "/api/v1/products", "openapi": "/api/v1/openapi.json", "docs": "/api/v1/docs", "graph": "/v1/graph" } }))]
struct Service {
    /// The name, `lockkeeper`.
    name: &'static str,
    /// The version of the program.
    version: &'static str,
    /// Links to other resources.
    links: Links,
}

/// Links to other resources, as paths.
#[derive(Debug, Serialize, ToSchema)]
struct Links {
    /// The products.
    products: &'static str,
    /// The OpenAPI description of this API.
    openapi: &'static str,
    /// The documentation of this API, to read and try in a browser.
    docs: &'static str,
    /// The update graph that agents poll.
    graph: &'static str,
}

/// Get the name, version and links of this service
///
/// Requires no token.
#[utoipa::path(get, path = "/", tag = "service", security(()),
    responses((status = 200, description = "The service", body = Service)))]
async fn get_service() -> Json<Service> {
    let links = Links {
        products: "/api/v1/products",
        openapi: "/api/v1/openapi.json",
        docs: "/api/v1/docs",
        graph: "/v1/graph",
    };
    Json(Service { name: "lockkeeper", version: env!("CARGO_PKG_VERSION"), links })
}
