//! Responses, with their entity tags.

use super::{request::ReadRequest, tag::tag};
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

/// The result of a handler.
pub(super) type Answer = Result<Response, Problem>;

impl ReadRequest {
    /// Responds with a part of a stream that changes only with the stream's revision.
    pub(super) fn show(&self, revision: Revision, model: &impl Serialize) -> Answer {
        self.tagged(&tag(revision.0), model)
    }

    /// Responds with a part of a stream that also changes with time. It carries the revision, and is never answered with 304.
    pub(super) fn show_now(revision: Revision, model: &impl Serialize) -> Answer {
        tagged(Json(model).into_response(), &tag(revision.0))
    }

    /// Responds with a body whose tag is a hash of its content.
    pub(super) fn with_tag(&self, model: &impl Serialize) -> Answer {
        let content = serde_json::to_vec(model).map_err(|_| ProblemKind::Internal)?;
        let hash = ContentHash::from_content(&content).to_string();
        self.tagged(&format!("\"{}\"", hash.get(..32).unwrap_or_default()), model)
    }

    /// Adds a link to the next page of a list (RFC 8288), if there is one.
    pub(super) fn link_next(&self, answer: Answer, next: Option<&str>) -> Answer {
        let Some(next) = next else { return answer };
        let mut response = answer?;
        let query = self.uri.query().unwrap_or_default();
        let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", next).finish();
        let link = format!("<{}?{query}>; rel=\"next\"", self.uri.path());
        response.headers_mut().insert(header::LINK, HeaderValue::from_str(&link).map_err(|_| ProblemKind::Internal)?);
        Ok(response)
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

/// Responds with the JSON text of a report.
pub(super) fn json(text: serde_json::Result<String>) -> Answer {
    let text = text.map_err(|_| ProblemKind::Internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}

/// Responds to a change, or to its dry run.
pub(super) fn changed(report: &Report) -> Answer {
    let mut response = json(report.to_json())?;
    let tag = HeaderValue::from_str(&tag(report.revision)).map_err(|_| ProblemKind::Internal)?;
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// Responds to the creation of something, whose name is the last segment below this path.
pub(super) fn created(report: &Report, within: &str) -> Answer {
    let name = report.created.as_deref().unwrap_or_default();
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    created_at(report, &format!("{within}/{name}"))
}

/// Responds to the creation of something at this path.
pub(super) fn created_at(report: &Report, path: &str) -> Answer {
    let mut response = changed(report)?;
    if !report.dry_run {
        *response.status_mut() = StatusCode::CREATED;
        let location = HeaderValue::from_str(path).map_err(|_| ProblemKind::Internal)?;
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
