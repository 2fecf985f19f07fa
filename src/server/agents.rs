//! Requests of agents: which protocol answers them, from prepared answers or with a rejection.

use super::throttle::Throttle;
use crate::{
    http::{
        access::{AccessLog, Line},
        layers::name,
    },
    protocol::{AgentRequest, Answer, Claimed, Protocols},
    telemetry::is_traced,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};
use tokio::task::JoinSet;

/// The header with the trace context of a request.
pub(super) const TRACEPARENT: &str = "traceparent";

/// Answers requests of agents on one address.
pub(super) struct AgentAnswers {
    pub(super) protocols: Protocols,
    pub(super) throttle: Option<Arc<Throttle>>,
    pub(super) access: AccessLog,
    /// True if traces are exported. Otherwise, requests with a trace context are answered like others.
    pub(super) exports_traces: bool,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
}

/// The parts of a request that a prepared answer depends on.
pub(super) struct PreparedRequest<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    /// The address of the other end of the connection.
    pub(super) peer: IpAddr,
}

impl AgentAnswers {
    /// Returns the claim of a request that may have a prepared answer. The routes answer all others. Traced requests are among them, since
    /// the routes create spans.
    pub(super) fn claim<'a>(&'a self, method: &Method, path: &'a str, headers: &HeaderMap) -> Option<Claimed<'a>> {
        let is_traced = headers.get(TRACEPARENT).is_some_and(|parent| self.is_traced(parent.as_bytes()));
        if is_traced { None } else { self.protocols.prepared(method, path) }
    }

    /// Answers a claimed request, if its protocol has a prepared answer.
    pub(super) fn answer(&self, claimed: &Claimed<'_>, request: PreparedRequest<'_>) -> Option<Response<Bytes>> {
        let PreparedRequest { path, query, headers, body, peer } = request;
        let (started, is_logged) = (Instant::now(), self.access.wants(path));
        // A request with a body was counted before the body was read.
        let admit = || claimed.claim.max_body > 0 || self.admits(peer, headers);
        let Claimed { name: protocol_name, protocol, claim, product, .. } = *claimed;
        let request = AgentRequest { claim, path, product, query, headers, body, admit: &admit };
        // A panic must not end the accept loop, which all agents share.
        let response = match catch_unwind(AssertUnwindSafe(|| protocol.answer(&request))) {
            Ok(Answer::Done(response)) => response,
            // The routes make the answer and count the request.
            Ok(Answer::Elsewhere) => return None,
            Err(_) => {
                tracing::error!(protocol = protocol_name, "answer panicked");
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
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

    /// Starts what runs as long as the service: the upkeep of protocols, and that of the limits per address.
    pub(super) fn spawn_upkeep(&self, upkeep: &mut JoinSet<()>) {
        for protocol in self.protocols.all() {
            upkeep.spawn(protocol.clone().upkeep());
        }
        if let Some(throttle) = self.throttle.clone() {
            upkeep.spawn(async move { throttle.remove_idle_addresses().await });
        }
    }

    /// Counts a request against the limit of its address. Returns false if there are too many.
    pub(super) fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.throttle.as_ref().is_none_or(|throttle| throttle.admits(peer, headers))
    }

    /// Returns true if a request with this `traceparent` is traced.
    pub(super) fn is_traced(&self, traceparent: &[u8]) -> bool {
        self.exports_traces && is_traced(traceparent)
    }
}
