//! Answers requests on one address: polls at once, everything else by routes on the main runtime.

use super::{
    admission::Admission,
    fast_path::{FastPath, PollRequest},
    reserved::ReservedRoutes,
    throttle::Throttle,
};
use crate::{
    api,
    http::{
        client_addr::{ClientAddress, client_address},
        host::has_valid_host,
        layers::name,
        problem::ProblemKind,
    },
    protocol::fcos::{Refusal, document_routes, routes::Agents},
    telemetry::Metrics,
};
use axum::{Router, body::Body, response::IntoResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
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
    /// The routes for agents, if the listener serves agents.
    pub(super) agents: Option<Agents>,
    /// Answers polls on the calling runtime, unless it is switched off.
    pub(super) fast_path: Option<FastPath>,
    /// All routes. They may use the database, whose connections belong to the main runtime.
    pub(super) router: Router,
    pub(super) main: Handle,
    /// The routes for which connections are reserved, if the listener serves agents, too.
    pub(super) reserved: Option<ReservedRoutes>,
    /// Limits how many requests are handled at a time.
    pub(super) request_limits: RequestLimits,
    pub(super) metrics: Metrics,
    pub(super) throttle: Option<Arc<Throttle>>,
    /// The networks of proxies whose forwarding headers are trusted.
    pub(super) trusted_proxies: Arc<[IpNet]>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// True during shutdown: responses tell clients to close their connections.
    pub(super) draining: Arc<AtomicBool>,
}

/// How many requests are handled at a time. Agents and managers have separate limits, and probes and restrictive requests have a reserve.
pub(super) struct RequestLimits {
    agents: Arc<Semaphore>,
    managers: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
}

/// The number of probes and restrictive requests that are handled in addition.
const MAX_URGENT: usize = 64;

impl RequestLimits {
    pub(super) fn new(max: usize) -> Self {
        let permits = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { agents: permits(max), managers: permits(max), urgent: permits(MAX_URGENT) }
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
        if let Some(agents) = self.agents.as_ref().filter(|_| is_poll(path)) {
            return self.refuse_poll(agents, &Refusal::Host, method, started);
        }
        let problem = ProblemKind::BadRequest.because("the request needs one `Host` header with a valid value");
        let response = problem.into_response();
        self.count_unrouted(method, path.starts_with(api::PREFIX).then_some(api::PREFIX), response.status(), started);
        response.map(Either::Right)
    }

    async fn answer_admitted(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        started: Instant,
        method: &'static str,
    ) -> Response<Answer> {
        if *request.method() == Method::GET {
            let (uri, headers) = (request.uri(), request.headers());
            let poll = PollRequest { path: uri.path(), query: uri.query(), headers, peer };
            if let Some(response) = self.fast_path.as_ref().and_then(|fast_path| fast_path.answer(&poll)) {
                return response.map(|body| Either::Left(Full::new(body)));
            }
        }
        // Polls that are not counted yet: all without the fast path; otherwise HEAD, an encoded product name, or a full graph that must
        // be rendered.
        let is_poll = is_poll(request.uri().path());
        if let Some(agents) = self.agents.as_ref().filter(|_| is_poll)
            && self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(peer, request.headers()))
        {
            return self.refuse_poll(agents, &Refusal::TooMany, method, started);
        }
        if self.agents.is_some()
            && document_routes::is_document(request.uri().path())
            && self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(peer, request.headers()))
        {
            let response = ProblemKind::TooManyRequests.because("too many requests from this address").into_response();
            self.count_unrouted(method, None, response.status(), started);
            return response.map(Either::Right);
        }
        let Some(permit) = self.request_limits.acquire(request.method(), request.uri().path()) else {
            if let Some(agents) = self.agents.as_ref().filter(|_| is_poll) {
                return self.refuse_poll(agents, &Refusal::Unavailable, method, started);
            }
            let response = ProblemKind::Overloaded.into_response();
            // The route is unknown before routing; the label names the agents' or the managers' side.
            let is_managers = request.uri().path().starts_with(api::PREFIX);
            self.count_unrouted(method, is_managers.then_some(api::PREFIX), response.status(), started);
            return response.map(Either::Right);
        };
        let client = ClientAddress(client_address(peer, request.headers(), &self.trusted_proxies));
        let router = self.router.clone();
        let answer = self.main.spawn(async move {
            let mut request = request.map(Body::new);
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

    /// Answers a poll with a refusal, which pages of any origin may read like other answers.
    fn refuse_poll(
        &self,
        agents: &Agents,
        refusal: &Refusal,
        method: &'static str,
        started: Instant,
    ) -> Response<Answer> {
        let mut response = agents.refuse(refusal);
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self.count_unrouted(method, Some("/v1/graph"), response.status(), started);
        response.map(|body| Either::Left(Full::new(body)))
    }

    fn count_unrouted(&self, method: &'static str, route: Option<&str>, status: StatusCode, started: Instant) {
        self.metrics.request(method, route, status.as_u16(), self.scheme, started.elapsed());
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Returns true if a path polls a graph, even if its product is percent-encoded.
fn is_poll(path: &str) -> bool {
    percent_decode_str(path).decode_utf8_lossy().ends_with("/v1/graph")
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
