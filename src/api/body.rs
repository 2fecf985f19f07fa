//! Bodies: read to their end, and parsed with the place of what is wrong.

use crate::http::problem::{FieldError, Problem, ProblemKind};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

/// What a body may be.
pub(super) trait Body: Sized + Send {
    /// Reads it.
    fn parse(headers: &HeaderMap, content: &[u8]) -> Result<Self, Problem>;
}

/// Nothing is expected, and anything is ignored.
impl Body for () {
    fn parse(_: &HeaderMap, _: &[u8]) -> Result<Self, Problem> {
        Ok(())
    }
}

/// JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + Send> Body for Json<T> {
    fn parse(headers: &HeaderMap, content: &[u8]) -> Result<Self, Problem> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ProblemKind::UnsupportedMediaType.because("send application/json"));
        }
        let syntax =
            |error: serde_json::Error| ProblemKind::BadRequest.because(format!("the body is no JSON: {error}"));
        // Twice, so that what is no JSON is told from what has wrong fields.
        serde_json::from_slice::<serde::de::IgnoredAny>(content).map_err(syntax)?;
        let mut json = serde_json::Deserializer::from_slice(content);
        serde_path_to_error::deserialize(&mut json).map(Self).map_err(|error| {
            let path = match error.path().to_string() {
                whole if whole == "." => String::new(),
                path => path,
            };
            let message = error.into_inner().to_string();
            // The line and column are of no use to programs, and the path says it to people.
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
            Problem::from(ProblemKind::Invalid).at([FieldError { path, message }])
        })
    }
}

/// The whole body, as far as it may go.
pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    Bytes::from_request(request, &()).await.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            return ProblemKind::TooLarge.into();
        }
        ProblemKind::BadRequest.because("the body could not be read")
    })
}
