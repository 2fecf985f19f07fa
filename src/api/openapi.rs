//! The description of all operations, and what serves it. What is the same for many operations is said here once.

use super::{state::Api, v1};
use crate::http::problem::{ProblemBody, ProblemKind};
use axum::{Json, Router, extract::DefaultBodyLimit, middleware, routing::get};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Header, ObjectBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the description is.
const DESCRIPTION: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lockkeeper",
        description = "Release managers run their release streams by this API.\n\nEvery write says why (`reason`), can be only \
looked at (`dry_run=true`), and answers what it changed. What is dangerous is refused; what is odd wants `acknowledge=true`. \
Every answer about a stream bears the stream's revision as its ETag. A write that could undo what somebody else did \
wants it back as If-Match; those that only close (pause, hold, abort, withdraw, emergency stop) do not. Times are RFC 3339, \
shares 0 to 1, durations ISO 8601 in days, hours and minutes. Lists come in pages. Refusals are problem documents (RFC 9457).",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "service", description = "What this service is"),
        (name = "products", description = "Operating systems with their own streams and versions"),
        (name = "streams", description = "Ordered lists of releases that nodes follow"),
        (name = "releases", description = "Versions in a stream, and what hangs on them"),
        (name = "policies", description = "Barriers, dead ends, blocked updates"),
        (name = "rollouts", description = "The ramps that open releases to a growing share of the nodes"),
        (name = "promotions", description = "Releases copied from one stream into another"),
        (name = "emergency stop", description = "Everything stands still until it is lifted"),
        (name = "history", description = "Who did what, when and why, and the way back"),
        (name = "documents", description = "A stream as one document"),
        (name = "answers", description = "What a stream means for nodes"),
        (name = "tokens", description = "Tokens of our own"),
    )
)]
struct Base;

/// The routes of `/api/v1`, with their description and the page to read and try them by. Documents may be larger than other
/// bodies.
pub fn routes(api: Api, body_bytes: usize, document_bytes: usize) -> Router {
    let (router, description) = operations(&api).split_for_parts();
    let description = complete(description);
    let told = Json(description);
    let swagger = SwaggerUi::new("/api/v1/docs").config(Config::from(DESCRIPTION));
    router
        .with_state(api)
        .layer(middleware::from_fn(move |request: axum::extract::Request, next: middleware::Next| {
            let limit = if request.uri().path().ends_with("/document") { document_bytes } else { body_bytes };
            async move { next.run(with_limit(request, limit)).await }
        }))
        .layer(DefaultBodyLimit::disable())
        .route(DESCRIPTION, get(async move || told.clone()))
        .merge(Router::from(swagger))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

fn with_limit(request: axum::extract::Request, limit: usize) -> axum::extract::Request {
    request.map(|body| axum::body::Body::new(http_body_util::Limited::new(body, limit)))
}

/// The description of every operation.
#[must_use]
pub fn description() -> utoipa::openapi::OpenApi {
    complete(v1::open_operations().merge(v1::operations()).into_openapi())
}

fn operations(api: &Api) -> OpenApiRouter<Api> {
    let identify = middleware::from_fn_with_state(api.clone(), super::ask::identify);
    v1::open_operations().merge(v1::operations().route_layer(identify))
}

fn complete(operations: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut description = Base::openapi();
    description.merge(operations);
    description.info.version = env!("CARGO_PKG_VERSION").into();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in of(item) {
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

fn of(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
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

/// Says of an operation what is the same for all of its method.
fn finish(method: Method, path: &str, operation: &mut Operation) {
    let is_open = path == super::PREFIX;
    if !is_open {
        operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
    let mut problems = vec![ProblemKind::Unavailable];
    if !is_open {
        problems.extend([ProblemKind::BadRequest, ProblemKind::Unauthenticated, ProblemKind::Forbidden]);
        problems.extend([ProblemKind::NotFound, ProblemKind::Invalid]);
    }
    if method != Method::Get {
        problems.extend([ProblemKind::Conflict, ProblemKind::Changed, ProblemKind::PreconditionRequired]);
        problems.push(ProblemKind::TooLarge);
        if operation.request_body.is_some() {
            problems.push(ProblemKind::UnsupportedMediaType);
        }
        let parameters = operation.parameters.get_or_insert_default();
        parameters.extend(terms());
        parameters.push(match method {
            Method::Post => header("Idempotency-Key", "a name for this request, at most 255 visible ASCII characters, kept for a week: asked again by it, it is answered the same and not done twice"),
            _ => header("If-None-Match", "`*`: only if it is not there yet"),
        });
        parameters.push(header(
            "If-Match",
            "the ETag of what was looked at: nothing is done if the stream has changed since",
        ));
    } else if !is_open {
        operation
            .parameters
            .get_or_insert_default()
            .push(header("If-None-Match", "the ETag of what is held already: then 304 without a body"));
        operation.responses.responses.insert("304".into(), RefOr::T(Response::new("it is as it was")));
    }
    // Nothing is made by a look.
    let looked = match operation.responses.responses.get("201") {
        Some(RefOr::T(made)) => {
            let mut looked = made.clone();
            looked.description = "with dry_run: it was looked at".into();
            Some(looked)
        }
        _ => None,
    };
    if let Some(looked) = looked {
        operation.responses.responses.entry("200".into()).or_insert(RefOr::T(looked));
    }
    let successes = operation.responses.responses.values_mut();
    for response in successes.filter(|_| !is_open) {
        if let RefOr::T(response) = response {
            let tag = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
            response.headers.entry("etag".into()).or_insert(RefOr::T(tag));
        }
    }
    for kind in problems {
        let (_, title, status) = kind.parts();
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(title).content("application/problem+json", content).build();
        operation.responses.responses.insert(status.as_str().into(), RefOr::T(response));
    }
}

fn terms() -> impl Iterator<Item = RefOr<Parameter>> {
    <super::ask::Terms as utoipa::IntoParams>::into_params(|| Some(ParameterIn::Query)).into_iter().map(RefOr::T)
}

fn header(name: &str, description: &str) -> RefOr<Parameter> {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
    RefOr::T(parameter.build())
}
