//! Answers requests on one address: polls at once, everything else by routes on the main runtime.

use super::{admission::Admission, reserved::ReservedRoutes};
use crate::{
    api,
    clock::SharedClock,
    config::LimitSettings,
    http::{
        access::{AccessLog, Line},
        client_addr::{ClientAddress, client_address, network},
        host::has_valid_host,
        layers::name,
        problem::ProblemKind,
    },
    protocol::fcos::{Refusal, document_routes, poll::Polled, routes::Agents},
    telemetry::{Metrics, PollRoute, is_traced},
};
use axum::{Router, body::Body, response::IntoResponse};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use std::{
    convert::Infallible,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
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
    /// Answers polls, on the calling runtime.
    pub(super) agents: Option<Agents>,
    /// The other routes. They may use the database, whose connections belong to the main runtime.
    pub(super) router: Router,
    pub(super) main: Handle,
    /// The routes for which connections are reserved, if the listener serves agents, too.
    pub(super) reserved: Option<ReservedRoutes>,
    /// Limits how many requests are handled at a time.
    pub(super) request_limits: RequestLimits,
    pub(super) clock: SharedClock,
    pub(super) metrics: Metrics,
    pub(super) access: AccessLog,
    pub(super) throttle: Option<Arc<Throttle>>,
    /// The networks of proxies whose forwarding headers are trusted.
    pub(super) trusted_proxies: Arc<[IpNet]>,
    /// True if traces are exported. Otherwise, requests with a trace context are answered like others.
    pub(super) exports_traces: bool,
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

/// The header with the trace context of a request.
pub(super) const TRACEPARENT: &str = "traceparent";

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
        let (response, route) = match &self.agents {
            Some(agents) if is_poll(path) => {
                (agents.refuse(&Refusal::Host).map(|body| Either::Left(Full::new(body))), Some("/v1/graph"))
            }
            _ => {
                let problem = ProblemKind::BadRequest.because("the request needs one `Host` header with a valid value");
                (problem.into_response().map(Either::Right), path.starts_with(api::PREFIX).then_some(api::PREFIX))
            }
        };
        self.count_unrouted(method, route, response.status(), started);
        response
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
            // Traced polls are answered by the routes, which create spans.
            if !headers.get(TRACEPARENT).is_some_and(|parent| self.is_traced(parent.as_bytes()))
                && let Some(response) = self.poll(&PollRequest { path: uri.path(), query: uri.query(), headers, peer })
            {
                return response.map(|body| Either::Left(Full::new(body)));
            }
        }
        // Polls that are not counted yet: HEAD, an encoded product name, or a full graph that must be rendered.
        let is_poll = is_poll(request.uri().path());
        if let Some(agents) = self.agents.as_ref().filter(|_| is_poll)
            && self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(peer, request.headers()))
        {
            let response = agents.refuse(&Refusal::TooMany);
            self.count_unrouted(method, Some("/v1/graph"), response.status(), started);
            return response.map(|body| Either::Left(Full::new(body)));
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
                let response = agents.refuse(&Refusal::Unavailable);
                self.count_unrouted(method, Some("/v1/graph"), response.status(), started);
                return response.map(|body| Either::Left(Full::new(body)));
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
        let response = match answer.await {
            Ok(Ok(response)) => response,
            // Panics are caught by a layer, so this is a runtime that shuts down.
            Err(_) => ProblemKind::NotReady.into_response(),
        };
        response.map(Either::Right)
    }

    fn count_unrouted(&self, method: &'static str, route: Option<&str>, status: StatusCode, started: Instant) {
        self.metrics.request(method, route, status.as_u16(), self.scheme, started.elapsed());
    }

    /// Returns true if a request with this `traceparent` is traced.
    pub(super) fn is_traced(&self, traceparent: &[u8]) -> bool {
        self.exports_traces && is_traced(traceparent)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Answers a GET if it is a poll with a prepared answer.
    pub(super) fn poll(&self, request: &PollRequest<'_>) -> Option<Response<Bytes>> {
        let agents = self.agents.as_ref()?;
        let product = agents.polled_product(request.path)?;
        let (started, is_logged) = (Instant::now(), self.access.wants(request.path));
        let admit = || self.throttle.as_ref().is_none_or(|throttle| throttle.admits(request.peer, request.headers));
        let answer = || agents.poll(product, request.query, request.headers, None, admit);
        // A panic must not end the accept loop, which all agents share.
        let mut response = match catch_unwind(AssertUnwindSafe(answer)) {
            Ok(Polled::Answered(response)) => response,
            // The routes render the graph and count the poll.
            Ok(Polled::Missing(_)) => return None,
            Err(_) => {
                tracing::error!("poll panicked");
                empty_response(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let (status, took) = (response.status(), started.elapsed());
        let route = if request.path == "/v1/graph" { PollRoute::Root } else { PollRoute::Product };
        self.metrics.poll_request(route, status.as_u16(), self.scheme, took);
        if is_logged {
            let line = Line { method: "GET", path: request.path, status, took, actor: None, request_id: None };
            self.access.write(&line);
        }
        Some(response)
    }
}

/// The parts of a GET request that a poll depends on.
pub(super) struct PollRequest<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    /// The address of the other end of the connection.
    pub(super) peer: IpAddr,
}

/// Returns true if a path polls a graph, even if its product is percent-encoded.
fn is_poll(path: &str) -> bool {
    percent_decode_str(path).decode_utf8_lossy().ends_with("/v1/graph")
}

/// The `Retry-After` of a refused connection, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Builds the response on a connection that is not admitted.
fn service_unavailable() -> Response<Answer> {
    let mut response = empty_response(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response.map(|body| Either::Left(Full::new(body)))
}

fn empty_response(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// Limits the polls per second from one address.
pub(super) struct Throttle {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    trusted: Vec<IpNet>,
}

impl Throttle {
    pub(super) fn new(limits: &LimitSettings) -> Option<Arc<Self>> {
        let limiter = RateLimiter::keyed(Quota::per_second(limits.polls_per_address?));
        Some(Arc::new(Self { limiter, trusted: limits.trusted_proxies.clone() }))
    }

    fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.limiter.check_key(&network(client_address(peer, headers, &self.trusted))).is_ok()
    }

    /// Removes addresses that have been idle for a while, periodically.
    pub(super) async fn remove_idle_addresses(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(10));
        loop {
            ticks.tick().await;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}
