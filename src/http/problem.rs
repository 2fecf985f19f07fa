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
    /// Nothing is there.
    NotFound,
    /// It is there, but not for this method.
    MethodNotAllowed,
    /// It took too long.
    Timeout,
    /// A bug: the details are in the log.
    Internal,
}

impl ProblemKind {
    /// URI, title and status.
    fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::NotFound => ("/problems/not-found", "nothing is there", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("/problems/method-not-allowed", "not for this method", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Timeout => ("/problems/timeout", "it took too long", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("/problems/internal", "something went wrong here", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

#[derive(Serialize)]
struct Body {
    r#type: &'static str,
    title: &'static str,
    status: u16,
}

impl IntoResponse for ProblemKind {
    fn into_response(self) -> Response {
        let (r#type, title, status) = self.parts();
        let mut response = (status, Json(Body { r#type, title, status: status.as_u16() })).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
