//! Updates that must not be taken.

use super::releases::read_release;
use crate::{
    api::{
        ask::{Read, Write},
        body::Json,
        model::{BlockedModel, NewBlocked},
        page::Page,
        paths::{At, NumberPath, ReleasePath, path_of_release},
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::{document::parts, stream::Stream},
    manage::Report,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_blocked_updates, create_blocked_update))
        .routes(routes!(remove_blocked_update))
}

/// Lists from where updates to a release are blocked
#[utoipa::path(get, path = "/releases/{version}/blocked-updates", tag = "policies", params(ReleasePath),
    responses((status = 200, description = "all of them", body = Page<BlockedModel>)))]
async fn list_blocked_updates(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let items = BlockedModel::all(&snapshot.stream, version.as_str());
    read.show(snapshot.revision, &Page { items, next: None })
}

/// Blocks updates to a release from a range of releases
#[utoipa::path(post, path = "/releases/{version}/blocked-updates", tag = "policies", params(ReleasePath),
    request_body = NewBlocked, responses((status = 201, description = "they are blocked", body = Report)))]
async fn create_blocked_update(
    State(api): State<Api>,
    At(path): At<ReleasePath>,
    write: Write<Json<NewBlocked>>,
) -> Answer {
    let ((id, version), request) = (path.place()?, write.request()?);
    let document = write.body.0.to_document(version.to_string());
    let read = |stream: &Stream| parts::blocked(&document, stream);
    let done = api.manage()?.block_update((&id, &version), read, &request).await;
    let within = format!("{}/blocked-updates", path_of_release(&id, &version));
    created(&done.map_err(|error| write.refused(error))?, &within)
}

/// Takes a block away
#[utoipa::path(delete, path = "/releases/{version}/blocked-updates/{id}", tag = "policies", params(NumberPath),
    responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_blocked_update(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let done = api.manage()?.unblock_update((&id, &version), path.id, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
