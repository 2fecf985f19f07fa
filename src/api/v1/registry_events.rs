//! Reports of registries, which make the service look at followed repositories at once.

use crate::{
    api::{body, refuse::refused, respond::Answer, state::Api},
    http::{client_addr::ClientAddress, problem::ProblemKind},
    registry::{WebhookProof, reported_repositories},
};
use axum::{
    Extension, Json,
    body::Body,
    extract::{Request, State},
    response::IntoResponse,
};
use http::StatusCode;
use http_body_util::Limited;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The largest report, in bytes.
const MAX_BYTES: usize = 256 << 10;

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(report_registry_event))
}

/// What a report leads to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "streams": 1 }))]
struct ReportModel {
    /// The number of streams whose repositories are looked at now.
    streams: u64,
}

/// Report that repositories of a registry have changed
///
/// For webhooks of registries. The service looks at once at the repositories that streams follow, and reads what has changed from the registry: the
/// report only names repositories. It is understood in the forms of registries by the distribution specification, GitHub, Quay, Docker Hub, Harbor,
/// Azure and Amazon. The request carries the secret of the setting `registries.webhook_secret_file`: as a bearer token, as the password of any user, or as
/// the key of `X-Hub-Signature-256`. Without that setting, the response is 404.
#[utoipa::path(post, path = "/registry-events", tag = "releases",
    request_body(content = Object, description = "The report, at most 256 KiB",
        example = json!({ "events": [{ "action": "push", "target": { "repository": "acme/os", "tag": "stable-12" } }] })),
    responses((status = 202, description = "The report is understood", body = ReportModel)))]
async fn report_registry_event(
    State(api): State<Api>,
    from: Option<Extension<ClientAddress>>,
    request: Request<Body>,
) -> Answer {
    let (parts, content) = request.into_parts();
    let Some(secret) = api.webhook_secret() else {
        return Err(ProblemKind::NotFound
            .because("reports of registries are not accepted: registries.webhook_secret_file is not set"));
    };
    let manage = api.manage()?;
    let rejected = || {
        let problem = ProblemKind::Unauthenticated.because(
            "requires the webhook secret: as a bearer token, as a password, or as the key of X-Hub-Signature-256",
        );
        api.authentication_failed(from.map(|Extension(from)| from), problem, manage.metrics())
    };
    let proof = WebhookProof::from_headers(&parts.headers).ok_or_else(rejected)?;
    // A wrong secret is rejected before the body is read.
    if matches!(proof, WebhookProof::Secret(_)) && !secret.admits(&proof, &[]) {
        return Err(rejected());
    }
    let content = body::read(Body::new(Limited::new(content, MAX_BYTES)), api.bodies()).await?;
    if !secret.admits(&proof, &content.bytes) {
        return Err(rejected());
    }
    let paths =
        reported_repositories(&content.bytes).map_err(|error| ProblemKind::BadRequest.because(error.to_string()))?;
    let streams = manage.wake_follows(&paths).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(ReportModel { streams })).into_response())
}
