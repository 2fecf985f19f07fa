//! Problem documents (RFC 9457): the one form of refusal that people and programs get.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A way that a request can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request says what cannot be.
    BadRequest,
    /// Nothing is there.
    NotFound,
    /// It is there, but not for this method.
    MethodNotAllowed,
    /// It took too long.
    Timeout,
    /// Too much is asked at once.
    Overloaded,
    /// The store has not been read yet.
    NotReady,
    /// A bug: the details are in the log.
    Internal,
}

impl ProblemKind {
    /// URI, title and status.
    fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::BadRequest => ("/problems/bad-request", "the request says what cannot be", StatusCode::BAD_REQUEST),
            Self::NotFound => ("/problems/not-found", "nothing is there", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("/problems/method-not-allowed", "not for this method", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Timeout => ("/problems/timeout", "it took too long", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("/problems/overloaded", "too much is asked at once", StatusCode::SERVICE_UNAVAILABLE),
            Self::NotReady => ("/problems/not-ready", "not ready yet", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("/problems/internal", "something went wrong here", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// With what the caller can do about it.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Problem {
        Problem { kind: self, detail: Some(detail.into()) }
    }
}

/// A refusal, and what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<String>,
}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self { kind, detail: None }
    }
}

/// When to try again, in seconds, after what passes by itself.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

#[derive(Serialize)]
struct Body {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl IntoResponse for ProblemKind {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (r#type, title, status) = self.kind.parts();
        let body = Body { r#type, title, status: status.as_u16(), detail: self.detail };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
