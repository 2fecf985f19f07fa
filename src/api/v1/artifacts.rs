//! Artifacts: the locations of a release's files.

use super::releases::read_release;
use crate::{
    api::{
        model::ArtifactModel,
        page::Page,
        paths::{ArtifactPath, PathParams, ReleasePath},
        refuse::fields,
        request::{ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    domain::document::{self, parts, shape::ArtifactDocument},
    manage::{
        Action, Report,
        commands::artifacts::{RemoveArtifact, SetArtifact},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_artifacts)).routes(routes!(set_artifact, delete_artifact))
}

/// List the artifacts of a release
#[utoipa::path(get, path = "/releases/{version}/artifacts", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "All artifacts", body = Page<ArtifactDocument>)))]
async fn list_artifacts(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    read: ReadRequest,
) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    read.show(found.revision, &Page { items: document::release(&found.release).artifacts, next: None })
}

/// Set the location of an artifact
#[utoipa::path(put, path = "/releases/{version}/artifacts/{arch}/{name}", tag = "releases", params(ArtifactPath),
    request_body = ArtifactModel, responses((status = 200, description = "The location is set", body = Report)))]
async fn set_artifact(
    State(api): State<Api>,
    PathParams(path): PathParams<ArtifactPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_ARTIFACT, &id)?.json::<ArtifactModel>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let ArtifactModel { url, sha256, size } = &write.body;
    let document = ArtifactDocument {
        arch: path.arch.clone(),
        name: path.name.clone(),
        url: url.clone(),
        sha256: sha256.clone(),
        size: *size,
    };
    let (key, artifact) = parts::artifact(&document).map_err(fields)?;
    changed(&write.run(&api, &SetArtifact { release, key, artifact }, &request).await?)
}

/// Delete an artifact
///
/// Only its entry in the release is deleted, not the file.
#[utoipa::path(delete, path = "/releases/{version}/artifacts/{arch}/{name}", tag = "releases", params(ArtifactPath),
    responses((status = 200, description = "The artifact is deleted", body = Report)))]
async fn delete_artifact(
    State(api): State<Api>,
    PathParams(path): PathParams<ArtifactPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_ARTIFACT, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    // Parsing the key requires a URL; this one is not used.
    let url = "https://unused.example".to_owned();
    let document = ArtifactDocument { arch: path.arch.clone(), name: path.name.clone(), url, sha256: None, size: None };
    let (key, _) = parts::artifact(&document).map_err(fields)?;
    changed(&write.run(&api, &RemoveArtifact { release, key }, &request).await?)
}
