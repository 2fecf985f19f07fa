//! The payloads and aliases of a release.

use super::releases::read_release;
use crate::{
    api::{
        model::PayloadModel,
        page::Page,
        paths::{PathParams, PayloadPath, ReleasePath, path_of_release},
        refuse::fields,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::document::{
        self, parts,
        shape::{AliasDocument, PayloadDocument},
    },
    manage::{
        Action, Report,
        commands::payloads::{AddAlias, RemoveAlias, RemovePayload, SetPayload},
    },
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_payloads))
        .routes(routes!(set_payload, delete_payload))
        .routes(routes!(list_aliases, create_alias))
        .routes(routes!(delete_alias))
}

/// List the payloads of a release
#[utoipa::path(get, path = "/releases/{version}/payloads", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "All payloads", body = Page<PayloadDocument>)))]
async fn list_payloads(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    read.show(found.revision, &Page { items: document::release(&found.release).payloads, next: None })
}

/// Set the payload of a release on an arch and scheme
///
/// The payload of a published release cannot be replaced, because nodes may run it: add an alias instead. Adding a payload to a
/// published release requires the role `manager`.
#[utoipa::path(put, path = "/releases/{version}/payloads/{arch}/{scheme}", tag = "releases", params(PayloadPath),
    request_body = PayloadModel, responses((status = 200, description = "The payload is set", body = Report)))]
async fn set_payload(
    State(api): State<Api>,
    PathParams(path): PathParams<PayloadPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_PAYLOAD, &id)?.json::<PayloadModel>().await?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let PayloadModel { id: payload, synthetic } = &write.body;
    let document = PayloadDocument {
        arch: path.arch.clone(),
        scheme: path.scheme.clone(),
        id: payload.clone(),
        synthetic: *synthetic,
    };
    let (key, payload) = parts::payload(&document).map_err(fields)?;
    changed(&write.run(&api, &SetPayload { release, key, payload }, &request).await?)
}

/// Delete a payload of a draft
#[utoipa::path(delete, path = "/releases/{version}/payloads/{arch}/{scheme}", tag = "releases", params(PayloadPath),
    responses((status = 200, description = "The payload is deleted", body = Report)))]
async fn delete_payload(
    State(api): State<Api>,
    PathParams(path): PathParams<PayloadPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_PAYLOAD, &id)?.without_body()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    let key = parts::payload_key(&path.arch, &path.scheme).map_err(fields)?;
    changed(&write.run(&api, &RemovePayload { release, key }, &request).await?)
}

/// List the aliases of a release
#[utoipa::path(get, path = "/releases/{version}/aliases", tag = "releases", params(ReleasePath),
    responses((status = 200, description = "All aliases", body = Page<AliasDocument>)))]
async fn list_aliases(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    read.show(found.revision, &Page { items: document::release(&found.release).aliases, next: None })
}

/// Add an alias to a release
///
/// An alias is another payload under which nodes may report the release.
#[utoipa::path(post, path = "/releases/{version}/aliases", tag = "releases", params(ReleasePath),
    request_body = AliasDocument, responses((status = 201, description = "The alias is added", body = Report)))]
async fn create_alias(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ADD_ALIAS, &id)?.json::<AliasDocument>().await?;
    let (release, request) = (path.release(id)?, write.request()?);
    let (key, alias) = parts::alias(&write.body).map_err(fields)?;
    let within = format!("{}/aliases", path_of_release(&release.stream, &release.version));
    created(&write.run(&api, &AddAlias { release, key, alias }, &request).await?, &within)
}

/// The alias to delete.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AliasQuery {
    /// The alias: an ostree commit, or a pull spec by digest.
    #[param(
        example = "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1"
    )]
    id: String,
}

/// Delete an alias of a release
#[utoipa::path(delete, path = "/releases/{version}/aliases/{arch}/{scheme}", tag = "releases",
    params(PayloadPath, AliasQuery), responses((status = 200, description = "The alias is deleted", body = Report)))]
async fn delete_alias(
    State(api): State<Api>,
    PathParams(path): PathParams<PayloadPath>,
    query: LazyQuery<AliasQuery>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_ALIAS, &id)?.with_parameters(&["id"]).without_body()?;
    let (release, request, query) = (path.release(id)?, write.conditional_request()?, query.parse()?);
    let document = AliasDocument { arch: path.arch.clone(), scheme: path.scheme.clone(), id: query.id, origin: None };
    let (key, alias) = parts::known_alias(&document).map_err(fields)?;
    changed(&write.run(&api, &RemoveAlias { release, key, alias }, &request).await?)
}
