//! The HTTP face for agents: `/v1/graph` for the default product, `/{product}/v1/graph` for every one.

use super::{Answer, Query, Refusal, Settings, answer};
use crate::{catalog::Live, clock::SharedClock, fleet::UnknownPayloads, http::etag, telemetry::Metrics};
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
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
    let product = agents.settings.default_product.clone();
    agents.poll(product.as_str(), query.as_deref(), &headers)
}

async fn product_graph(
    State(agents): State<Agents>,
    product: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    // A path that is no text names no product.
    let product = product.map(|Path(product)| product).unwrap_or_default();
    agents.poll(&product, query.as_deref(), &headers)
}

impl Agents {
    fn poll(&self, product: &str, query: Option<&str>, headers: &HeaderMap) -> Response {
        match self.decide(product, query) {
            Ok(answer) => {
                self.metrics.poll(answer.kind());
                respond(&answer, headers)
            }
            Err(refusal) => {
                self.metrics.poll(refusal.kind());
                refusal.into_response()
            }
        }
    }

    fn decide(&self, product: &str, query: Option<&str>) -> Result<Answer, Refusal> {
        let query = Query::parse(query.unwrap_or_default())?;
        let catalog = self.live.get().ok_or(Refusal::NotReady)?;
        if *product != *self.settings.default_product.as_str() && !catalog.has_product(product) {
            return Err(Refusal::UnknownProduct(product.into()));
        }
        let answer = answer(&catalog, &self.settings, product, &query, self.clock.now().into())?;
        if let (Answer::Unknown(_), Some(payload)) = (&answer, &query.os_checksum) {
            self.unknown.count(product, &query.stream, &query.basearch, query.scheme(), payload);
        }
        Ok(answer)
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Answers differ from node to node, and change without notice.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

fn respond(answer: &Answer, headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::from(answer.body().clone()));
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, JSON);
    to.insert(header::CACHE_CONTROL, CACHING);
    if let Answer::Whole(rendered) | Answer::Unknown(rendered) = answer {
        let tag = etag::strong(&rendered.hash);
        let held = etag::is_held(headers, &tag);
        to.insert(header::ETAG, tag);
        if held {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
    }
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, JSON), (header::CACHE_CONTROL, CACHING)];
        (self.status(), headers, self.body()).into_response()
    }
}
