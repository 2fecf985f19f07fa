//! Requests, checked in order: the caller, the role, and only then the query, headers and body.

use super::{
    body::{self, BodyBudget},
    load::restricts,
    paths::path_of_report,
    query,
    refuse::{field, forbidden, not_changed, unknown_parameter},
    state::Api,
    tag::revision_of,
};
use crate::{
    auth::{Identity, Pattern, Role},
    domain::{hash::ContentHash, ids::StreamId, stream::Revision},
    http::{
        access::Actor,
        client_addr::ClientAddress,
        layers::{MAX_ID_BYTES, REQUEST_ID},
        problem::{Problem, ProblemKind},
    },
    manage::{Action, Command, CommandError, Refusal, Report, Request},
};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request as HttpRequest, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, Uri, header, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Identifies the caller before anything else is read: unauthenticated callers learn nothing about the request.
pub(super) async fn identify(State(api): State<Api>, mut request: HttpRequest, next: Next) -> Response {
    let from = request.extensions().get::<ClientAddress>().copied();
    match api.identify(request.headers(), from).await {
        Ok(caller) => {
            let actor = Actor(caller.actor.id.clone());
            let path = request.extensions().get::<OriginalUri>().map_or(request.uri().path(), |uri| uri.path());
            let is_bounded = caller.is_known() && !restricts(request.method(), path);
            let permit = if is_bounded { api.load().begin(&caller.actor.id) } else { None };
            if is_bounded && permit.is_none() {
                let detail = "too many concurrent requests of this caller";
                return ProblemKind::TooManyRequests.because(detail).into_response();
            }
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            drop(permit);
            response.extensions_mut().insert(actor);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

fn caller(parts: &mut Parts) -> Result<Identity, Problem> {
    parts.extensions.remove().ok_or_else(|| ProblemKind::Unauthenticated.into())
}

/// Returns the URI of a request. In nested routes, `parts.uri` has only the end of the path.
fn whole_uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri)
}

/// A read request of an identified caller.
pub(super) struct ReadRequest {
    pub(super) caller: Identity,
    pub(super) headers: HeaderMap,
    pub(super) uri: Uri,
}

impl FromRequestParts<Api> for ReadRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self { caller: caller(parts)?, headers: parts.headers.clone(), uri: whole_uri(parts).clone() })
    }
}

/// A query whose errors are reported only after the caller was authorised.
pub(super) struct LazyQuery<T>(Result<T, Problem>);

impl<T: DeserializeOwned + IntoParams> LazyQuery<T> {
    fn from_uri(uri: &Uri) -> Self {
        Self(query::parse(uri.query().unwrap_or_default()))
    }
}

impl<T> LazyQuery<T> {
    /// Returns the parsed query.
    ///
    /// # Errors
    /// A parameter is missing or invalid.
    pub(super) fn parse(self) -> Result<T, Problem> {
        self.0
    }
}

impl<T: DeserializeOwned + IntoParams> FromRequestParts<Api> for LazyQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self::from_uri(&parts.uri))
    }
}

/// The options of a write.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WriteOptions {
    /// The reason, for the audit log; required, at most 4096 bytes.
    #[param(example = "the kernel of this release does not boot on some machines")]
    reason: Option<String>,
    /// If true, only report what the request would do, without changing anything. Default: false.
    #[serde(default, deserialize_with = "query::flag")]
    dry_run: bool,
    /// If true, carry out the request despite warnings. It has no effect on errors. Default: false.
    #[serde(default, deserialize_with = "query::flag")]
    acknowledge: bool,
}

/// The query parameters of every write.
const KNOWN: [&str; 3] = ["reason", "dry_run", "acknowledge"];

/// A write request of an identified caller. Its query, headers and body have not been read yet.
pub(super) struct UncheckedWrite {
    pub(super) caller: Identity,
    parts: Parts,
    body: Body,
    bodies: BodyBudget,
}

impl FromRequest<Api> for UncheckedWrite {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        Ok(Self { caller: caller(&mut parts)?, parts, body, bodies: api.bodies().clone() })
    }
}

impl UncheckedWrite {
    /// Checks that the caller has the role of an action on a stream.
    ///
    /// # Errors
    /// 403, or 401 for an anonymous caller.
    pub(super) fn authorize(self, action: Action, on: &StreamId) -> Result<AuthorizedWrite, Problem> {
        let is_allowed = self.caller.may(action.role, on);
        self.allow_if(is_allowed, action.role, format_args!("on `{on}`"))
    }

