//! Barriers and dead ends.

use super::releases::read_release;
use crate::{
    api::{
        paths::{PathParams, ReleasePath},
        refuse::fields,
        request::{ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    domain::{
        document::{self, parts, shape::PolicyDocument},
        origin::Origin,
        policy::{barrier::Barrier, dead_end::DeadEnd},
    },
    http::problem::ProblemKind,
    manage::{
        Action, Report,
        commands::policies::{RemoveBarrier, RemoveDeadEnd, SetBarrier, SetDeadEnd},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_barrier, set_barrier, delete_barrier)).routes(routes!(
        get_dead_end,
        set_dead_end,
        delete_dead_end
    ))
}

/// Get the barrier of a release: its reason and arches
#[utoipa::path(get, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The barrier", body = PolicyDocument)))]
async fn get_barrier(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let none = || ProblemKind::NotFound.because(format!("release {} is not a barrier", found.release.version));
    read.show(found.revision, &document::release(&found.release).barrier.ok_or_else(none)?)
}

/// Mark a release as a barrier
///
/// Older nodes must update to a barrier before they go further.
#[utoipa::path(put, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    request_body = PolicyDocument, responses((status = 200, description = "The release is a barrier", body = Report)))]
async fn set_barrier(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_BARRIER, &id)?.json::<PolicyDocument>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let (reason, arches) = parts::policy(&write.body).map_err(fields)?;
    let barrier = Barrier { reason, arches, origin: Origin::Local };
    changed(&write.run(&api, &SetBarrier { release, barrier }, &request).await?)
}

/// Remove the barrier of a release
#[utoipa::path(delete, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The release is not a barrier", body = Report)))]
async fn delete_barrier(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_BARRIER, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &RemoveBarrier { release }, &request).await?)
}

/// Get the dead end of a release: its reason and arches
#[utoipa::path(get, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The dead end", body = PolicyDocument)))]
async fn get_dead_end(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let none = || ProblemKind::NotFound.because(format!("release {} is not a dead end", found.release.version));
    read.show(found.revision, &document::release(&found.release).dead_end.ok_or_else(none)?)
}

/// Mark a release as a dead end
///
/// No update leaves a dead end. Agents show the reason on the node.
#[utoipa::path(put, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    request_body = PolicyDocument, responses((status = 200, description = "The release is a dead end", body = Report)))]
async fn set_dead_end(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_DEAD_END, &id)?.json::<PolicyDocument>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let (reason, arches) = parts::policy(&write.body).map_err(fields)?;
    let dead_end = DeadEnd { reason, arches, origin: Origin::Local };
    changed(&write.run(&api, &SetDeadEnd { release, dead_end }, &request).await?)
}

/// Remove the dead end of a release
#[utoipa::path(delete, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The release is not a dead end", body = Report)))]
async fn delete_dead_end(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_DEAD_END, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &RemoveDeadEnd { release }, &request).await?)
}
