//! Releases.

use crate::{
    api::{
        model::{NewRelease, NotesModel, ReleaseModel},
        page::{Page, PageQuery, descending},
        paths::{PathParams, ReleasePath, StreamPath, path_of},
        refuse::{field, fields, not_changed, not_read},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
        v1::rollout_plans::plan_within,
    },
    domain::{
        artifact::Notes,
        document::parts,
        ids::{Arch, StreamId, Version},
        release::{Release, ReleaseState},
    },
    http::problem::{Problem, ProblemBody},
    manage::{
        Action, Report,
        commands::{
            images::{AddImage, version_of},
            releases::{CreateRelease, PublishRelease, RemoveRelease, SetNotes, WithdrawRelease},
            rollouts::RolloutPlan,
        },
        read::{ReleaseAtRevision, ReleaseFilter},
    },
    registry::ImageReference,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
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

/// The releases to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReleasesQuery {
    /// Only releases in this state: `draft`, `published` or `withdrawn`. Default: in any.
    state: Option<String>,
    /// Only releases with a payload on this arch. Default: all.
    arch: Option<String>,
    /// Only releases whose version begins with this text. Default: all.
    version: Option<String>,
    /// `oldest` or `newest`: which release comes first. Default: `oldest`.
    order: Option<String>,
}

impl ReleasesQuery {
    fn filter(&self) -> Result<ReleaseFilter, Problem> {
        let state = self.state.as_deref().map(|name| {
            let expected = || field("state", format!("must be draft, published or withdrawn, is {name:?}"));
            ReleaseState::from_name(name).ok_or_else(expected)
        });
        let arch = self.arch.as_deref().map(|name| Arch::parse(name).map_err(|error| field("arch", error)));
        Ok(ReleaseFilter {
            state: state.transpose()?,
            arch: arch.transpose()?,
            version_prefix: self.version.clone().unwrap_or_default(),
            payload: None,
        })
    }

    fn is_newest_first(&self) -> Result<bool, Problem> {
        match self.order.as_deref() {
            None | Some("oldest") => Ok(false),
            Some("newest") => Ok(true),
            Some(other) => Err(field("order", format!("must be oldest or newest, is {other:?}"))),
        }
    }
}

/// List the releases of a stream
#[utoipa::path(get, path = "/releases", tag = "releases", params(StreamPath, ReleasesQuery, PageQuery),
    responses((status = 200, description = "A page of releases", body = Page<ReleaseModel>)))]
async fn list_releases(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<ReleasesQuery>,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    let (now, query, page) = (api.now()?, query.parse()?, page.parse()?);
    let filter = query.filter()?;
    let releases = snapshot.stream.releases.iter().enumerate().filter(|(_, release)| filter.selects(release));
    // Positions are stable cursors: only drafts change theirs.
    let page = if query.is_newest_first()? {
        page.by_position(releases.rev(), |(position, _)| descending(*position))?
    } else {
        page.by_position(releases, |(position, _)| *position)?
    };
    let items = page
        .items
        .into_iter()
        .map(|(position, release)| ReleaseModel::new(&snapshot.stream, position, release, now))
        .collect();
    let page = Page { items, next: page.next };
    read.link_next(ReadRequest::show_now(snapshot.revision, &page), page.next.as_deref())
}

/// Create a release, as a draft or published, with its rollouts
///
/// All of the request is one revision. Rollouts, a barrier and a dead end require the role `manager`. With `publish`, `If-Match` is required.
/// With `image`, the service asks the registry for its payloads and its version. If a release of the stream has these payloads already, nothing
/// changes, and the report names that release in `existing`. A dry run shows in `builds` what the registry has.
#[utoipa::path(post, path = "/releases", tag = "releases", params(StreamPath), request_body = NewRelease,
    responses((status = 201, description = "The release is created", body = Report),
        (status = 200, description = "A dry run, or a release has the image already", body = Report),
        (status = 502, description = "The registry fails, or does not answer in time", body = ProblemBody,
            content_type = "application/problem+json")))]
async fn create_release(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::CREATE_RELEASE, &id)?.json::<NewRelease>().await?;
    let request = if write.body.publish { write.conditional_request()? } else { write.request()? };
    let within = format!("{}/releases", path_of(&id));
    let rollouts = write.body.rollouts.iter().enumerate();
    let rollouts = rollouts.map(|(index, rollout)| plan_within(&format!("rollouts[{index}]."), rollout));
    let rollouts = rollouts.collect::<Result<Vec<_>, _>>()?;
    if let Some(reference) = &write.body.image {
        let release = release_of_image(&api, id, &write.body, reference, rollouts).await?;
        let report = release.with_builds(write.run(&api, &release, &request).await?);
        let report = report.map_err(|refusal| not_changed(refusal.into()))?;
        return if report.existing.is_some() { changed(&report) } else { created(&report, &within) };
    }
    let version = write.body.version.as_deref().ok_or_else(|| field("version", "is required without an image"))?;
    let draft = parts::release(&write.body.to_document(version)).map_err(fields)?;
    let release = CreateRelease { stream: id, draft, rollouts, is_published: write.body.publish };
    created(&write.run(&api, &release, &request).await?, &within)
}

/// Asks the registry for an image, and builds the command that makes a release of it. Nothing is locked meanwhile.
async fn release_of_image(
    api: &Api,
    id: StreamId,
    body: &NewRelease,
    reference: &str,
    rollouts: Vec<RolloutPlan>,
) -> Result<AddImage, Problem> {
    if !body.payloads.is_empty() {
        return Err(field("payloads", "cannot be combined with image"));
    }
    let given = body.version.as_deref().map(|version| Version::parse(version).map_err(|error| field("version", error)));
    let given = given.transpose()?;
    let reference: ImageReference = reference.parse().map_err(|error| field("image", error))?;
    let image = api.registries().read(&reference).await.map_err(|error| not_read(&error))?;
    let version = version_of(&image, given.as_ref()).map_err(|refusal| not_changed(refusal.into()))?;
    let draft = parts::release(&body.to_document(version.as_str())).map_err(fields)?;
    let notes = image.notes(body.notes.as_deref()).map_err(|error| field("notes", error))?;
    Ok(AddImage {
        stream: id,
        image,
        draft: Release { notes, ..draft },
        is_labelled: given.is_none(),
        rollouts,
        is_published: body.publish,
        fallback: None,
        built_on: body.built_on.as_deref().map(Version::parse).transpose().map_err(|error| field("built_on", error))?,
    })
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
/// The release is offered to nodes as its rollouts admit them. Rollouts that were planned to start earlier start now. A draft without
/// rollouts gets the `default_rollout` of the stream, if there is one.
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
