//! The OpenAPI description of all operations, and the routes that serve it. Parts that many operations share are added here.

use super::{
    model::MissedEventsModel,
    parameters::{ReadParameters, query_parameters, refuse_unknown},
    state::Api,
    v1,
};
use crate::http::problem::{ProblemBody, ProblemKind};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, MatchedPath},
    middleware,
    routing::get,
};
use std::sync::Arc;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Header, ObjectBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// How registries prove that they send a report: by the secret, as a password, or with a signature.
const WEBHOOK_SECRET: &str = "webhook_secret";
const WEBHOOK_PASSWORD: &str = "webhook_password";
const WEBHOOK_SIGNATURE: &str = "webhook_signature";

/// The path of the description.
const DESCRIPTION: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lockkeeper",
        description = "The API with which release managers run release streams.\n\n\
- Every write needs a `reason`, which is recorded in the audit log, and returns a report of what it changed. `dry_run=true` returns the \
report without changing anything.\n\
- A write that introduces errors is refused. A write that introduces warnings needs `acknowledge=true`.\n\
- Every response about a stream carries the stream's revision as the `ETag`. Writes that could undo another change need it as \
`If-Match`. Creating something, and writes that only restrict (pause, hold, abort, withdraw, emergency stop), do not.\n\
- Times are RFC 3339, shares and wariness are numbers from 0 to 1, durations are ISO 8601 in days, hours and minutes.\n\
- Lists are paged: pass `next` of a page as `cursor` of the next request.\n\
- Errors are problem documents (RFC 9457).",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemBody, MissedEventsModel)),
    tags(
        (name = "service", description = "Name, version and links of this service"),
        (name = "products", description = "Operating systems with their own streams and versions"),
        (name = "streams", description = "Ordered lists of releases that nodes follow"),
        (name = "releases", description = "Versions in a stream, with their payloads, aliases and artifacts"),
        (name = "policies", description = "Barriers, dead ends, predecessors, blocked updates"),
        (name = "rollouts", description = "Ramps that offer a release to a growing share of the nodes"),
        (name = "bases", description = "What streams of own images inherit from the streams that they are built on"),
        (name = "promotions", description = "Releases copied from one stream into another"),
        (name = "emergency stop", description = "Stops of a stream or product: no updates are offered until the stop is lifted"),
        (name = "history", description = "Revisions of a stream, reverting to them, the audit log, and events as they happen"),
        (name = "documents", description = "Streams as one document each"),
        (name = "answers", description = "What a stream means for nodes: update graph, future updates of a node, lint findings"),
        (name = "tokens", description = "Tokens of this service, for installations without an identity provider"),
    )
)]
struct Base;

/// Builds the routes of `/api/v1`, with their description and its documentation page. Stream documents may be larger than other
/// bodies.
pub fn routes(api: Api, body_bytes: usize, document_bytes: usize) -> Router {
    let (router, description) = operations(&api).split_for_parts();
    let read_parameters = Arc::new(ReadParameters::new(&description));
    // Serialised once: requests for the description need no token and must be cheap.
    let text = Bytes::from(serde_json::to_vec(&complete(description)).unwrap_or_default());
    let swagger = SwaggerUi::new("/api/v1/docs").config(Config::from(DESCRIPTION));
    router
        .with_state(api)
        .layer(middleware::from_fn_with_state(read_parameters, refuse_unknown))
        .layer(middleware::from_fn(move |request: axum::extract::Request, next: middleware::Next| {
            // By the route, not by the path: releases and artifacts may be named `document`, too.
            let route = request.extensions().get::<MatchedPath>();
            let is_document = route.is_some_and(|route| route.as_str() == v1::DOCUMENT);
            let limit = if is_document { document_bytes } else { body_bytes };
            async move { next.run(with_limit(request, limit)).await }
        }))
        .layer(DefaultBodyLimit::disable())
        .route(DESCRIPTION, get(async move || ([(http::header::CONTENT_TYPE, "application/json")], text.clone())))
        .merge(Router::from(swagger))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

fn with_limit(request: axum::extract::Request, limit: usize) -> axum::extract::Request {
    request.map(|body| axum::body::Body::new(http_body_util::Limited::new(body, limit)))
}

/// Returns the description of every operation.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    complete(v1::open_operations().merge(v1::operations()).into_openapi())
}

fn operations(api: &Api) -> OpenApiRouter<Api> {
    let identify = middleware::from_fn_with_state(api.clone(), super::request::identify);
    v1::open_operations().merge(v1::operations().route_layer(identify))
}

