//! The access log: one line for some of the requests.

use crate::telemetry::trace_id;
use http::StatusCode;
use std::time::Duration;

/// Which share of the requests is logged.
#[derive(Debug, Clone)]
pub struct AccessLog {
    share: f64,
    /// Below this path, all of them.
    all_below: Option<&'static str>,
}

/// Who asked, for the line: whoever finds that out leaves it among the response's extensions.
#[derive(Debug, Clone)]
pub struct Asker(pub String);

/// What a line tells. The query and the address are left out: nodes are known by them.
#[derive(Debug)]
pub struct Line<'a> {
    /// The method.
    pub method: &'static str,
    /// The path, without the query.
    pub path: &'a str,
    /// What was answered.
    pub status: StatusCode,
    /// How long that took.
    pub took: Duration,
    /// Who asked, where that is known.
    pub who: Option<&'a Asker>,
    /// What the request is known by in the audit, where it has a name.
    pub request_id: Option<&'a str>,
}

impl AccessLog {
    /// Logs this share, 0 to 1, and everything below some path: what is done there is little, and each of it matters.
    #[must_use]
    pub fn of(share: f64, all_below: Option<&'static str>) -> Self {
        Self { share, all_below }
    }

    /// Is this request one that is logged?
    #[must_use]
    pub fn wants(&self, path: &str) -> bool {
        self.share_of(path) >= 1.0 || (self.share > 0.0 && fastrand::f64() < self.share)
    }

    fn share_of(&self, path: &str) -> f64 {
        if self.all_below.is_some_and(|all| path.starts_with(all)) { 1.0 } else { self.share }
    }

    /// Logs a request.
    pub fn write(&self, line: &Line<'_>) {
        // Of no span: the line says all that its span would.
        tracing::info!(
            target: "lockkeeper::access",
            parent: None,
            {
                http.request.method = line.method,
                url.path = line.path,
                http.response.status_code = line.status.as_u16(),
                http.server.request.duration_ms = line.took.as_secs_f64() * 1000.0,
                enduser.id = line.who.map(|who| who.0.as_str()),
                request.id = line.request_id,
                trace.id = trace_id(),
                log.share = self.share_of(line.path),
            },
            "a request was answered"
        );
    }
}
