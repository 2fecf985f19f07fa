//! The access log: one line for some of the requests.

use http::{Method, StatusCode};
use std::time::Duration;

/// Which share of the requests is logged.
#[derive(Debug, Clone, Copy)]
pub struct AccessLog {
    share: f64,
}

impl AccessLog {
    /// Logs every request.
    pub const ALL: Self = Self { share: 1.0 };

    /// Logs this share, 0 to 1.
    #[must_use]
    pub fn of(share: f64) -> Self {
        Self { share }
    }

    /// Is the next request one that is logged?
    #[must_use]
    pub fn wants_next(self) -> bool {
        self.share > 0.0 && fastrand::f64() < self.share
    }

    /// Logs a request. The query and the address are left out: nodes are known by them.
    pub fn write(self, method: &Method, path: &str, status: StatusCode, took: Duration) {
        tracing::info!(
            target: "lockkeeper::access",
            {
                http.request.method = %method,
                url.path = path,
                http.response.status_code = status.as_u16(),
                duration_ms = took.as_secs_f64() * 1000.0,
                share = self.share,
            },
            "a request was answered"
        );
    }
}
