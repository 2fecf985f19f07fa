//! Answers: with the tag of what they show.

use super::{ask::Read, tag::tag};
use crate::{
    domain::{hash::ContentHash, stream::Revision},
    http::{
        etag::is_held,
        problem::{Problem, ProblemKind},
    },
    manage::Report,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// What a handler gives.
pub(super) type Answer = Result<Response, Problem>;

impl Read {
    /// Something of a stream, which is as old as the stream's revision.
    pub(super) fn show(&self, revision: Revision, model: &impl Serialize) -> Answer {
        self.tagged(&tag(revision.0), model)
    }

    /// Something of a stream that says how it stands now: as time goes on it is another, of the same revision.
    pub(super) fn show_now(revision: Revision, model: &impl Serialize) -> Answer {
        tagged(Json(model).into_response(), &tag(revision.0))
    }

    /// Something of its own, which is what it says.
    pub(super) fn tell(&self, model: &impl Serialize) -> Answer {
        let content = serde_json::to_vec(model).map_err(|_| ProblemKind::Internal)?;
        let hash = ContentHash::of(&content).to_string();
        self.tagged(&format!("\"{}\"", hash.get(..32).unwrap_or_default()), model)
    }

    fn tagged(&self, tag: &str, model: &impl Serialize) -> Answer {
        let is_held = is_held(&self.headers, tag.as_bytes());
        tagged(if is_held { StatusCode::NOT_MODIFIED.into_response() } else { Json(model).into_response() }, tag)
    }
}

fn tagged(mut response: Response, tag: &str) -> Answer {
    response.headers_mut().insert(header::ETAG, HeaderValue::from_str(tag).map_err(|_| ProblemKind::Internal)?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// A change was made, or looked at.
pub(super) fn changed(report: &Report) -> Answer {
    let mut response = Json(report).into_response();
    let tag = HeaderValue::from_str(&tag(report.revision)).map_err(|_| ProblemKind::Internal)?;
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// Something was made: it is below this path.
pub(super) fn created(report: &Report, within: &str) -> Answer {
    let mut response = changed(report)?;
    if !report.dry_run {
        *response.status_mut() = StatusCode::CREATED;
        let name = report.created.as_deref().unwrap_or_default();
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let location = HeaderValue::from_str(&format!("{within}/{name}")).map_err(|_| ProblemKind::Internal)?;
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
