//! Predecessors.

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
        document::{self, parts, shape::PredecessorsDocument},
        origin::Origin,
        policy::predecessors::Predecessors,
    },
    http::problem::ProblemKind,
    manage::{
        Action, Report,
        commands::predecessors::{RemovePredecessors, SetPredecessors},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_predecessors, set_predecessors, delete_predecessors))
}

/// Get the predecessors of a release: the releases that may update to it
#[utoipa::path(get, path = "/releases/{version}/predecessors", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The predecessors", body = PredecessorsDocument)))]
async fn get_predecessors(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    read: ReadRequest,
) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let none = || ProblemKind::NotFound.because(format!("release {} lists no predecessors", found.release.version));
    read.show(found.revision, &document::release(&found.release).predecessors.ok_or_else(none)?)
}

/// Set the predecessors of a release
///
/// Only releases on this list may update to the release, if the edge rule of the stream is `explicit`. Other edge rules ignore it.
#[utoipa::path(put, path = "/releases/{version}/predecessors", tag = "policies", params(ReleasePath),
    request_body = PredecessorsDocument, responses((status = 200, description = "The predecessors are set", body = Report)))]
async fn set_predecessors(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_PREDECESSORS, &id)?.json::<PredecessorsDocument>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let predecessors = parts::predecessors(&write.body).map_err(fields)?;
    let predecessors = Predecessors { origin: Origin::Local, ..predecessors };
    changed(&write.run(&api, &SetPredecessors { release, predecessors }, &request).await?)
}

/// Remove the predecessors of a release
#[utoipa::path(delete, path = "/releases/{version}/predecessors", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "The release lists no predecessors", body = Report)))]
async fn delete_predecessors(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_PREDECESSORS, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &RemovePredecessors { release }, &request).await?)
}
