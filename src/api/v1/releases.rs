//! Releases: listed, shown, drafted, published, withdrawn.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        model::{NewRelease, NotesModel, ReleaseModel},
        page::{Page, PageQuery},
        paths::{At, ReleasePath, StreamPath, path_of},
        refuse::{field, fields},
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::{artifact::Notes, document::parts, release::Release, stream::StreamId, version::Version},
    http::problem::{Problem, ProblemKind},
    manage::{Report, Snapshot},
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_releases, create_release))
        .routes(routes!(show_release, change_release, remove_release))
        .routes(routes!(publish_release))
        .routes(routes!(withdraw_release))
}

/// A release of a stream, and its place.
pub(super) fn find<'a>(snapshot: &'a Snapshot, version: &Version) -> Result<(usize, &'a Release), Problem> {
    let place = snapshot.stream.position_of(version);
    let found = place.and_then(|place| Some((place, snapshot.stream.releases.get(place)?)));
    found.ok_or_else(|| {
        ProblemKind::NotFound.because(format!("there is no release {version} of {}", snapshot.stream.id))
    })
}

/// A release that somebody may read, of its stream as it is.
pub(super) async fn read_release(
    api: &Api,
    read: &Read,
    (id, version): (StreamId, Version),
) -> Result<(Snapshot, Version), Problem> {
    let snapshot = api.stream(&read.who, &id).await?;
    find(&snapshot, &version)?;
    Ok((snapshot, version))
}

/// Lists the releases of a stream, the oldest first, drafts last
#[utoipa::path(get, path = "/releases", tag = "releases", params(StreamPath, PageQuery),
    responses((status = 200, description = "a page of them", body = Page<ReleaseModel>)))]
async fn list_releases(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(page): Asked<PageQuery>,
) -> Answer {
    let snapshot = api.stream(&read.who, &path.id()?).await?;
    let now = api.now()?;
    let releases = snapshot.stream.releases.iter().enumerate();
    // By their places, which only drafts change.
    let page = page.of(releases, |(place, _)| format!("{place:08}"))?;
    let items = page.items.into_iter().map(|(place, release)| ReleaseModel::of(place, release, now)).collect();
    Read::show_now(snapshot.revision, &Page { items, next: page.next })
}

/// Drafts a release
#[utoipa::path(post, path = "/releases", tag = "releases", params(StreamPath), request_body = NewRelease,
    responses((status = 201, description = "it was made", body = Report)))]
async fn create_release(State(api): State<Api>, At(path): At<StreamPath>, write: Write<Json<NewRelease>>) -> Answer {
    let (id, request) = (path.id()?, write.request()?);
    let Json(new) = &write.body;
    let draft = parts::release(&new.to_document()).map_err(fields)?;
    let report = api.manage()?.create_release(&id, &draft, &request).await.map_err(|error| write.refused(error))?;
    created(&report, &format!("{}/releases", path_of(&id)))
}

/// Shows a release
#[utoipa::path(get, path = "/releases/{version}", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "the release", body = ReleaseModel)))]
async fn show_release(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (place, release) = find(&snapshot, &version)?;
    Read::show_now(snapshot.revision, &ReleaseModel::of(place, release, api.now()?))
}

/// Sets the notes of a release
#[utoipa::path(patch, path = "/releases/{version}", tag = "releases", params(ReleasePath), request_body = NotesModel,
    responses((status = 200, description = "they are set", body = Report)))]
async fn change_release(State(api): State<Api>, At(path): At<ReleasePath>, write: Write<Json<NotesModel>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let Json(NotesModel { notes }) = &write.body;
    let notes = notes.as_ref().map(|notes| Notes::parse(notes).map_err(|error| field("notes", error))).transpose()?;
    let done = api.manage()?.set_notes((&id, &version), notes.as_ref(), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Takes a draft away
#[utoipa::path(delete, path = "/releases/{version}", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_release(State(api): State<Api>, At(path): At<ReleasePath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    changed(&api.manage()?.remove_release(&id, &version, &request).await.map_err(|error| write.refused(error))?)
}

/// Publishes a draft as the youngest release of the stream, or again what was withdrawn. Nodes are sent to it as its rollouts say
#[utoipa::path(post, path = "/releases/{version}/publish", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "it is published", body = Report)))]
async fn publish_release(State(api): State<Api>, At(path): At<ReleasePath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    changed(&api.manage()?.publish(&id, &version, &request).await.map_err(|error| write.refused(error))?)
}

/// Withdraws a release: offers of it are taken back, and nobody is sent to it any more; nodes on it are sent on
#[utoipa::path(post, path = "/releases/{version}/withdraw", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "it is withdrawn", body = Report)))]
async fn withdraw_release(State(api): State<Api>, At(path): At<ReleasePath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.request()?);
    changed(&api.manage()?.withdraw(&id, &version, &request).await.map_err(|error| write.refused(error))?)
}