fn complete(operations: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut description = Base::openapi();
    description.merge(operations);
    description.info.version = env!("CARGO_PKG_VERSION").into();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let http = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
    components.add_security_scheme(WEBHOOK_SECRET, http(HttpAuthScheme::Bearer));
    components.add_security_scheme(WEBHOOK_PASSWORD, http(HttpAuthScheme::Basic));
    let signature = ApiKeyValue::with_description(
        "X-Hub-Signature-256",
        "`sha256=` and the HMAC-SHA-256 of the body, in hexadecimal",
    );
    components.add_security_scheme(WEBHOOK_SIGNATURE, SecurityScheme::ApiKey(ApiKey::Header(signature)));
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations_of(item) {
            finish(method, path, operation);
        }
    }
    description
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    let all = [
        (Method::Get, get.as_mut()),
        (Method::Post, post.as_mut()),
        (Method::Put, put.as_mut()),
        (Method::Patch, patch.as_mut()),
        (Method::Delete, delete.as_mut()),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

/// Adds to an operation what all operations of its method share.
fn finish(method: Method, path: &str, operation: &mut Operation) {
    if path == v1::REGISTRY_EVENTS {
        return finish_webhook(operation);
    }
    let is_open = path == super::PREFIX;
    if !is_open {
        operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
    let mut problems = vec![ProblemKind::Unavailable];
    if !is_open {
        problems.extend([ProblemKind::BadRequest, ProblemKind::Unauthenticated, ProblemKind::Forbidden]);
        problems.extend([ProblemKind::NotFound, ProblemKind::Invalid, ProblemKind::TooManyRequests]);
    }
    if method != Method::Get {
        problems.extend([ProblemKind::Conflict, ProblemKind::Changed, ProblemKind::PreconditionRequired]);
        problems.push(ProblemKind::TooLarge);
        if operation.request_body.is_some() {
            problems.push(ProblemKind::UnsupportedMediaType);
        }
        let parameters = operation.parameters.get_or_insert_default();
        parameters.extend(write_options());
        parameters.push(match method {
            Method::Post => header(
                "Idempotency-Key",
                "A unique key for this request, 1 to 255 visible ASCII characters. For 7 days, a request that is repeated with the same key \
                 gets the same response and is not carried out again.",
            ),
            _ => header("If-None-Match", "`*`: carry out the request only if the stream does not exist yet."),
        });
        parameters.push(header(
            "If-Match",
            "The `ETag` of the state that the request was made from, or `*` for any state. The request is refused with 412 if the stream has \
             changed since.",
        ));
    } else if !is_open && !is_event_stream(operation) {
        operation.parameters.get_or_insert_default().push(header(
            "If-None-Match",
            "The `ETag` of a state that the client has: if it is the present one, the response is 304.",
        ));
        operation.responses.responses.insert("304".into(), RefOr::T(Response::new("Not modified; without a body")));
        let is_paged = query_parameters(operation).any(|name| name == "cursor");
        if let Some(RefOr::T(list)) = operation.responses.responses.get_mut("200").filter(|_| is_paged) {
            let link = ObjectBuilder::new().schema_type(Type::String);
            let link = link.description(Some("The next page (RFC 8288, `rel=\"next\"`); absent on the last page"));
            list.headers.insert("link".into(), RefOr::T(Header::new(link.build())));
        }
    }
    // A dry run creates nothing.
    let dry_run = match operation.responses.responses.get("201") {
        Some(RefOr::T(created)) => {
            let mut dry_run = created.clone();
            dry_run.description = "This is a dry run: nothing was created".into();
            Some(dry_run)
        }
        _ => None,
    };
    if let Some(dry_run) = dry_run {
        operation.responses.responses.entry("200".into()).or_insert(RefOr::T(dry_run));
    }
    let has_tags = !is_open && !is_event_stream(operation);
    let successes = operation.responses.responses.values_mut();
    for response in successes.filter(|_| has_tags) {
        if let RefOr::T(response) = response {
            let tag = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
            response.headers.entry("etag".into()).or_insert(RefOr::T(tag));
        }
    }
    add_problems(operation, problems);
}

/// Adds what differs for the operation of registries: other proofs, and no revision.
fn finish_webhook(operation: &mut Operation) {
    let proof = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    operation.security = Some([WEBHOOK_SECRET, WEBHOOK_PASSWORD, WEBHOOK_SIGNATURE].map(proof).into());
    let problems = [
        ProblemKind::BadRequest,
        ProblemKind::Unauthenticated,
        ProblemKind::NotFound,
        ProblemKind::TooLarge,
        ProblemKind::TooManyRequests,
        ProblemKind::Unavailable,
    ];
    add_problems(operation, problems);
}

fn add_problems(operation: &mut Operation, problems: impl IntoIterator<Item = ProblemKind>) {
    for kind in problems {
        let (_, title, status) = kind.parts();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(title).content("application/problem+json", content).build();
        operation.responses.responses.insert(status.as_str().into(), RefOr::T(response));
    }
}

/// Returns true if the response is a stream of events, which has no state and so no tag.
fn is_event_stream(operation: &Operation) -> bool {
    match operation.responses.responses.get("200") {
        Some(RefOr::T(response)) => response.content.contains_key("text/event-stream"),
        _ => false,
    }
}

fn write_options() -> impl Iterator<Item = RefOr<Parameter>> {
    <super::request::WriteOptions as utoipa::IntoParams>::into_params(|| Some(ParameterIn::Query))
        .into_iter()
        .map(RefOr::T)
}

fn header(name: &str, description: &str) -> RefOr<Parameter> {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
    RefOr::T(parameter.build())
}
