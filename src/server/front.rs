//! What answers the requests on one address: polls at once, everything else by its routes on the main runtime.

use super::places::Places;
use crate::{
    api,
    clock::SharedClock,
    config::LimitSettings,
    http::{
        access::{AccessLog, Line},
        client_addr::client_address,
        layers::name,
        problem::ProblemKind,
    },
    protocol::fcos::{Refusal, routes::Agents},
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
use tokio::runtime::Handle;
use tower::ServiceExt;

/// Polls are bytes; what routes answer may be anything.
pub(super) type Answer = Either<Full<Bytes>, Body>;

/// Who answers on one address.
pub(super) struct Front {
    /// Polls are answered right here, on whatever runtime asks.
    pub(super) agents: Option<Agents>,
    /// The others' routes may touch the database, whose connections belong to the main runtime.
    pub(super) router: Router,
    pub(super) main: Handle,
    /// How many of those may be worked on at a time.
    pub(super) places: Places,
    pub(super) clock: SharedClock,
    pub(super) metrics: Metrics,
    pub(super) access: AccessLog,
    pub(super) throttle: Option<Arc<Throttle>>,
    /// Does anybody take traces? Without, nothing is answered another way because its caller is traced.
    pub(super) is_traced: bool,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// We shall stop: whoever keeps a connection is asked to make the next one elsewhere.
    pub(super) draining: Arc<AtomicBool>,
}

/// Where a request says which trace it is part of.
pub(super) const TRACEPARENT: &str = "traceparent";

impl Front {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<Answer>, Infallible> {
        let (started, method) = (Instant::now(), name(request.method()));
        let last = request.version() < Version::HTTP_2 && self.is_draining();
        let mut response = self.by_anybody(request, peer, started, method).await;
        if last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn by_anybody(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        started: Instant,
        method: &'static str,
    ) -> Response<Answer> {
        if *request.method() == Method::GET {
            let (uri, headers) = (request.uri(), request.headers());
            // Who wants a poll traced gets it from the routes.
            if !headers.get(TRACEPARENT).is_some_and(|parent| self.follows(parent.as_bytes()))
                && let Some(response) = self.poll(&Asked { path: uri.path(), query: uri.query(), headers, peer })
            {
                return response.map(|body| Either::Left(Full::new(body)));
            }
        }
        // Polls in another guise: HEAD, or a product's name to be decoded.
        let is_poll = percent_decode_str(request.uri().path()).decode_utf8_lossy().ends_with("/v1/graph");
        if let Some(agents) = self.agents.as_ref().filter(|_| is_poll)
            && self.throttle.as_ref().is_some_and(|throttle| !throttle.lets_in(peer, request.headers()))
        {
            let response = agents.refuse(&Refusal::TooMany);
            self.count_unrouted(method, Some("/v1/graph"), response.status(), started);
            return response.map(|body| Either::Left(Full::new(body)));
        }
        let Some(place) = self.places.take() else {
            let response = ProblemKind::Overloaded.into_response();
            // Which of its routes it would have come to is not known, but whose side it is on.
            let is_managers = request.uri().path().starts_with(api::PREFIX);
            let route = if is_poll { Some("/v1/graph") } else { is_managers.then_some(api::PREFIX) };
            self.count_unrouted(method, route, response.status(), started);
            return response.map(Either::Right);
        };
        let router = self.router.clone();
        let answer = self.main.spawn(async move {
            let answer = router.oneshot(request.map(Body::new)).await;
            drop(place);
            answer
        });
        let response = match answer.await {
            Ok(Ok(response)) => response,
            // Panics are caught before; what is left is a runtime that ends.
            Err(_) => ProblemKind::NotReady.into_response(),
        };
        response.map(Either::Right)
    }

    fn count_unrouted(&self, method: &'static str, route: Option<&str>, status: StatusCode, started: Instant) {
        self.metrics.request(method, route, status.as_u16(), self.scheme, started.elapsed());
    }

    /// Is a request traced that comes with this `traceparent`?
    pub(super) fn follows(&self, traceparent: &[u8]) -> bool {
        self.is_traced && is_traced(traceparent)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Answers a GET, if it is a poll.
    pub(super) fn poll(&self, asked: &Asked<'_>) -> Option<Response<Bytes>> {
        let agents = self.agents.as_ref()?;
        let product = agents.polled_product(asked.path)?;
        let (started, logged) = (Instant::now(), self.access.wants(asked.path));
        let answer = || match &self.throttle {
            Some(throttle) if !throttle.lets_in(asked.peer, asked.headers) => agents.refuse(&Refusal::TooMany),
            _ => agents.poll(product, asked.query, asked.headers),
        };
        // A bug costs one poll its answer, not everybody the loop that they share.
        let mut response = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
            tracing::error!("a poll ran into a bug");
            status_alone(StatusCode::INTERNAL_SERVER_ERROR)
        });
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let (status, took) = (response.status(), started.elapsed());
        let route = if asked.path == "/v1/graph" { PollRoute::Root } else { PollRoute::Product };
        self.metrics.poll_request(route, status.as_u16(), self.scheme, took);
        if logged {
            let line = Line { method: "GET", path: asked.path, status, took, who: None, request_id: None };
            self.access.write(&line);
        }
        Some(response)
    }
}

/// A GET.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    /// Who is at the other end.
    pub(super) peer: IpAddr,
}

fn status_alone(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// Whom an address counts for: of IPv6 everybody has a whole network.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

/// At most so many polls a second from one address.
pub(super) struct Throttle {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    trusted: Vec<IpNet>,
}

impl Throttle {
    pub(super) fn of(limits: &LimitSettings) -> Option<Arc<Self>> {
        let limiter = RateLimiter::keyed(Quota::per_second(limits.polls_per_address?));
        Some(Arc::new(Self { limiter, trusted: limits.trusted_proxies.clone() }))
    }

    fn lets_in(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.limiter.check_key(&network(client_address(peer, headers, &self.trusted))).is_ok()
    }

    /// Forgets, again and again, those who have not come for a while.
    pub(super) async fn forget_for_ever(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(10));
        loop {
            ticks.tick().await;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}
