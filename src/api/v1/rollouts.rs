//! Rollouts.

use super::{
    releases::read_release,
    rollout_plans::{plan, rollout_id},
};
use crate::{
    api::{
        model::{AuditEntryModel, NewRollout, PauseModel, RolloutModel, RolloutOrderModel},
        page::{Page, PageQuery},
        paths::{NumberPath, PathParams, ReleasePath, path_of_release},
        refuse::field,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
    },
    manage::{
        Action, Report,
        commands::rollouts::{CreateRollout, OrderRollouts, RemoveRollout, ReplaceRollout},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_rollouts, create_rollout))
        .routes(routes!(get_rollout, replace_rollout, delete_rollout))
        .routes(routes!(order_rollouts))
        .routes(routes!(list_rollout_history))
        .routes(routes!(list_rollout_pauses))
}

/// List the rollouts of a release, in the order in which they are tried on a node
#[utoipa::path(get, path = "/releases/{version}/rollouts", tag = "rollouts", params(ReleasePath),
    responses((status = 200, description = "All rollouts", body = Page<RolloutModel>)))]
async fn list_rollouts(State(api): State<Api>, PathParams(path): PathParams<ReleasePath>, read: ReadRequest) -> Answer {
    let found = read_release(&api, &read, &path).await?;
    let items = RolloutModel::all(&found.stream, &found.release, api.now()?);
    ReadRequest::show_now(found.revision, &Page { items, next: None })
}

/// Get a rollout
#[utoipa::path(get, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout", body = RolloutModel)))]
async fn get_rollout(State(api): State<Api>, PathParams(path): PathParams<NumberPath>, read: ReadRequest) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let found = reader.rollout(&path.version()?, path.rollout_id()?).await?;
    ReadRequest::show_now(found.revision, &RolloutModel::new(&found.status, found.position, &found.rollout))
}

/// List what happened to a rollout, newest first
///
/// The entries are those of the audit log that name the rollout, and those of documents, imports, reverts, publications and lifted stops
/// whose revision changed it. A page may have few entries, or none, and still have a `next`: each page looks at a limited part of the log.
#[utoipa::path(get, path = "/releases/{version}/rollouts/{id}/history", tag = "rollouts", params(NumberPath, PageQuery),
    responses((status = 200, description = "A page of audit entries", body = Page<AuditEntryModel>)))]
async fn list_rollout_history(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let (version, id, page) = (path.version()?, path.rollout_id()?, page.parse()?);
    let history = reader.rollout_history(&version, id, page.number()?, page.limit()).await?;
    let items = AuditEntryModel::all(history.entries);
    let page = Page { items, next: history.next.map(|next| next.to_string()) };
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// List when a rollout stood still: in pauses and at gates, with who and why, oldest first
///
/// Only the newest changes of the rollout are read: earlier pauses can be missing.
#[utoipa::path(get, path = "/releases/{version}/rollouts/{id}/pauses", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The known pauses", body = Page<PauseModel>)))]
async fn list_rollout_pauses(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    read: ReadRequest,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let pauses = reader.pauses(&path.version()?, path.rollout_id()?).await?;
    read.with_tag(&Page { items: pauses.iter().map(PauseModel::new).collect(), next: None })
}

/// Add a rollout to a release, or the rollouts of a preset of the product
#[utoipa::path(post, path = "/releases/{version}/rollouts", tag = "rollouts", params(ReleasePath),
    request_body = NewRollout, responses((status = 201, description = "The rollout is created", body = Report)))]
async fn create_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::CREATE_ROLLOUT, &id)?.json::<NewRollout>().await?;
    let (release, request) = (path.release(id)?, write.request()?);
    let within = format!("{}/rollouts", path_of_release(&release.stream, &release.version));
    let before = write.body.before.map(|id| rollout_id("before", id)).transpose()?;
    let rollout = CreateRollout { release, plan: plan(&write.body)?, before };
    created(&write.run(&api, &rollout, &request).await?, &within)
}

/// Replace a rollout that has not started
///
/// A started rollout cannot be replaced: pause, hold, advance, accelerate, complete or abort it.
#[utoipa::path(put, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    request_body = NewRollout, responses((status = 200, description = "The rollout is replaced", body = Report)))]
async fn replace_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_ROLLOUT, &id)?.json::<NewRollout>().await?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    if write.body.before.is_some() {
        return Err(field("before", "is allowed only when a rollout is created"));
    }
    changed(&write.run(&api, &ReplaceRollout { rollout, plan: plan(&write.body)? }, &request).await?)
}

/// Delete a rollout of a draft
///
/// A rollout of a published release cannot be deleted: abort it instead.
#[utoipa::path(delete, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout is deleted", body = Report)))]
async fn delete_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REMOVE_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &RemoveRollout { rollout }, &request).await?)
}

/// Change the order in which the rollouts of a release are tried on a node
///
/// The first rollout whose selector matches a node applies. The ids of the rollouts stay.
#[utoipa::path(put, path = "/releases/{version}/rollouts/order", tag = "rollouts", params(ReleasePath),
    request_body = RolloutOrderModel, responses((status = 200, description = "The order is changed", body = Report)))]
async fn order_rollouts(
    State(api): State<Api>,
    PathParams(path): PathParams<ReleasePath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ORDER_ROLLOUTS, &id)?.json::<RolloutOrderModel>().await?;
    let ids = write.body.ids.iter().map(|id| rollout_id("ids", *id)).collect::<Result<_, _>>()?;
    let (release, request) = (path.release(id)?, write.conditional_request()?);
    changed(&write.run(&api, &OrderRollouts { release, ids }, &request).await?)
}
