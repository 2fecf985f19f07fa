//! Problem documents (RFC 9457): the one form of refusal that people and programs get.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// A way that a request can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The request says what cannot be.
    BadRequest,
    /// Nobody says who asks, or whoever does is not believed.
    Unauthenticated,
    /// Whoever asks may not.
    Forbidden,
    /// Nothing is there.
    NotFound,
    /// It is there, but not for this method.
    MethodNotAllowed,
    /// What is there does not allow it.
    Conflict,
    /// What is there has changed since somebody looked at it.
    Changed,
    /// More is sent than is read.
    TooLarge,
    /// It is sent in a form that is not read.
    UnsupportedMediaType,
    /// It can be read, but fields are wrong.
    Invalid,
    /// Somebody else's change could be lost: it has to be said what was looked at.
    PreconditionRequired,
    /// It took too long.
    Timeout,
    /// Too much is asked at once.
    Overloaded,
    /// The store has not been read yet.
    NotReady,
    /// What it needs is away for now.
    Unavailable,
    /// A bug: the details are in the log.
    Internal,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
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
        Self::Timeout,
        Self::Overloaded,
        Self::NotReady,
        Self::Unavailable,
        Self::Internal,
    ];

    /// URI, title and status.
    #[must_use]
    pub fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::BadRequest => ("/problems/bad-request", "the request says what cannot be", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("/problems/unauthenticated", "who asks is not known", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("/problems/forbidden", "whoever asks may not", StatusCode::FORBIDDEN),
            Self::NotFound => ("/problems/not-found", "nothing is there", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("/problems/method-not-allowed", "not for this method", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Conflict => ("/problems/conflict", "what is there does not allow it", StatusCode::CONFLICT),
            Self::Changed => ("/problems/changed", "it has changed meanwhile", StatusCode::PRECONDITION_FAILED),
            Self::TooLarge => ("/problems/too-large", "more is sent than is read", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => (
                "/problems/unsupported-media-type",
                "it is sent in a form that is not read",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::Invalid => ("/problems/invalid", "fields are wrong", StatusCode::UNPROCESSABLE_ENTITY),
            Self::PreconditionRequired => {
                ("/problems/precondition-required", "say what was looked at", StatusCode::PRECONDITION_REQUIRED)
            }
            Self::Timeout => ("/problems/timeout", "it took too long", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("/problems/overloaded", "too much is asked at once", StatusCode::SERVICE_UNAVAILABLE),
            Self::NotReady => ("/problems/not-ready", "not ready yet", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => {
                ("/problems/unavailable", "what it needs is away for now", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Internal => ("/problems/internal", "something went wrong here", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// With what the caller can do about it.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..Problem::from(self) }
    }
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: `releases[3].barrier.reason`, or the name of a parameter.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A refusal, and what the caller can do about it.
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
    /// With the fields that are wrong.
    #[must_use]
    pub fn at(self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        Self { errors: errors.into_iter().collect(), ..self }
    }

    /// With what was found.
    #[must_use]
    pub fn found(self, findings: &[impl Serialize]) -> Self {
        let findings = findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
        Self { findings, ..self }
    }
}

/// When to try again, in seconds, after what passes by itself.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Why a request came to nothing (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/conflict", "title": "what is there does not allow it", "status": 409,
    "detail": "a rollout that is paused cannot be paused"
}))]
pub struct ProblemBody {
    /// The kind of problem.
    r#type: &'static str,
    /// The same in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Dangers and oddities that the change would bring.
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
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.kind == ProblemKind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockkeeper\""));
        }
        response
    }
}
