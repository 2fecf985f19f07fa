//! Rollouts and presets.

use super::releases::read_release;
use crate::{
    api::{
        model::{AccelerateModel, AdvanceModel, AuditEntryModel, HoldModel, NewRollout, PresetModel, RolloutModel},
        page::{Page, PageQuery},
        paths::{NumberPath, PathParams, ReleasePath, path_of_release},
        refuse::field,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::rollout::{preset::Preset, share::Share},
    http::problem::Problem,
    manage::{
        Action, Report,
        commands::{
            rollout_actions::{
                AbortRollout, AccelerateRollout, AdvanceRollout, CompleteRollout, HoldRollout, PauseRollout,
                ResumeRollout, StartRollout,
            },
            rollouts::{CreateRollout, RemoveRollout, ReplaceRollout, RolloutPlan},
        },
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_rollouts, create_rollout))
        .routes(routes!(get_rollout, replace_rollout, delete_rollout))
        .routes(routes!(list_rollout_history))
        .routes(routes!(start_rollout))
        .routes(routes!(pause_rollout))
        .routes(routes!(resume_rollout))
        .routes(routes!(accelerate_rollout))
        .routes(routes!(hold_rollout))
        .routes(routes!(advance_rollout))
        .routes(routes!(complete_rollout))
        .routes(routes!(abort_rollout))
}

pub(super) fn presets() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_presets))
}

/// List the preset ramps
#[utoipa::path(get, path = "/presets", tag = "rollouts",
    responses((status = 200, description = "All presets", body = Page<PresetModel>)))]
async fn list_presets(read: ReadRequest) -> Answer {
    read.with_tag(&Page { items: PresetModel::all(), next: None })
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
    let found = reader.rollout(&path.version()?, path.number()?).await?;
    ReadRequest::show_now(found.revision, &RolloutModel::new(&found.status, &found.rollout))
}

/// List what happened to a rollout, newest first
///
/// The entries are those of the audit log that name the rollout, and those of documents, imports, reverts, publications and lifted stops
/// whose revision changed it. Rollouts are identified by their number, which changes when one is inserted or deleted before them. A page
/// may have few entries, or none, and still have a `next`: each page looks at a limited part of the log.
#[utoipa::path(get, path = "/releases/{version}/rollouts/{id}/history", tag = "rollouts", params(NumberPath, PageQuery),
    responses((status = 200, description = "A page of audit entries", body = Page<AuditEntryModel>)))]
async fn list_rollout_history(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let (version, number, page) = (path.version()?, path.number()?, page.parse()?);
    let history = reader.rollout_history(&version, number, page.number()?, page.limit()).await?;
    let items = AuditEntryModel::all(history.entries);
    let page = Page { items, next: history.next.map(|next| next.to_string()) };
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// Parses what of a requested rollout does not depend on the time.
fn plan(new: &NewRollout) -> Result<RolloutPlan, Problem> {
    let preset = new.preset.as_deref().map(preset).transpose()?;
    if preset.is_some() && new.has_ramp() {
        return Err(field("preset", "cannot be combined with start_share, duration, end_share or steps"));
    }
    let waits_for_windows = match new.freeze.as_deref() {
        None | Some("refuse") => false,
        Some("wait") => true,
        Some(other) => return Err(field("freeze", format!("must be \"refuse\" or \"wait\", is {other:?}"))),
    };
    Ok(RolloutPlan { document: new.to_document(), preset, waits_for_windows })
}

fn preset(name: &str) -> Result<Preset, Problem> {
    let names = Preset::ALL.iter().map(|preset| preset.as_str()).collect::<Vec<_>>().join(", ");
    Preset::from_name(name).ok_or_else(|| field("preset", format!("must be one of {names}, is {name:?}")))
}

/// Add a rollout to a release
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
    let rollout = CreateRollout { release, plan: plan(&write.body)?, before: write.body.before };
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

/// Start a scheduled rollout now
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/start", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout is started", body = Report)))]
async fn start_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::START_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &StartRollout { rollout }, &request).await?)
}

/// Pause a rollout
///
/// The rollout keeps its present share. Existing offers stay.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/pause", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout is paused", body = Report)))]
async fn pause_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::PAUSE_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.request()?);
    changed(&write.run(&api, &PauseRollout { rollout }, &request).await?)
}

/// Resume a paused rollout
///
/// The ramp continues from the share at which it was paused, with the remaining time.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/resume", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout continues", body = Report)))]
async fn resume_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::RESUME_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &ResumeRollout { rollout }, &request).await?)
}

/// Make a rollout end sooner
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/accelerate", tag = "rollouts", params(NumberPath),
    request_body = AccelerateModel, responses((status = 200, description = "The rollout is accelerated", body = Report)))]
async fn accelerate_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ACCELERATE_ROLLOUT, &id)?.json::<AccelerateModel>().await?;
    let within = write.body.within().map_err(|error| field("within", error))?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &AccelerateRollout { rollout, within }, &request).await?)
}

/// Make the ramp of a rollout end at a share
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/hold", tag = "rollouts", params(NumberPath),
    request_body = HoldModel, responses((status = 200, description = "The ramp ends at the share", body = Report)))]
async fn hold_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::HOLD_ROLLOUT, &id)?.json::<HoldModel>().await?;
    let share = Share::new(write.body.share).map_err(|error| field("share", error))?;
    let (rollout, request) = (path.rollout(id)?, write.request()?);
    changed(&write.run(&api, &HoldRollout { rollout, share }, &request).await?)
}

/// Open a rollout to a higher share
///
/// The share is reached at once, or evenly over a time. The ramp ends there. A rollout that has not started yet starts now.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/advance", tag = "rollouts", params(NumberPath),
    request_body = AdvanceModel, responses((status = 200, description = "The rollout opens to the share", body = Report)))]
async fn advance_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ADVANCE_ROLLOUT, &id)?.json::<AdvanceModel>().await?;
    let to = Share::new(write.body.share).map_err(|error| field("share", error))?;
    let over = write.body.over().map_err(|error| field("over", error))?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &AdvanceRollout { rollout, to, over }, &request).await?)
}

/// Complete a rollout: admit all nodes that its selector matches
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/complete", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout is completed", body = Report)))]
async fn complete_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::COMPLETE_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &CompleteRollout { rollout }, &request).await?)
}

/// Abort a rollout, permanently
///
/// The rollout is closed to all nodes, and its offers are withdrawn.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/abort", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "The rollout is aborted", body = Report)))]
async fn abort_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ABORT_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.request()?);
    changed(&write.run(&api, &AbortRollout { rollout }, &request).await?)
}