    /// Checks that the caller has the role of an action on all streams of a pattern.
    ///
    /// # Errors
    /// 403, or 401 for an anonymous caller.
    pub(super) fn authorize_on_all(self, action: Action, on: &Pattern) -> Result<AuthorizedWrite, Problem> {
        let is_allowed = self.caller.may_on_all(action.role, on);
        self.allow_if(is_allowed, action.role, format_args!("on `{on}`"))
    }

    /// Checks that the caller has the role of an action on any stream. The body decides on which streams the role is required.
    ///
    /// # Errors
    /// 403, or 401 for an anonymous caller.
    pub(super) fn authorize_anywhere(self, action: Action) -> Result<AuthorizedWrite, Problem> {
        let is_allowed = self.caller.has_anywhere(action.role);
        self.allow_if(is_allowed, action.role, format_args!("on at least one stream"))
    }

    fn allow_if(self, is_allowed: bool, role: Role, on: std::fmt::Arguments<'_>) -> Result<AuthorizedWrite, Problem> {
        if is_allowed {
            return Ok(AuthorizedWrite { request: self, parameters: &[] });
        }
        Err(forbidden(&self.caller, format!("requires role `{role}` {on}")))
    }
}

/// A write request of a caller who has the role of the action.
pub(super) struct AuthorizedWrite {
    request: UncheckedWrite,
    parameters: &'static [&'static str],
}

impl AuthorizedWrite {
    /// Adds query parameters of this operation to those of every write.
    pub(super) fn with_parameters(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    /// Reads and parses the request with a JSON body.
    ///
    /// # Errors
    /// 400, 413, 415 or 422 if the query, the headers or the body are invalid.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<WriteRequest<T>, Problem> {
        let Self { request: UncheckedWrite { caller, parts, body, bodies }, parameters } = self;
        let head = Head::parse(&parts, parameters)?;
        let content = body::read(body, &bodies).await?;
        let parsed = body::json(&parts.headers, &content)?;
        Ok(head.with_body(caller, parsed, content))
    }

    /// Parses the request without reading a body.
    ///
    /// # Errors
    /// 400 if the query or the headers are invalid.
    pub(super) fn without_body(self) -> Result<WriteRequest, Problem> {
        let Self { request: UncheckedWrite { caller, parts, .. }, parameters } = self;
        Ok(Head::parse(&parts, parameters)?.with_body(caller, (), body::Content::default()))
    }
}

/// The query and headers of a write request.
struct Head {
    options: WriteOptions,
    expected: Option<Revision>,
    is_conditional: bool,
    idempotency_key: Option<String>,
    request_id: Option<String>,
    /// The method and the URI, which are part of the request's fingerprint.
    target: String,
    subject: String,
}

impl Head {
    fn parse(parts: &Parts, parameters: &[&str]) -> Result<Self, Problem> {
        reject_unknown(&parts.uri, parameters)?;
        let options = LazyQuery::<WriteOptions>::from_uri(&parts.uri).parse()?;
        let (expected, is_conditional) = expected(&parts.headers)?;
        let request_id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let uri = whole_uri(parts);
        Ok(Self {
            options,
            expected,
            is_conditional,
            idempotency_key: idempotency_key(&parts.headers)?,
            request_id: request_id.filter(|id| id.len() <= MAX_ID_BYTES).map(Into::into),
            target: format!("{}\n{uri}\n", parts.method),
            subject: below_the_stream(uri.path()),
        })
    }

    fn with_body<T>(self, caller: Identity, body: T, content: body::Content) -> WriteRequest<T> {
        let fingerprint = |key| (key, ContentHash::from_content(&[self.target.as_bytes(), &content.bytes].concat()));
        WriteRequest {
            caller,
            body,
            options: self.options,
            expected: self.expected,
            is_conditional: self.is_conditional,
            idempotency: self.idempotency_key.map(fingerprint),
            request_id: self.request_id,
            subject: self.subject,
            _permit: content.permit,
        }
    }
}

/// Rejects unknown query parameters: a misspelt `dry_run` must not change anything.
fn reject_unknown(uri: &Uri, parameters: &[&str]) -> Result<(), Problem> {
    let is_known = |name: &str| KNOWN.contains(&name) || parameters.contains(&name);
    query::first_unknown(uri, is_known).map_or(Ok(()), |name| Err(unknown_parameter(&name)))
}

