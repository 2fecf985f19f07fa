//! The access log: one line per request, for all requests or a sample.

use crate::telemetry::trace_id;
use http::StatusCode;
use std::time::Duration;

/// Which requests are logged.
#[derive(Debug, Clone)]
pub struct AccessLog {
    share: f64,
    /// The path below which every request is logged.
    all_below: Option<&'static str>,
}

/// The id of the caller, for the log line. Authentication puts it into the response's extensions.
#[derive(Debug, Clone)]
pub struct Actor(pub String);

/// The fields of a log line. The query and the client's address are left out, because they identify nodes.
#[derive(Debug)]
pub struct Line<'a> {
    /// The method.
    pub method: &'static str,
    /// The path, without the query.
    pub path: &'a str,
    /// The status of the response.
    pub status: StatusCode,
    /// The time from the request to the response.
    pub took: Duration,
    /// The caller, if known.
    pub actor: Option<&'a Actor>,
    /// The id of the request in the audit log, if it has one.
    pub request_id: Option<&'a str>,
}

impl AccessLog {
    /// Logs this share of the requests, 0 to 1, and every request below a path whose requests are few and important.
    #[must_use]
    pub fn new(share: f64, all_below: Option<&'static str>) -> Self {
        Self { share, all_below }
    }

    /// Returns true if a request is to be logged. Samples at random.
    #[must_use]
    pub fn wants(&self, path: &str) -> bool {
        self.share_of(path) >= 1.0 || (self.share > 0.0 && fastrand::f64() < self.share)
    }

    fn share_of(&self, path: &str) -> f64 {
        if self.all_below.is_some_and(|all| path.starts_with(all)) { 1.0 } else { self.share }
    }

    /// Logs a request.
    pub fn write(&self, line: &Line<'_>) {
        // Without a span: the fields of the line repeat those of the request's span.
        tracing::info!(
            target: "lockkeeper::access",
            parent: None,
            {
                http.request.method = line.method,
                url.path = line.path,
                http.response.status_code = line.status.as_u16(),
                http.server.request.duration_ms = line.took.as_secs_f64() * 1000.0,
                enduser.id = line.actor.map(|actor| actor.0.as_str()),
                request.id = line.request_id,
                trace.id = trace_id(),
                log.share = self.share_of(line.path),
            },
            "request answered"
        );
    }
}
