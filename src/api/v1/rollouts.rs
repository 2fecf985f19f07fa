//! Rollouts: shown, made, and moved along.

use super::releases::{find, read_release};
use crate::{
    api::{
        ask::{Read, Write},
        body::Json,
        model::{AccelerateModel, HoldModel, NewRollout, PresetModel, RolloutModel},
        page::Page,
        paths::{At, NumberPath, ReleasePath, path_of_release},
        refuse::field,
        respond::{Answer, changed, created},
        state::Api,
    },
    domain::{document::parts, epoch::Epoch, preset::Preset, rollout::Rollout, share::Share},
    http::problem::ProblemKind,
    manage::{Refusal, Report, Request, RolloutPlace, Verb},
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_rollouts, create_rollout))
        .routes(routes!(show_rollout, put_rollout, remove_rollout))
        .routes(routes!(start_rollout))
        .routes(routes!(pause_rollout))
        .routes(routes!(resume_rollout))
        .routes(routes!(accelerate_rollout))
        .routes(routes!(hold_rollout))
        .routes(routes!(complete_rollout))
        .routes(routes!(abort_rollout))
}

pub(super) fn presets() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_presets))
}

/// Lists the ramps that people use
#[utoipa::path(get, path = "/presets", tag = "rollouts",
    responses((status = 200, description = "all of them", body = Page<PresetModel>)))]
async fn list_presets(read: Read) -> Answer {
    read.tell(&Page { items: PresetModel::all(), next: None })
}

/// Lists the rollouts of a release, in the order in which they are tried on a node
#[utoipa::path(get, path = "/releases/{version}/rollouts", tag = "rollouts", params(ReleasePath),
    responses((status = 200, description = "all of them", body = Page<RolloutModel>)))]
async fn list_rollouts(State(api): State<Api>, At(path): At<ReleasePath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    Read::show_now(snapshot.revision, &Page { items: RolloutModel::all(release, api.now()?), next: None })
}

/// Shows a rollout
#[utoipa::path(get, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "the rollout", body = RolloutModel)))]
async fn show_rollout(State(api): State<Api>, At(path): At<NumberPath>, read: Read) -> Answer {
    let (snapshot, version) = read_release(&api, &read, path.place()?).await?;
    let (_, release) = find(&snapshot, &version)?;
    let found = RolloutModel::all(release, api.now()?).into_iter().find(|rollout| rollout.id == path.id);
    let none = || ProblemKind::NotFound.because(format!("there is no rollout {} of release {version}", path.id));
    Read::show_now(snapshot.revision, &found.ok_or_else(none)?)
}

/// What a rollout is to be, made at a time.
fn made(new: &NewRollout, now: Epoch) -> Result<Rollout, Refusal> {
    let rollout = parts::rollout(&new.to_document(now))?;
    let Some(name) = &new.preset else { return Ok(rollout) };
    if new.says_a_ramp() {
        return Err(Refusal::field("preset", "says the ramp: leave start_share, duration, end_share and steps out"));
    }
    let names = Preset::ALL.map(Preset::as_str).join(", ");
    let preset =
        Preset::named(name).ok_or_else(|| Refusal::field("preset", format!("is {name:?}; there are {names}")))?;
    Ok(Rollout { ramp: preset.ramp(rollout.ramp.start()), ..rollout })
}

/// Adds a rollout to a release: by a preset, or with a ramp of its own
#[utoipa::path(post, path = "/releases/{version}/rollouts", tag = "rollouts", params(ReleasePath),
    request_body = NewRollout, responses((status = 201, description = "it was made", body = Report)))]
async fn create_rollout(State(api): State<Api>, At(path): At<ReleasePath>, write: Write<Json<NewRollout>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.request()?);
    let Json(new) = &write.body;
    let make = |now: Epoch| made(new, now);
    let done = api.manage()?.create_rollout((&id, &version), (make, new.before), &request).await;
    let within = format!("{}/rollouts", path_of_release(&id, &version));
    created(&done.map_err(|error| write.refused(error))?, &within)
}

/// Makes a rollout another, as long as it has not begun
#[utoipa::path(put, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    request_body = NewRollout, responses((status = 200, description = "it is set", body = Report)))]
async fn put_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write<Json<NewRollout>>) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let Json(new) = &write.body;
    if new.before.is_some() {
        return Err(field("before", "is for a new one alone"));
    }
    let place = RolloutPlace { stream: &id, version: &version, number: path.id };
    let done = api.manage()?.set_rollout(place, |now| made(new, now), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}

/// Takes a rollout of a draft away. One of a release that is out is aborted instead
#[utoipa::path(delete, path = "/releases/{version}/rollouts/{id}", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it is gone", body = Report)))]
async fn remove_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    let ((id, version), request) = (path.place()?, write.conditional_request()?);
    let place = RolloutPlace { stream: &id, version: &version, number: path.id };
    changed(&api.manage()?.remove_rollout(place, &request).await.map_err(|error| write.refused(error))?)
}

async fn do_to<T>(api: &Api, path: &NumberPath, write: &Write<T>, verb: Verb, request: &Request<'_>) -> Answer {
    let (id, version) = path.place()?;
    let place = RolloutPlace { stream: &id, version: &version, number: path.id };
    changed(&api.manage()?.move_rollout(place, verb, request).await.map_err(|error| write.refused(error))?)
}

/// Starts a rollout now that was to start later
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/start", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it has started", body = Report)))]
async fn start_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    do_to(&api, &path, &write, Verb::Start, &write.conditional_request()?).await
}

/// Pauses a rollout: the share stays exactly where it is, and no offer is taken back
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/pause", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it is paused", body = Report)))]
async fn pause_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    do_to(&api, &path, &write, Verb::Pause, &write.request()?).await
}

/// Resumes a rollout from the share where it was paused, with what was left of its time
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/resume", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it goes on", body = Report)))]
async fn resume_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    do_to(&api, &path, &write, Verb::Resume, &write.conditional_request()?).await
}

/// Brings a rollout to its end sooner
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/accelerate", tag = "rollouts", params(NumberPath),
    request_body = AccelerateModel, responses((status = 200, description = "it goes faster", body = Report)))]
async fn accelerate_rollout(
    State(api): State<Api>,
    At(path): At<NumberPath>,
    write: Write<Json<AccelerateModel>>,
) -> Answer {
    let within = write.body.0.within().map_err(|error| field("within", error))?;
    do_to(&api, &path, &write, Verb::Accelerate(within), &write.conditional_request()?).await
}

/// Lets a rollout go on to a share, and no further
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/hold", tag = "rollouts", params(NumberPath),
    request_body = HoldModel, responses((status = 200, description = "it will hold there", body = Report)))]
async fn hold_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write<Json<HoldModel>>) -> Answer {
    let share = Share::given(write.body.0.share).map_err(|error| field("share", error))?;
    do_to(&api, &path, &write, Verb::Hold(share), &write.request()?).await
}

/// Opens a rollout to all that it is for
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/complete", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it is open to all", body = Report)))]
async fn complete_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    do_to(&api, &path, &write, Verb::Complete, &write.conditional_request()?).await
}

/// Aborts a rollout, for good: it is closed to everybody, and offers that it made are taken back
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/abort", tag = "rollouts", params(NumberPath),
    responses((status = 200, description = "it is closed", body = Report)))]
async fn abort_rollout(State(api): State<Api>, At(path): At<NumberPath>, write: Write) -> Answer {
    do_to(&api, &path, &write, Verb::Abort, &write.request()?).await
}
