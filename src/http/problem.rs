//! Problem documents (RFC 9457): the form of every error response except those to agents.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// The kind of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The request is malformed.
    BadRequest,
    /// The caller is not authenticated.
    Unauthenticated,
    /// The caller lacks a role.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The resource does not support the method.
    MethodNotAllowed,
    /// The state of the resource does not allow the request.
    Conflict,
    /// The resource has changed since the caller read it.
    Changed,
    /// The body is too large.
    TooLarge,
    /// The body has an unsupported media type.
    UnsupportedMediaType,
    /// Fields are invalid.
    Invalid,
    /// The request must name the revision that it was made from: it could undo another change otherwise.
    PreconditionRequired,
    /// The client sends too many requests.
    TooManyRequests,
    /// The response took too long.
    Timeout,
    /// The process has too many requests.
    Overloaded,
    /// The process has not loaded its state yet.
    NotReady,
    /// The database or another required service is unavailable.
    Unavailable,
    /// A server that this service asks for the request fails.
    BadGateway,
    /// A bug in this service. The log has the details.
    Internal,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Changed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::PreconditionRequired,
        Self::TooManyRequests,
        Self::Timeout,
        Self::Overloaded,
        Self::NotReady,
        Self::Unavailable,
        Self::BadGateway,
        Self::Internal,
    ];

    /// Returns the type URI, the title and the status.
    #[must_use]
    pub fn parts(self) -> (&'static str, &'static str, StatusCode) {
        let (uri, status) = match self {
            Self::BadRequest => ("/problems/bad-request", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("/problems/unauthenticated", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("/problems/forbidden", StatusCode::FORBIDDEN),
            Self::NotFound => ("/problems/not-found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("/problems/method-not-allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Conflict => ("/problems/conflict", StatusCode::CONFLICT),
            Self::Changed => ("/problems/changed", StatusCode::PRECONDITION_FAILED),
            Self::TooLarge => ("/problems/too-large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => ("/problems/unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Invalid => ("/problems/invalid", StatusCode::UNPROCESSABLE_ENTITY),
            Self::PreconditionRequired => ("/problems/precondition-required", StatusCode::PRECONDITION_REQUIRED),
            Self::TooManyRequests => ("/problems/too-many-requests", StatusCode::TOO_MANY_REQUESTS),
            Self::Timeout => ("/problems/timeout", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("/problems/overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::NotReady => ("/problems/not-ready", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => ("/problems/unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::BadGateway => ("/problems/bad-gateway", StatusCode::BAD_GATEWAY),
            Self::Internal => ("/problems/internal", StatusCode::INTERNAL_SERVER_ERROR),
        };
        (uri, title(status), status)
    }

    /// Adds a detail: what failed and what is expected.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..Problem::from(self) }
    }
}

/// Returns the phrase of a status in RFC 9110. The library still has the older phrases of two of them.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        status => status.canonical_reason().unwrap_or_default(),
    }
}

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The path of the field in the body, such as `releases[3].barrier.reason`, or the name of a parameter.
    pub path: String,
    /// What is wrong with the field, and what is expected.
    pub message: String,
}

/// A failed request: its kind and details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    findings: Vec<serde_json::Value>,
}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), findings: Vec::new() }
    }
}

impl Problem {
    /// Adds the invalid fields.
    #[must_use]
    pub fn at(self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        Self { errors: errors.into_iter().collect(), ..self }
    }

    /// Adds the findings that refuse the change.
    #[must_use]
    pub fn found(self, findings: &[impl Serialize]) -> Self {
        let findings = findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
        Self { findings, ..self }
    }
}

/// The wait before a retry, in seconds, after temporary failures.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// A problem document (RFC 9457): why a request failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/conflict", "title": "Conflict", "status": 409,
    "detail": "a rollout that is paused cannot be paused"
}))]
pub struct ProblemBody {
    /// The kind of problem, a relative URI such as `/problems/conflict`.
    r#type: &'static str,
    /// The standard phrase of the status.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What failed in this request, and what is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The invalid fields; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Errors and warnings that the change would introduce; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    findings: Vec<serde_json::Value>,
}

impl IntoResponse for ProblemKind {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (r#type, title, status) = self.kind.parts();
        let Self { detail, errors, findings, .. } = self;
        let body = ProblemBody { r#type, title, status: status.as_u16(), detail, errors, findings };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.kind == ProblemKind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockkeeper\""));
        }
        response
    }
}
