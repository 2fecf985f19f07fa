//! What a request says besides its body: who asks, on what terms.

use super::{
    body::Body,
    refuse::{field, not_changed},
    state::Api,
    tag::revision_of,
};
use crate::{
    auth::Identity,
    domain::{hash::ContentHash, stream::Revision},
    http::{
        access::Asker,
        layers::{MOST_ID_BYTES, REQUEST_ID},
        problem::{Problem, ProblemKind},
    },
    manage::{EditError, Request},
};
use axum::{
    extract::{FromRequest, FromRequestParts, OriginalUri, Query, Request as HttpRequest, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, header, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Finds out who asks, before anything else is looked at: nothing is told to whoever may not ask.
pub(super) async fn identify(State(api): State<Api>, mut request: HttpRequest, next: Next) -> Response {
    match api.identify(request.headers()).await {
        Ok(who) => {
            let asker = Asker(who.actor.clone());
            request.extensions_mut().insert(who);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(asker);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

fn known(parts: &mut Parts) -> Result<Identity, Problem> {
    parts.extensions.remove().ok_or_else(|| ProblemKind::Unauthenticated.into())
}

/// Somebody reads.
pub(super) struct Read {
    pub(super) who: Identity,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<Api> for Read {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self { who: known(parts)?, headers: parts.headers.clone() })
    }
}

/// A query whose fields are named where they are wrong.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let told = |error: axum::extract::rejection::QueryRejection| ProblemKind::BadRequest.because(error.body_text());
        query.map(|Query(asked)| Self(asked)).map_err(told)
    }
}

/// The terms of a change.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Terms {
    /// Why, for the record; at most 4096 bytes.
    #[param(example = "the kernel of this release does not boot on some machines")]
    reason: Option<String>,
    /// Only say what would come of it: nothing is changed.
    #[serde(default)]
    dry_run: bool,
    /// The warnings have been looked at. Errors are refused all the same.
    #[serde(default)]
    acknowledge: bool,
}

/// What the query of a change may say: its terms, and which of several aliases is meant.
const KNOWN: [&str; 4] = ["reason", "dry_run", "acknowledge", "id"];

/// Who misspells `dry_run` must not change anything.
fn known_alone(parts: &Parts) -> Result<(), Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let unknown = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !KNOWN.contains(&name.as_ref()));
    match unknown {
        Some((name, _)) => Err(ProblemKind::BadRequest.because(format!("a change knows no parameter {name:?}"))),
        None => Ok(()),
    }
}

/// Somebody writes.
pub(super) struct Write<T = ()> {
    pub(super) who: Identity,
    pub(super) body: T,
    terms: Terms,
    expected: Option<Revision>,
    is_conditional: bool,
    once: Option<(String, ContentHash)>,
    request_id: Option<String>,
    subject: String,
}

impl<T: Body> FromRequest<Api> for Write<T> {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let who = known(&mut parts)?;
        known_alone(&parts)?;
        let Asked(terms) = Asked::<Terms>::from_request_parts(&mut parts, api).await?;
        let (expected, is_conditional) = expected(&parts.headers)?;
        let key = idempotency_key(&parts.headers)?;
        let request_id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let request_id = request_id.filter(|id| id.len() <= MOST_ID_BYTES).map(Into::into);
        // Routes that are nested see the end of it alone.
        let whole = parts.extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri.clone());
        let (method, uri) = (parts.method.clone(), whole.unwrap_or_else(|| parts.uri.clone()));
        let content = super::body::read(HttpRequest::from_parts(parts.clone(), body)).await?;
        let once = key.map(|key| {
            // What is asked is all of it: another body, or another place, is another request.
            let asked = [method.as_str().as_bytes(), uri.to_string().as_bytes(), &content].join(&b'\n');
            (key, ContentHash::of(&asked))
        });
        let body = T::parse(&parts.headers, &content)?;
        let subject = below_the_stream(uri.path());
        Ok(Self { who, body, terms, expected, is_conditional, once, request_id, subject })
    }
}

impl<T> Write<T> {
    /// The request, whatever the stream is at by now, unless the caller says what it has to be at.
    pub(super) fn request(&self) -> Result<Request<'_>, Problem> {
        let reason = self.terms.reason.as_deref().unwrap_or_default();
        if reason.trim().is_empty() {
            return Err(field("reason", "is missing: say why, for the record"));
        }
        if reason.len() > crate::domain::reason::MOST_BYTES || reason.contains('\0') {
            return Err(field("reason", "is longer than 4096 bytes, or holds a NUL"));
        }
        Ok(Request {
            who: &self.who,
            subject: &self.subject,
            reason,
            request_id: self.request_id.as_deref(),
            expected: self.expected,
            dry_run: self.terms.dry_run,
            acknowledge: self.terms.acknowledge,
            once: self.once.as_ref().map(|(key, fingerprint)| (key.as_str(), *fingerprint)),
        })
    }

    /// The request, which has to say what it was made from: somebody else's change could be lost otherwise.
    pub(super) fn conditional_request(&self) -> Result<Request<'_>, Problem> {
        if self.is_conditional {
            return self.request();
        }
        let detail = "send If-Match with the ETag of what was looked at (or If-None-Match: * for what is new)";
        Err(ProblemKind::PreconditionRequired.because(detail))
    }

    /// Is it only a look?
    pub(super) fn is_dry_run(&self) -> bool {
        self.terms.dry_run
    }

    /// Why a change was not made. Whoever did not say who they are may still do so.
    pub(super) fn refused(&self, error: EditError) -> Problem {
        let denied = matches!(&error, EditError::Refused(crate::manage::Refusal::Denied { .. }));
        if denied && !self.who.is_known() {
            return ProblemKind::Unauthenticated.because("a bearer token is needed");
        }
        not_changed(error)
    }
}

/// The revision that the stream has to be at, and whether anything was said of it.
fn expected(headers: &HeaderMap) -> Result<(Option<Revision>, bool), Problem> {
    let text = |name: HeaderName| {
        let mut values = headers.get_all(&name).iter();
        let value = values.next().map(|value| value.to_str().map(str::trim));
        match (value, values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(text)), None) => Ok(Some(text)),
            _ => Err(ProblemKind::BadRequest.because(format!("{name} has to hold one entity tag"))),
        }
    };
    match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
        (Some(_), Some(_)) => Err(ProblemKind::BadRequest.because("If-Match and If-None-Match exclude each other")),
        (None, Some("*")) => Ok((Some(Revision(0)), true)),
        (None, Some(_)) => Err(ProblemKind::BadRequest.because("If-None-Match can only be * here")),
        (Some("*"), None) => Ok((None, true)),
        (Some(tag), None) => match revision_of(tag) {
            Some(revision) => Ok((Some(revision), true)),
            // A tag that was never given matches nothing.
            None => Ok((Some(Revision(-1)), true)),
        },
        (None, None) => Ok((None, false)),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = key.to_str().ok().filter(|key| !key.trim().is_empty() && key.len() <= MOST_ID_BYTES);
    let problem = || ProblemKind::BadRequest.because("Idempotency-Key has to be 1 to 255 visible ASCII characters");
    text.map(|key| Some(key.to_owned())).ok_or_else(problem)
}

/// `releases/44/barrier` of `/api/v1/products/os/streams/stable/releases/44/barrier`.
fn below_the_stream(path: &str) -> String {
    let below = path.split_once("/streams/").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, below)| below);
    percent_encoding::percent_decode_str(below).decode_utf8_lossy().chars().filter(|c| *c != '\0').take(1024).collect()
}
