//! Releases.

use crate::{
    api::{
        model::{NewRelease, NotesModel, ReleaseModel},
        page::{Page, PageQuery},
        paths::{PathParams, ReleasePath, StreamPath, path_of},
        refuse::{field, fields},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::{artifact::Notes, document::parts},
    http::problem::Problem,
    manage::{
        Action, Report,
        commands::releases::{CreateRelease, PublishRelease, RemoveRelease, SetNotes, WithdrawRelease},
        read::ReleaseAtRevision,
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_releases, create_release))
        .routes(routes!(get_release, update_release, delete_release))
        .routes(routes!(publish_release))
        .routes(routes!(withdraw_release))
}

/// Reads a release, for a caller who may read its stream.
pub(super) async fn read_release(
    api: &Api,
    read: &ReadRequest,
    path: &ReleasePath,
) -> Result<ReleaseAtRevision, Problem> {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    Ok(reader.release(&path.version()?).await?)
}

/// List the releases of a stream, oldest first, drafts last
#[utoipa::path(get, path = "/releases", tag = "releases", params(StreamPath, PageQuery),
    responses((status = 200, description = "A page of releases", body = Page<ReleaseModel>)))]
async fn list_releases(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    let now = api.now()?;
    let releases = snapshot.stream.releases.iter().enumerate();
    // Positions are stable cursors: only drafts change theirs.
    let page = page.parse()?.by_position(releases, |(position, _)| *position)?;
    let items = page
        .items
        .into_iter()
        .map(|(position, release)| ReleaseModel::new(&snapshot.stream, position, release, now))
        .collect();
    let page = Page { items, next: page.next };
    read.link_next(ReadRequest::show_now(snapshot.revision, &page), page.next.as_deref())
}

/// Create a release, as a draft
#[utoipa::path(post, path = "/releases", tag = "releases", params(StreamPath), request_body = NewRelease,
    responses((status = 201, description = "The draft is created", body = Report)))]
async fn create_release(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::CREATE_RELEASE, &id)?.json::<NewRelease>().await?;
    let request = write.request()?;
    let draft = parts::release(&write.body.to_document()).map_err(fields)?;
    let within = format!("{}/releases", path_of(&id));
    created(&write.run(&api, &CreateRelease { stream: id, draft }, &request).await?, &within)
}

/// Get a release
#[utoipa::path(get, path = "/releases/{version}", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "The release", body = ReleaseModel)))]
async fn get_release(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let model = ReleaseModel::new(&found.stream, found.position, &found.release, api.now()?);
    ReadRequest::show_now(found.revision, &model)
}

/// Set or remove the notes of a release
#[utoipa::path(patch, path = "/releases/{version}", tag = "releases", params(ReleasePath), request_body = NotesModel,
    responses((status = 200, description = "The notes are set", body = Report)))]
async fn update_release(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::CHANGE_RELEASE, &id)?.json::<NotesModel>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let NotesModel { notes } = &write.body;
    let notes = notes.as_ref().map(|notes| Notes::parse(notes).map_err(|error| field("notes", error))).transpose()?;
    changed(&write.run(&api, &SetNotes { release, notes }, &request).await?)
}

/// Delete a draft
///
/// A published release cannot be deleted: withdraw it instead.
#[utoipa::path(delete, path = "/releases/{version}", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "The draft is deleted", body = Report)))]
async fn delete_release(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_RELEASE, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &RemoveRelease { release }, &request).await?)
}

/// Publish a draft as the newest release of the stream, or a withdrawn release again
///
/// The release is offered to nodes as its rollouts admit them. Rollouts that were planned to start earlier start now.
#[utoipa::path(post, path = "/releases/{version}/publish", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "The release is published", body = Report)))]
async fn publish_release(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::PUBLISH, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &PublishRelease { release }, &request).await?)
}

/// Withdraw a release
///
/// Offers of the release are withdrawn, and no node is offered it any more. Nodes that run it are still offered updates to other
/// releases.
#[utoipa::path(post, path = "/releases/{version}/withdraw", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "The release is withdrawn", body = Report)))]
async fn withdraw_release(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::WITHDRAW, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.request()?);
    changed(&write.run(&api, &WithdrawRelease { release }, &request).await?)
}
