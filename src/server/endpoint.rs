//! Answers requests on one address: polls at once, everything else by routes on the main runtime.

use super::{
    admission::Admission,
    agents::{AgentAnswers, PreparedRequest},
    fast_path::FastPath,
    reserved::ReservedRoutes,
};
use crate::{
    api,
    http::{
        client_addr::{ClientAddress, client_address},
        host::has_valid_host,
        layers::name,
        problem::ProblemKind,
    },
    protocol::{Claimed, Rejected},
    telemetry::Metrics,
};
use axum::{Router, body::Body, response::IntoResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use ipnet::IpNet;
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

/// The body of a response: bytes for polls, any body from routes.
pub(super) type Answer = Either<Full<Bytes>, Body>;

/// Answers the requests on one address.
pub(super) struct Endpoint {
    /// Answers agents on the calling runtime, if the listener serves agents.
    pub(super) agents: Option<Arc<AgentAnswers>>,
    /// Answers plain polls before hyper sees them, unless it is switched off.
    pub(super) fast_path: Option<FastPath>,
    /// All routes. They may use the database, whose connections belong to the main runtime.
    pub(super) router: Router,
    pub(super) main: Handle,
    /// The routes for which connections are reserved, if the listener serves agents, too.
    pub(super) reserved: Option<ReservedRoutes>,
    /// Limits how many requests are handled at a time.
    pub(super) request_limits: RequestLimits,
    pub(super) metrics: Metrics,
    /// The networks of proxies whose forwarding headers are trusted.
    pub(super) trusted_proxies: Arc<[IpNet]>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The time limit for a response.
    pub(super) answer_timeout: Duration,
    /// True during shutdown: responses tell clients to close their connections.
    pub(super) draining: Arc<AtomicBool>,
}

/// How many requests are handled at a time. Agents and managers have separate limits, and probes and restrictive requests have a reserve.
pub(super) struct RequestLimits {
    agents: Arc<Semaphore>,
    managers: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    /// Bodies of agents' requests that are being read.
    bodies: Arc<Semaphore>,
}

/// The most bodies of agents' requests that are read at a time.
const MAX_BODIES: usize = 256;

/// The number of probes and restrictive requests that are handled in addition.
const MAX_URGENT: usize = 64;

impl RequestLimits {
    pub(super) fn new(max: usize) -> Self {
        let permits = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let (agents, managers) = (permits(max), permits(max));
        Self { agents, managers, urgent: permits(MAX_URGENT), bodies: permits(MAX_BODIES) }
    }

    fn acquire(&self, method: &Method, path: &str) -> Option<OwnedSemaphorePermit> {
        let is_managers = path.starts_with(api::PREFIX);
        let semaphore = if is_managers { &self.managers } else { &self.agents };
        let is_urgent = api::restricts(method, path) || path.starts_with("/healthz/");
        let reserve = is_urgent.then_some(&self.urgent);
        std::iter::once(semaphore).chain(reserve).find_map(|semaphore| semaphore.clone().try_acquire_owned().ok())
    }
}

impl Endpoint {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        admission: &Admission,
    ) -> Result<Response<Answer>, Infallible> {
        let (started, method, version) = (Instant::now(), name(request.method()), request.version());
        let is_http1 = version < Version::HTTP_2;
        let mut is_last = self.is_draining();
        let mut response = if !admission.admits(request.uri().path(), self.reserved.as_ref()) {
            service_unavailable()
        } else if is_http1 && !has_valid_host(version, request.headers()) {
            is_last = true;
            self.refuse_host(&request, started, method)
        } else {
            self.answer_admitted(request, admission.peer(), started, method).await
        };
        if is_http1 && (is_last || admission.ends_after_answer()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Refuses a request of HTTP/1 whose host is missing, invalid or given twice (RFC 9112, section 3.2).
    fn refuse_host(&self, request: &Request<Incoming>, started: Instant, method: &'static str) -> Response<Answer> {
        let path = request.uri().path();
        if let Some(owner) = self.owner(request.method(), path) {
            return self.reject(&owner, Rejected::Host, started, method);
        }
        let problem = ProblemKind::BadRequest.because("the request needs one `Host` header with a valid value");
        let response = problem.into_response();
        self.count_unrouted(method, path.starts_with(api::PREFIX).then_some(api::PREFIX), response.status(), started);
        response.map(Either::Right)
    }

    /// Returns the protocol that a path belongs to.
    fn owner(&self, method: &Method, path: &str) -> Option<Claimed<'_>> {
        self.agents.as_ref()?.protocols.owner(method, path)
    }

    fn reject(&self, claimed: &Claimed<'_>, why: Rejected, started: Instant, method: &'static str) -> Response<Answer> {
        let response = claimed.protocol.reject(claimed.claim, why);
        self.count_unrouted(method, claimed.claim.rejected_route, response.status(), started);
        response.map(Either::Right)
    }

    async fn answer_admitted(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        started: Instant,
        method: &'static str,
    ) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let (path, headers, mut body) = (parts.uri.path(), &parts.headers, Body::new(body));
        if let Some(agents) = &self.agents
            && let Some(claimed) = agents.claim(&parts.method, path, headers)
        {
            let mut content = Bytes::new();
            if claimed.claim.max_body > 0 {
                let read = if agents.admits(peer, headers) {
                    self.read(body, claimed.claim.max_body).await
                } else {
                    Err(Rejected::TooMany)
                };
                content = match read {
                    Ok(content) => content,
                    Err(why) => return self.reject(&claimed, why, started, method),
                };
                body = Body::from(content.clone());
            }
            let request = PreparedRequest { path, query: parts.uri.query(), headers, body: content, peer };
            if let Some(response) = agents.answer(&claimed, request) {
                return response.map(|body| Either::Left(Full::new(body)));
            }
        }
        // Requests of agents that are not counted yet: other methods, encoded names, or answers that must be made first.
        let owner = self.owner(&parts.method, path);
        if let Some((owner, agents)) = owner.as_ref().zip(self.agents.as_ref())
            && !agents.admits(peer, headers)
        {
            return self.reject(owner, Rejected::TooMany, started, method);
        }
        let Some(permit) = self.request_limits.acquire(&parts.method, path) else {
            if let Some(owner) = &owner {
                return self.reject(owner, Rejected::Overloaded, started, method);
            }
            let response = ProblemKind::Overloaded.into_response();
            // The route is unknown before routing; the label names the agents' or the managers' side.
            let is_managers = path.starts_with(api::PREFIX);
            self.count_unrouted(method, is_managers.then_some(api::PREFIX), response.status(), started);
            return response.map(Either::Right);
        };
        let client = ClientAddress(client_address(peer, headers, &self.trusted_proxies));
        let router = self.router.clone();
        let answer = self.main.spawn(async move {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(client);
            let answer = router.oneshot(request).await;
            drop(permit);
            answer
        });
        let mut response = match answer.await {
            Ok(Ok(response)) => response,
            // Panics are caught by a layer, so this is a runtime that shuts down.
            Err(_) => ProblemKind::NotReady.into_response(),
        };
        if response.status() == StatusCode::NOT_MODIFIED {
            // axum sets it to 0. In a 304 it would be the length of the body that the client has (RFC 9110, section 8.6).
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response.map(Either::Right)
    }

    /// Reads the body of a claimed request, which may arrive in any number of pieces.
    async fn read(&self, body: Body, max: usize) -> Result<Bytes, Rejected> {
        // A size that is announced is checked before anything is read.
        if body.size_hint().lower() > u64::try_from(max).unwrap_or(u64::MAX) {
            return Err(Rejected::TooLarge);
        }
        let _permit = self.request_limits.bodies.try_acquire().map_err(|_| Rejected::Overloaded)?;
        let reading = Limited::new(body, max).collect();
        match tokio::time::timeout(self.answer_timeout, reading).await {
            Ok(Ok(content)) => Ok(content.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejected::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Rejected::Incomplete),
        }
    }

    fn count_unrouted(&self, method: &'static str, route: Option<&str>, status: StatusCode, started: Instant) {
        self.metrics.request(method, route, status.as_u16(), self.scheme, started.elapsed());
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The `Retry-After` of a refused connection, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Builds the response on a connection that is not admitted.
fn service_unavailable() -> Response<Answer> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_limit_and_urgent_requests_have_a_reserve() {
        for max in [1, usize::MAX] {
            let limits = RequestLimits::new(max);
            let acquire = |path| limits.acquire(&Method::GET, path);
            let held = (acquire("/v1/graph"), acquire("/api/v1/products"));
            assert!(held.0.is_some() && held.1.is_some());
            assert_eq!([acquire("/v1/graph"), acquire("/api/v1")].map(|permit| permit.is_some()), [max > 1; 2]);
            assert!(acquire("/healthz/live").is_some());
            drop(held);
            assert!(acquire("/v1/graph").is_some());
        }
    }
}