/// A parsed write request.
pub(super) struct WriteRequest<T = ()> {
    pub(super) caller: Identity,
    pub(super) body: T,
    options: WriteOptions,
    expected: Option<Revision>,
    is_conditional: bool,
    idempotency: Option<(String, ContentHash)>,
    request_id: Option<String>,
    subject: String,
    /// The body's part of the budget of all bodies, until the request is answered.
    _permit: Option<body::BodyPermit>,
}

impl<T> WriteRequest<T> {
    /// Returns the request, conditional only if the caller sends `If-Match` or `If-None-Match`.
    pub(super) fn request(&self) -> Result<Request<'_>, Problem> {
        let reason = self.options.reason.as_deref().unwrap_or_default();
        if reason.trim().is_empty() {
            return Err(field("reason", "is required: why this change is made, for the audit log"));
        }
        if reason.len() > crate::domain::reason::MAX_BYTES || reason.contains('\0') {
            return Err(field("reason", "must be at most 4096 bytes without NUL"));
        }
        Ok(Request {
            caller: &self.caller,
            subject: &self.subject,
            reason,
            request_id: self.request_id.as_deref(),
            expected: self.expected,
            dry_run: self.options.dry_run,
            acknowledge: self.options.acknowledge,
            accepted_warnings: None,
            idempotency: self.idempotency.as_ref().map(|(key, fingerprint)| (key.as_str(), *fingerprint)),
            report_path: Some(path_of_report),
        })
    }

    /// Returns the request, which must be conditional: otherwise it could undo a change that the caller has not seen.
    pub(super) fn conditional_request(&self) -> Result<Request<'_>, Problem> {
        if self.is_conditional {
            return self.request();
        }
        let detail =
            "requires If-Match with the ETag of the state that you read (or If-None-Match: * to create something)";
        Err(ProblemKind::PreconditionRequired.because(detail))
    }

    /// Returns true if nothing is to be changed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.options.dry_run
    }

    /// Executes a command.
    pub(super) async fn run(&self, api: &Api, command: &dyn Command, request: &Request<'_>) -> Result<Report, Problem> {
        api.manage()?.run(command, request).await.map_err(|error| self.refused(error))
    }

    /// Maps the error of a command to a problem.
    pub(super) fn refused(&self, error: CommandError) -> Problem {
        match error {
            CommandError::Refused(denied @ Refusal::Denied { .. }) => forbidden(&self.caller, denied.to_string()),
            error => not_changed(error),
        }
    }
}

/// Returns the revision that the stream must be at, and whether the request is conditional.
fn expected(headers: &HeaderMap) -> Result<(Option<Revision>, bool), Problem> {
    let text = |name: HeaderName| {
        let mut values = headers.get_all(&name).iter();
        let value = values.next().map(|value| value.to_str().map(str::trim));
        match (value, values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(text)), None) => Ok(Some(text)),
            _ => Err(ProblemKind::BadRequest.because(format!("{name} must have one entity tag"))),
        }
    };
    match (text(header::IF_MATCH)?, text(header::IF_NONE_MATCH)?) {
        (Some(_), Some(_)) => Err(ProblemKind::BadRequest.because("If-Match and If-None-Match cannot be combined")),
        (None, Some("*")) => Ok((Some(Revision(0)), true)),
        (None, Some(_)) => Err(ProblemKind::BadRequest.because("If-None-Match must be * in a write")),
        (Some("*"), None) => Ok((None, true)),
        (Some(tag), None) => match revision_of(tag) {
            Some(revision) => Ok((Some(revision), true)),
            // A tag that is not from this service matches no revision.
            None => Ok((Some(Revision(-1)), true)),
        },
        (None, None) => Ok((None, false)),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = key.to_str().ok().filter(|key| !key.trim().is_empty() && key.len() <= MAX_ID_BYTES);
    let problem = || ProblemKind::BadRequest.because("Idempotency-Key must have 1 to 255 visible ASCII characters");
    text.map(|key| Some(key.to_owned())).ok_or_else(problem)
}

/// Returns the part of a path below the stream: `releases/44/barrier` of `/api/v1/products/os/streams/stable/releases/44/barrier`.
fn below_the_stream(path: &str) -> String {
    let below = path.split_once("/streams/").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, below)| below);
    percent_encoding::percent_decode_str(below).decode_utf8_lossy().chars().filter(|c| *c != '\0').take(1024).collect()
}
