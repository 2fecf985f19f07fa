//! Bases: what a stream of own images inherits.

use crate::{
    api::{
        model::{BaseModel, NewBuiltOn},
        paths::{BasePolicyPath, PathParams, ReleasePath, StreamPath},
        refuse::fields,
        request::{ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    domain::{base::BasePolicyKind, document::parts},
    http::problem::ProblemKind,
    manage::{
        Action, Report,
        commands::bases::{BasePolicyAddress, RemoveBasePolicy, SetBasePolicy, SetBuiltOn},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_base))
        .routes(routes!(set_base_barrier, delete_base_barrier))
        .routes(routes!(set_base_dead_end, delete_base_dead_end))
        .routes(routes!(set_built_on))
}

/// Get what a stream inherits from its base
///
/// Lists the barriers and dead ends of the base, oldest first, how each stands, and the releases of the stream that are built on them.
#[utoipa::path(get, path = "/base", tag = "bases", params(StreamPath),
    responses((status = 200, description = "What the stream inherits", body = BaseModel)))]
async fn get_base(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, read: ReadRequest) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    let none = || ProblemKind::NotFound.because(format!("{} has no base", snapshot.stream.id));
    read.show(snapshot.revision, &BaseModel::new(&snapshot.stream).ok_or_else(none)?)
}

/// Let a barrier of the base count again
///
/// It was overridden before.
#[utoipa::path(put, path = "/base/barriers/{version}", tag = "bases", params(BasePolicyPath),
    responses((status = 200, description = "The barrier counts", body = Report)))]
async fn set_base_barrier(
    State(api): State<Api>,
    PathParams(path): PathParams<BasePolicyPath>,
    write: UncheckedWrite,
) -> Answer {
    set(&api, &path, write, BasePolicyKind::Barrier).await
}

/// Override a barrier of the base, or accept that the base no longer has it
///
/// Where the base no longer has it on some arches, this accepts that and leaves the other arches as they are; otherwise it overrides the barrier. Its
/// nodes may skip it then, which has to be acknowledged.
#[utoipa::path(delete, path = "/base/barriers/{version}", tag = "bases", params(BasePolicyPath),
    responses((status = 200, description = "The barrier does not count", body = Report)))]
async fn delete_base_barrier(
    State(api): State<Api>,
    PathParams(path): PathParams<BasePolicyPath>,
    write: UncheckedWrite,
) -> Answer {
    remove(&api, &path, write, BasePolicyKind::Barrier).await
}

/// Let a dead end of the base count again
///
/// It was overridden before.
#[utoipa::path(put, path = "/base/dead-ends/{version}", tag = "bases", params(BasePolicyPath),
    responses((status = 200, description = "The dead end counts", body = Report)))]
async fn set_base_dead_end(
    State(api): State<Api>,
    PathParams(path): PathParams<BasePolicyPath>,
    write: UncheckedWrite,
) -> Answer {
    set(&api, &path, write, BasePolicyKind::DeadEnd).await
}

/// Override a dead end of the base, or accept that the base no longer has it
///
/// Where the base no longer has it on some arches, this accepts that and leaves the other arches as they are; otherwise it overrides the dead end. Nodes
/// may update from it then, which has to be acknowledged.
#[utoipa::path(delete, path = "/base/dead-ends/{version}", tag = "bases", params(BasePolicyPath),
    responses((status = 200, description = "The dead end does not count", body = Report)))]
async fn delete_base_dead_end(
    State(api): State<Api>,
    PathParams(path): PathParams<BasePolicyPath>,
    write: UncheckedWrite,
) -> Answer {
    remove(&api, &path, write, BasePolicyKind::DeadEnd).await
}

async fn set(api: &Api, path: &BasePolicyPath, write: UncheckedWrite, kind: BasePolicyKind) -> Answer {
    let stream = path.id()?;
    let write = write.authorize(Action::SET_BASE_POLICY, &stream)?.without_body()?;
    let (version, request) = (path.version()?, write.request()?);
    let policy = BasePolicyAddress { stream, version, kind };
    changed(&write.run(api, &SetBasePolicy { policy }, &request).await?)
}

async fn remove(api: &Api, path: &BasePolicyPath, write: UncheckedWrite, kind: BasePolicyKind) -> Answer {
    let stream = path.id()?;
    let write = write.authorize(Action::REMOVE_BASE_POLICY, &stream)?.without_body()?;
    let (version, request) = (path.version()?, write.conditional_request()?);
    let policy = BasePolicyAddress { stream, version, kind };
    changed(&write.run(api, &RemoveBasePolicy { policy }, &request).await?)
}

/// Say on which release of the base the images of a release are built
///
/// Arches that are not listed keep theirs. Of a published release, and of a draft with rollouts or a barrier, a change requires the role
/// `manager`.
#[utoipa::path(put, path = "/releases/{version}/built-on", tag = "bases", params(ReleasePath), request_body = NewBuiltOn,
    responses((status = 200, description = "It is recorded", body = Report)))]
async fn set_built_on(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::CHANGE_RELEASE, &id)?.json::<NewBuiltOn>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let built_on = parts::built_on(&write.body.documents()).map_err(fields)?.unwrap_or_default();
    changed(&write.run(&api, &SetBuiltOn { release, built_on: *built_on }, &request).await?)
}
