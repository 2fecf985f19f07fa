//! The protocols of agents, one folder each: they parse requests and render answers.
//!
//! A protocol is one [`ProtocolEntry`] of the registry that the server is given: its rules ([`Dialect`]), what it prepares from the catalog
//! ([`Prepare`]), the requests that it claims, and how it answers them ([`Protocol`]). The server knows these traits only. Protocols do not
//! know each other. Outside of this module, only the exchange of documents knows a protocol's formats.

mod claims;
pub mod fcos;
mod registry;

pub use claims::{Claim, ClaimClash};
pub use registry::{Claimed, Protocols, dialects, preparers};

use crate::{
    catalog::{CatalogHandle, Prepare, Preparer},
    clock::SharedClock,
    domain::{dialect::Dialect, epoch::Epoch},
    fleet::UnknownPayloads,
    telemetry::Metrics,
};
use axum::{Router, response::Response};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

/// A protocol, before the service that speaks it runs.
pub struct ProtocolEntry {
    /// Its name and rules.
    pub dialect: Arc<dyn Dialect>,
    /// What it prepares from the catalog for products that speak it; `None` if it prepares nothing.
    pub prepare: Option<Arc<dyn Prepare>>,
    /// The requests that it answers. They must not overlap with those of other protocols. Their first segments are reserved: no product
    /// can have such a name.
    pub claims: Vec<Claim>,
    /// Builds what answers the requests of one listener.
    pub build: Box<dyn Fn(Agents) -> Arc<dyn Protocol> + Send + Sync>,
}

/// The answers of a protocol to its agents.
pub trait Protocol: Send + Sync {
    /// Answers a request of a prepared claim at once: without locks and without waiting.
    fn answer(&self, request: &AgentRequest<'_>) -> Answer;

    /// Returns the routes of all requests that it claims. They answer what must be rendered or written first, other methods and encoded
    /// paths, and also prepared requests whose trace is exported.
    fn routes(&self) -> Router;

    /// Returns the response to a claimed request that is not answered, in the form that its agents read.
    fn reject(&self, claim: &Claim, why: Rejected) -> Response;

    /// Runs as long as the service, for what changes with time. Returns at once if there is nothing to do.
    fn upkeep(self: Arc<Self>) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// What a protocol answers from.
#[derive(Clone)]
pub struct Agents {
    /// The catalog.
    pub catalog: Arc<CatalogHandle>,
    /// The clock.
    pub clock: SharedClock,
    /// The metrics.
    pub metrics: Metrics,
    /// Renders and encodes answers in the background.
    pub preparer: Preparer,
    /// Counts unknown payloads.
    pub unknown: Arc<UnknownPayloads>,
    /// True if placeholder (synthetic) payloads are offered.
    pub offers_synthetic: bool,
}

/// The part of an answer to nodes that changes with time only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time for which they are answered. It stands still while the catalog is stale: shares must not open further then.
    pub time: Epoch,
    /// True if nothing may be offered to any node, whatever the catalog says: there is a local stop, or the last contact with the database
    /// is too long ago. A stop of a stream or product is a property of its streams.
    pub offers_nothing: bool,
}

impl Agents {
    /// Returns the present time for nodes, and whether anything may be offered. Answers that offer updates depend on both of its fields.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let now = self.clock.now();
        Moment { time: self.catalog.time(now).into(), offers_nothing: self.catalog.offers_nothing(now) }
    }
}

/// A request that matches a claim.
pub struct AgentRequest<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The path.
    pub path: &'a str,
    /// The segment of the path that names the product, if the claim has one.
    pub product: Option<&'a str>,
    /// The query.
    pub query: Option<&'a str>,
    /// The headers, or at least those that the claim names.
    pub headers: &'a HeaderMap,
    /// The body, if the claim allows one.
    pub body: Bytes,
    /// Counts the request against the limit of its address. It is called once it is known that the request can be answered; if it
    /// returns false, the answer is the protocol's own refusal. A request with a body was counted before the body was read.
    pub admit: &'a dyn Fn() -> bool,
}

/// The immediate result of a request.
#[derive(Debug)]
pub enum Answer {
    /// The response.
    Done(http::Response<Bytes>),
    /// The protocol's routes answer the request. It was not counted.
    Elsewhere,
}

/// Why a claimed request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The client's address sends too many requests.
    TooMany,
    /// The service handles too many requests.
    Overloaded,
    /// The body is larger than the claim allows.
    TooLarge,
    /// The body did not arrive, or not in time.
    Incomplete,
    /// The `Host` header is missing, invalid or given more than once.
    Host,
}
