//! Blocked updates: ranges of releases that must not update directly to a release.

use super::releases::read_release;
use crate::{
    api::{
        model::{BlockedModel, NewBlocked},
        page::Page,
        paths::{NumberPath, PathParams, ReleasePath, path_of_release},
        request::{ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
    },
    manage::{
        Action, Report,
        commands::policies::{BlockUpdate, UnblockUpdate},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_blocked_updates, create_blocked_update))
        .routes(routes!(delete_blocked_update))
}

/// List the blocked updates to a release
#[utoipa::path(get, path = "/releases/{version}/blocked-updates", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "All blocked updates", body = Page<BlockedModel>)))]
async fn list_blocked_updates(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    read: ReadRequest,
) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let items = BlockedModel::all(&found.stream, found.release.version.as_str());
    read.show(found.revision, &Page { items, next: None })
}

/// Block updates to a release from a range of releases
///
/// Blocking the same range again changes the reason.
#[utoipa::path(post, path = "/releases/{version}/blocked-updates", tag = "policies", params(ReleasePath),
    request_body = NewBlocked, responses(
        (status = 200, description = "The range was blocked already, or this is a dry run", body = Report),
        (status = 201, description = "The range is blocked", body = Report),
    ))]
async fn create_blocked_update(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::BLOCK_UPDATE, &id)?.json::<NewBlocked>().await?;
    let (target, request) = (path.release(id)?, write.request()?);
    let blocked = write.body.to_document(target.version.to_string());
    let within = format!("{}/blocked-updates", path_of_release(&target.stream, &target.version));
    let report = write.run(&api, &BlockUpdate { target, blocked }, &request).await?;
    if report.changed { created(&report, &within) } else { changed(&report) }
}

/// Delete a blocked update
#[utoipa::path(delete, path = "/releases/{version}/blocked-updates/{id}", tag = "policies", params(NumberPath),
    responses((status = 200, description = "The blocked update is deleted", body = Report)))]
async fn delete_blocked_update(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::UNBLOCK_UPDATE, &id)?.without_body()?;
    let (target, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &UnblockUpdate { target, number: path.number()? }, &request).await?)
}
