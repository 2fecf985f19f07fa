//! Where the files of a release are.

use super::releases::{find, read_release};
use crate::{
    api::{
        ask::{Read, Write},
        body::Json,
        model::ArtifactModel,
        page::Page,
        paths::{ArtifactPath, At, ReleasePath},
        refuse::fields,
        respond::{Answer, changed},
        state::Api,
    },
    domain::document::{self, parts, shape::ArtifactDocument},
    manage::Report,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_artifacts)).routes(routes!(put_artifact, remove_artifact))
}

/// Lists the files of a release
#[utoipa::path(get, path = "/releases/{version}/artifacts", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "all of them", body = Page<ArtifactDocument>)))]
async fn list_artifacts(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    read.show(snapshot.revision, &Page { items: document::release(release).artifacts, next: None })
}

/// Says where a file of a release is
#[utoipa::path(put, path = "/releases/{version}/artifacts/{arch}/{name}", tag = "releases", params(ArtifactPath),
    request_body = ArtifactModel, responses((status = 200, description = "it is set", body = Report)))]
async fn put_artifact(State(api): State<Api>, At(path): At<ArtifactPath>, write: Write<Json<ArtifactModel>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let Json(ArtifactModel { url, sha256, size }) = &write.body;
    let document = ArtifactDocument {
        arch: path.arch.clone(),
        name: path.name.clone(),
        url: url.clone(),
        sha256: sha256.clone(),
        size: *size,
    };
    let (key, artifact) = parts::artifact(&document).map_err(fields)?;
    let done = api.manage()?.set_artifact((&id, &version), &key, Some(&artifact), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Takes a file of a release away
#[utoipa::path(delete, path = "/releases/{version}/artifacts/{arch}/{name}", tag = "releases", params(ArtifactPath),
    responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_artifact(State(api): State<Api>, At(path): At<ArtifactPath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    // Any address will do to read the key.
    let url = "https://nowhere.example".to_owned();
    let document = ArtifactDocument { arch: path.arch.clone(), name: path.name.clone(), url, sha256: None, size: None };
    let (key, _) = parts::artifact(&document).map_err(fields)?;
    let done = api.manage()?.set_artifact((&id, &version), &key, None, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
