//! What a release is on each arch and scheme, and its other names.

use super::releases::{find, read_release};
use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        model::PayloadModel,
        page::Page,
        paths::{At, PayloadPath, ReleasePath, path_of_release},
        refuse::fields,
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::document::{
        self, parts,
        shape::{AliasDocument, PayloadDocument},
    },
    manage::Report,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_payloads))
        .routes(routes!(put_payload, remove_payload))
        .routes(routes!(list_aliases, create_alias))
        .routes(routes!(remove_alias))
}

/// Lists the payloads of a release
#[utoipa::path(get, path = "/releases/{version}/payloads", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "all of them", body = Page<PayloadDocument>)))]
async fn list_payloads(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    read.show(snapshot.revision, &Page { items: document::release(release).payloads, next: None })
}

/// Sets the payload of a release on an arch and scheme. What nodes may run is not changed: give it an alias
#[utoipa::path(put, path = "/releases/{version}/payloads/{arch}/{scheme}", tag = "releases", params(PayloadPath),
    request_body = PayloadModel, responses((status = 200, description = "it is set", body = Report)))]
async fn put_payload(State(api): State<Api>, At(path): At<PayloadPath>, write: Write<Json<PayloadModel>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let Json(PayloadModel { id: payload, synthetic }) = &write.body;
    let document = PayloadDocument {
        arch: path.arch.clone(),
        scheme: path.scheme.clone(),
        id: payload.clone(),
        synthetic: *synthetic,
    };
    let (key, payload) = parts::payload(&document).map_err(fields)?;
    let done = api.manage()?.set_payload((&id, &version), &key, Some(&payload), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Takes a payload of a draft away
#[utoipa::path(delete, path = "/releases/{version}/payloads/{arch}/{scheme}", tag = "releases", params(PayloadPath),
    responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_payload(State(api): State<Api>, At(path): At<PayloadPath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    // Any id will do to read the key.
    let document =
        PayloadDocument { arch: path.arch.clone(), scheme: path.scheme.clone(), id: "-".into(), synthetic: false };
    let (key, _) = parts::payload(&document).map_err(fields)?;
    let done = api.manage()?.set_payload((&id, &version), &key, None, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Lists the other names of a release
#[utoipa::path(get, path = "/releases/{version}/aliases", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "all of them", body = Page<AliasDocument>)))]
async fn list_aliases(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    read.show(snapshot.revision, &Page { items: document::release(release).aliases, next: None })
}

/// Gives a release another name, by which nodes may know it
#[utoipa::path(post, path = "/releases/{version}/aliases", tag = "releases", params(ReleasePath),
    request_body = AliasDocument, responses((status = 201, description = "it has it", body = Report)))]
async fn create_alias(State(api): State<Api>, At(path): At<ReleasePath>, write: Write<Json<AliasDocument>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.request()?);
    let Json(document) = &write.body;
    let alias = parts::alias(document).map_err(fields)?;
    let done = api.manage()?.add_alias((&id, &version), &alias, &request).await;
    let report = done.map_err(|error| write.refused(error))?;
    let named = Report { created: Some(document.arch.clone()), ..report };
    created(&named, &format!("{}/aliases", path_of_release(&id, &version)))
}

/// Which name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AliasQuery {
    /// The name: a commit, or a pull spec by digest.
    #[param(
        example = "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1"
    )]
    id: String,
}

/// Takes such a name away
#[utoipa::path(delete, path = "/releases/{version}/aliases/{arch}/{scheme}", tag = "releases",
    params(PayloadPath, AliasQuery), responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_alias(
    State(api): State<Api>,
    At(path): At<PayloadPath>,
    Asked(query): Asked<AliasQuery>,
    write: Write,
) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let document = AliasDocument { arch: path.arch.clone(), scheme: path.scheme.clone(), id: query.id };
    let alias = parts::alias(&document).map_err(fields)?;
    let done = api.manage()?.remove_alias((&id, &version), &alias, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
