//! Answers requests on one address: polls at once, everything else by routes on the main runtime.

use super::{
    admission::Admission,
    request_limit::{RequestLimit, RequestPermit},
    reserved::ReservedRoutes,
};
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
    protocol::{AgentRequest, Answer as AgentAnswer, Claimed, Protocols, Rejected},
    telemetry::{Metrics, is_traced},
};
use axum::{Router, body::Body, response::IntoResponse};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use ipnet::IpNet;
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
use tokio::runtime::Handle;
use tower::ServiceExt;

/// The body of a response: bytes for polls, any body from routes.
pub(super) type Answer = Either<Full<Bytes>, Body>;

/// Answers the requests on one address.
pub(super) struct Endpoint {
    /// The protocols of agents. Prepared answers are given on the calling runtime.
    pub(super) protocols: Option<Arc<Protocols>>,
    /// The headers that prepared answers depend on.
    pub(super) poll_headers: Box<[HeaderName]>,
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
    /// The time limit for a response.
    pub(super) answer_timeout: Duration,
    /// True during shutdown: responses tell clients to close their connections.
    pub(super) draining: Arc<AtomicBool>,
}

/// How many requests are handled at a time. Agents and managers have separate limits, and probes and restrictive requests have a reserve.
pub(super) struct RequestLimits {
    agents: RequestLimit,
    managers: RequestLimit,
    urgent: RequestLimit,
}

/// The number of probes and restrictive requests that are handled in addition.
const MAX_URGENT: usize = 64;

impl RequestLimits {
    pub(super) fn new(max: usize) -> Self {
        Self { agents: RequestLimit::new(max), managers: RequestLimit::new(max), urgent: RequestLimit::new(MAX_URGENT) }
    }

    fn take(&self, method: &Method, path: &str) -> Option<RequestPermit> {
        let is_managers = path.starts_with(api::PREFIX);
        let request_limit = if is_managers { &self.managers } else { &self.agents };
        let is_urgent = api::restricts(method, path) || path.starts_with("/healthz/");
        request_limit.take().or_else(|| if is_urgent { self.urgent.take() } else { None })
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
        if let Some(owner) = self.owner(path) {
            return self.reject(&owner, Rejected::Host, started, method);
        }
        let problem = ProblemKind::BadRequest.because("the request needs one `Host` header with a valid value");
        let response = problem.into_response();
        self.count_unrouted(method, path.starts_with(api::PREFIX).then_some(api::PREFIX), response.status(), started);
        response.map(Either::Right)
    }

    /// Returns the protocol that a path belongs to.
    fn owner(&self, path: &str) -> Option<Claimed<'_>> {
        self.protocols.as_ref()?.owner(path)
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
        let (path, mut body) = (parts.uri.path(), Body::new(body));
        // Traced requests are answered by the routes, which create spans.
        let is_traced = parts.headers.get(TRACEPARENT).is_some_and(|parent| self.is_traced(parent.as_bytes()));
        if let Some(claimed) = self.prepared(&parts.method, path).filter(|_| !is_traced) {
            let mut content = Bytes::new();
            if claimed.claim.max_body > 0 {
                content = match self.read(body, &parts, &claimed).await {
                    Ok(content) => content,
                    Err(why) => return self.reject(&claimed, why, started, method),
                };
                body = Body::from(content.clone());
            }
            let request = PollRequest { path, query: parts.uri.query(), headers: &parts.headers, body: content, peer };
            if let Some(response) = self.answer_prepared(&claimed, request) {
                return response.map(|body| Either::Left(Full::new(body)));
            }
        }
        // Requests of agents that are not counted yet: other methods, encoded names, or answers that must be made first.
        let owner = self.owner(path);
        if let Some(owner) = &owner
            && self.throttle.as_ref().is_some_and(|throttle| !throttle.admits(peer, &parts.headers))
        {
            return self.reject(owner, Rejected::TooMany, started, method);
        }
        let Some(permit) = self.request_limits.take(&parts.method, path) else {
            if let Some(owner) = &owner {
                return self.reject(owner, Rejected::Overloaded, started, method);
            }
            let response = ProblemKind::Overloaded.into_response();
            // The route is unknown before routing; the label names the agents' or the managers' side.
            let is_managers = path.starts_with(api::PREFIX);
            self.count_unrouted(method, is_managers.then_some(api::PREFIX), response.status(), started);
            return response.map(Either::Right);
        };
        let client = ClientAddress(client_address(peer, &parts.headers, &self.trusted_proxies));
        let router = self.router.clone();
        let answer = self.main.spawn(async move {
            let mut request = Request::from_parts(parts, body);
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

    /// Returns the prepared claim of a request.
    pub(super) fn prepared<'a>(&'a self, method: &Method, path: &'a str) -> Option<Claimed<'a>> {
        self.protocols.as_ref()?.prepared(method, path)
    }

    /// Reads the body of a claimed request, which may arrive in any number of pieces.
    async fn read(&self, body: Body, parts: &Parts, claimed: &Claimed<'_>) -> Result<Bytes, Rejected> {
        let _permit = self.request_limits.take(&parts.method, parts.uri.path()).ok_or(Rejected::Overloaded)?;
        let reading = Limited::new(body, claimed.claim.max_body).collect();
        match tokio::time::timeout(self.answer_timeout, reading).await {
            Ok(Ok(content)) => Ok(content.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejected::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Rejected::Incomplete),
        }
    }

    /// Answers a request with a prepared answer, if its protocol has one.
    pub(super) fn answer_prepared(&self, claimed: &Claimed<'_>, request: PollRequest<'_>) -> Option<Response<Bytes>> {
        let PollRequest { path, query, headers, body, peer } = request;
        let (started, is_logged) = (Instant::now(), self.access.wants(path));
        let admit = || self.throttle.as_ref().is_none_or(|throttle| throttle.admits(peer, headers));
        let Claimed { protocol, claim, product, .. } = *claimed;
        let request = AgentRequest { claim, path, product, query, headers, body, admit: &admit };
        // A panic must not end the accept loop, which all agents share.
        let response = match catch_unwind(AssertUnwindSafe(|| protocol.answer(&request))) {
            Ok(AgentAnswer::Done(response)) => response,
            // The routes make the answer and count the request.
            Ok(AgentAnswer::Elsewhere) => return None,
            Err(_) => {
                tracing::error!(protocol = protocol.name(), "answer panicked");
                empty_response(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        let (status, took) = (response.status(), started.elapsed());
        claimed.times.record(status.as_u16(), self.scheme, took);
        if is_logged {
            let method = name(&claim.method);
            self.access.write(&Line { method, path, status, took, actor: None, request_id: None });
        }
        Some(response)
    }
}

/// The parts of a request that a prepared answer depends on.
pub(super) struct PollRequest<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    /// The address of the other end of the connection.
    pub(super) peer: IpAddr,
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
