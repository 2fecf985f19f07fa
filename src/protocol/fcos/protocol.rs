//! Fedora CoreOS as one of the protocols of a service.

use super::{FcosDialect, FcosPrepare, Refusal, Settings, document_routes, poll::Polled, routes};
use crate::{
    http::problem::ProblemKind,
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, ProtocolEntry, Rejected},
};
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use std::sync::Arc;
use tower::limit::GlobalConcurrencyLimitLayer;

/// The Fedora CoreOS protocol: polls of graphs, and upstream's documents.
#[derive(Clone)]
pub struct Fcos {
    pub(super) on: Agents,
    pub(super) settings: Arc<Settings>,
}

/// The headers that a poll depends on.
const POLL_HEADERS: &[HeaderName] = &[header::ACCEPT_ENCODING, header::IF_NONE_MATCH];

/// The route of rejected polls in metrics.
const POLL_ROUTE: &str = "/v1/graph";

const POLL: Claim = Claim {
    method: Method::GET,
    path: POLL_ROUTE,
    is_prepared: true,
    headers: POLL_HEADERS,
    max_body: 0,
    rejected_route: Some(POLL_ROUTE),
};

const DOCUMENT: Claim =
    Claim { method: Method::GET, path: "", is_prepared: false, headers: &[], max_body: 0, rejected_route: None };

/// Polls and documents, at the root for the default product and below its name for each product.
const CLAIMS: &[Claim] = &[
    POLL,
    Claim { path: "/{product}/v1/graph", ..POLL },
    Claim { path: "/images", ..DOCUMENT },
    Claim { path: "/streams/{file}", ..DOCUMENT },
    Claim { path: "/updates/{file}", ..DOCUMENT },
    Claim { path: "/release-notes/{file}", ..DOCUMENT },
    Claim { path: "/prod/streams/{stream}/releases.json", ..DOCUMENT },
    Claim { path: "/{product}/images", ..DOCUMENT },
    Claim { path: "/{product}/streams/{file}", ..DOCUMENT },
    Claim { path: "/{product}/updates/{file}", ..DOCUMENT },
    Claim { path: "/{product}/release-notes/{file}", ..DOCUMENT },
    Claim { path: "/{product}/prod/streams/{stream}/releases.json", ..DOCUMENT },
];

/// The most documents that are rendered at a time.
const MAX_DOCUMENTS: usize = 4;

impl Fcos {
    /// Creates the protocol. Whether placeholder payloads are offered is decided by the listener.
    #[must_use]
    pub fn new(on: Agents, settings: Settings) -> Self {
        let settings = Settings { offer_synthetic: on.offers_synthetic, ..settings };
        Self { on, settings: Arc::new(settings) }
    }

    /// Returns the registry's entry of the protocol.
    #[must_use]
    pub fn entry(settings: Settings) -> ProtocolEntry {
        ProtocolEntry {
            dialect: Arc::new(FcosDialect),
            prepare: Some(Arc::new(FcosPrepare::default())),
            claims: CLAIMS.to_vec(),
            build: Box::new(move |on| Arc::new(Self::new(on, settings.clone()))),
        }
    }
}

impl Protocol for Fcos {
    fn answer(&self, request: &AgentRequest<'_>) -> Answer {
        let product = request.product.unwrap_or(self.settings.default_product.as_str());
        match self.poll(product, request.query, request.headers, None, request.admit) {
            Polled::Answered(response) => Answer::Done(allow_any_origin(response)),
            // The routes render the graph and count the poll.
            Polled::Missing(_) => Answer::Elsewhere,
        }
    }

    fn routes(&self) -> Router {
        // Documents are rendered per request. The limit leaves the runtime to managers and probes.
        let documents = document_routes::routes(self.clone());
        routes::routes(self.clone()).merge(documents.layer(GlobalConcurrencyLimitLayer::new(MAX_DOCUMENTS)))
    }

    fn reject(&self, claim: &Claim, why: Rejected) -> Response {
        if claim.is_prepared {
            let refusal = match why {
                Rejected::TooMany => Refusal::TooMany,
                // Polls have no body.
                Rejected::Overloaded | Rejected::TooLarge | Rejected::Incomplete => Refusal::Unavailable,
                Rejected::Host => Refusal::Host,
            };
            return allow_any_origin(self.refuse(&refusal)).map(Body::from);
        }
        match why {
            Rejected::TooMany => ProblemKind::TooManyRequests.because("too many requests from this address"),
            Rejected::Overloaded => ProblemKind::Overloaded.into(),
            Rejected::TooLarge => ProblemKind::TooLarge.into(),
            Rejected::Incomplete => ProblemKind::BadRequest.into(),
            Rejected::Host => ProblemKind::BadRequest.because("the request needs one `Host` header with a valid value"),
        }
        .into_response()
    }
}

/// Lets pages of any origin read a response.
fn allow_any_origin(mut response: http::Response<Bytes>) -> http::Response<Bytes> {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
