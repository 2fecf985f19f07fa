//! Barriers and dead ends.

use super::releases::{find, read_release};
use crate::{
    api::{
        ask::{Read, Write},
        body::Json,
        paths::{At, ReleasePath},
        refuse::fields,
        respond::{Answer, changed},
        state::Api,
    },
    domain::{
        barrier::Barrier,
        dead_end::DeadEnd,
        document::{self, parts, shape::PolicyDocument},
        origin::Origin,
    },
    http::problem::ProblemKind,
    manage::Report,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_barrier, put_barrier, remove_barrier)).routes(routes!(
        show_dead_end,
        put_dead_end,
        remove_dead_end
    ))
}

/// Shows why a release is a barrier, and on which arches
#[utoipa::path(get, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "the barrier", body = PolicyDocument)))]
async fn show_barrier(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    let none = || ProblemKind::NotFound.because(format!("release {version} is no barrier"));
    read.show(snapshot.revision, &document::release(release).barrier.ok_or_else(none)?)
}

/// Makes a release a barrier: nodes before it must reach it first
#[utoipa::path(put, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    request_body = PolicyDocument, responses((status = 200, description = "it is one", body = Report)))]
async fn put_barrier(State(api): State<Api>, At(path): At<ReleasePath>, write: Write<Json<PolicyDocument>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let (reason, arches) = parts::policy(&write.body.0).map_err(fields)?;
    let barrier = Barrier { reason, arches, origin: Origin::Local };
    let done = api.manage()?.set_barrier((&id, &version), Some(&barrier), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Makes a release no barrier any more
#[utoipa::path(delete, path = "/releases/{version}/barrier", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "it is none", body = Report)))]
async fn remove_barrier(State(api): State<Api>, At(path): At<ReleasePath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let done = api.manage()?.set_barrier((&id, &version), None, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Shows why a release is a dead end, and on which arches
#[utoipa::path(get, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "the dead end", body = PolicyDocument)))]
async fn show_dead_end(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    let none = || ProblemKind::NotFound.because(format!("release {version} is no dead end"));
    read.show(snapshot.revision, &document::release(release).dead_end.ok_or_else(none)?)
}

/// Makes a release a dead end: no update leads on from it, and agents show the reason
#[utoipa::path(put, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    request_body = PolicyDocument, responses((status = 200, description = "it is one", body = Report)))]
async fn put_dead_end(State(api): State<Api>, At(path): At<ReleasePath>, write: Write<Json<PolicyDocument>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let (reason, arches) = parts::policy(&write.body.0).map_err(fields)?;
    let dead_end = DeadEnd { reason, arches, origin: Origin::Local };
    let done = api.manage()?.set_dead_end((&id, &version), Some(&dead_end), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Makes a release no dead end any more
#[utoipa::path(delete, path = "/releases/{version}/dead-end", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "it is none", body = Report)))]
async fn remove_dead_end(State(api): State<Api>, At(path): At<ReleasePath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let done = api.manage()?.set_dead_end((&id, &version), None, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
