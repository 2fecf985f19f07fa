//! What answers the requests on one address: polls at once, everything else by its routes on the main runtime.

use crate::{
    config::LimitSettings,
    http::{access::AccessLog, client_addr::client_address},
    protocol::fcos::{Refusal, routes::Agents},
    telemetry::Metrics,
};
use axum::{Router, body::Body};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use ipnet::IpNet;
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
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
    pub(super) metrics: Metrics,
    pub(super) access: AccessLog,
    pub(super) throttle: Option<Arc<Throttle>>,
}

impl Front {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<Answer>, Infallible> {
        if *request.method() == Method::GET
            && let Some(agents) = &self.agents
            && let Some(product) = agents.polled_product(request.uri())
        {
            return Ok(self.poll(agents, product, &request, peer).map(|body| Either::Left(Full::new(body))));
        }
        let router = self.router.clone();
        let answer = self.main.spawn(async move { router.oneshot(request.map(Body::new)).await });
        let response = match answer.await {
            Ok(Ok(response)) => response,
            // Panics are caught before; what is left is a runtime that ends.
            Err(_) => status_alone(StatusCode::SERVICE_UNAVAILABLE).map(Body::from),
        };
        Ok(response.map(Either::Right))
    }

    fn poll(&self, agents: &Agents, product: &str, request: &Request<Incoming>, peer: IpAddr) -> Response<Bytes> {
        let started = self.access.wants_next().then(Instant::now);
        let mut response = match &self.throttle {
            Some(throttle) if !throttle.lets_in(peer, request.headers()) => agents.refuse(&Refusal::TooMany),
            _ => agents.poll(product, request.uri().query(), request.headers()),
        };
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        self.metrics.poll_request(response.status().as_u16());
        if let Some(started) = started {
            self.access.write(request.method(), request.uri().path(), response.status(), started.elapsed());
        }
        response
    }
}

fn status_alone(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
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
        self.limiter.check_key(&client_address(peer, headers, &self.trusted)).is_ok()
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
