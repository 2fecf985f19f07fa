//! Actions on rollouts.

use super::products::run_on_product;
use crate::{
    api::{
        model::{AccelerateModel, AdvanceModel, HoldModel},
        paths::{NumberPath, PathParams, ProductPath, StreamPath, path_of_release},
        refuse::field,
        request::UncheckedWrite,
        respond::{Answer, changed, created},
        state::Api,
    },
    auth::Pattern,
    domain::{duration::Minutes, rollout::share::Share},
    http::problem::Problem,
    manage::{
        Action, ProductReport, Report,
        commands::{
            all_rollouts::{PauseProductRollouts, PauseRollouts, ResumeProductRollouts, ResumeRollouts},
            rollout_actions::{
                AbortRollout, AccelerateRollout, AdvanceRollout, CompleteRollout, Further, HoldRollout, PauseRollout,
                RestartRollout, ResumeRollout, StartRollout,
            },
        },
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(start_rollout))
        .routes(routes!(pause_rollout))
        .routes(routes!(resume_rollout))
        .routes(routes!(accelerate_rollout))
        .routes(routes!(hold_rollout))
        .routes(routes!(advance_rollout))
        .routes(routes!(complete_rollout))
        .routes(routes!(abort_rollout))
        .routes(routes!(restart_rollout))
        .routes(routes!(pause_rollouts))
        .routes(routes!(resume_rollouts))
}

pub(super) fn of_product() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(pause_product_rollouts)).routes(routes!(resume_product_rollouts))
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

/// Open a rollout further: past its gate, or to a higher share
///
/// Without a share, the rollout passes the gate at which it waits, and its plan continues from there. With one, the share is reached at
/// once, or evenly over a time; the ramp ends there, and a rollout that has not started yet starts now.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/advance", tag = "rollouts", params(NumberPath),
    request_body = AdvanceModel, responses((status = 200, description = "The rollout opens to the share", body = Report)))]
async fn advance_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::ADVANCE_ROLLOUT, &id)?.json::<AdvanceModel>().await?;
    let further = further(write.body.share, write.body.over.as_deref(), field)?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    changed(&write.run(&api, &AdvanceRollout { rollout, further }, &request).await?)
}

/// Parses how far a rollout is opened.
pub(super) fn further(
    share: Option<f64>,
    over: Option<&str>,
    invalid: impl Fn(&str, String) -> Problem,
) -> Result<Further, Problem> {
    let share = share.map(Share::new).transpose().map_err(|error| invalid("share", error.to_string()))?;
    let over = over.map(Minutes::parse).transpose().map_err(|error| invalid("over", error.to_string()))?;
    match (share, over) {
        (Some(share), over) => Ok(Further::To { share, over }),
        (None, None) => Ok(Further::PastGate),
        (None, Some(_)) => Err(invalid("over", "requires a share".into())),
    }
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

/// Restart an aborted rollout
///
/// A new rollout for the same nodes and with the same plan starts now, in the place of the aborted one, which stays after it.
#[utoipa::path(post, path = "/releases/{version}/rollouts/{id}/restart", tag = "rollouts", params(NumberPath),
    responses((status = 201, description = "The new rollout is created", body = Report)))]
async fn restart_rollout(
    State(api): State<Api>,
    PathParams(path): PathParams<NumberPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::RESTART_ROLLOUT, &id)?.without_body()?;
    let (rollout, request) = (path.rollout(id)?, write.conditional_request()?);
    let within = format!("{}/rollouts", path_of_release(&rollout.release.stream, &rollout.release.version));
    created(&write.run(&api, &RestartRollout { rollout }, &request).await?, &within)
}

/// Pause all rollouts of a stream that would open further
///
/// Each keeps its present share, and existing offers stay. An emergency stop withdraws them, too.
#[utoipa::path(post, path = "/rollouts/pause", tag = "rollouts", params(StreamPath),
    responses((status = 200, description = "The rollouts are paused", body = Report)))]
async fn pause_rollouts(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let stream = path.id()?;
    let write = write.authorize(Action::PAUSE_ROLLOUTS, &stream)?.without_body()?;
    let request = write.request()?;
    changed(&write.run(&api, &PauseRollouts { stream }, &request).await?)
}

/// Resume all paused rollouts of a stream
///
/// Each continues where it was paused, no matter which caller paused it.
#[utoipa::path(post, path = "/rollouts/resume", tag = "rollouts", params(StreamPath),
    responses((status = 200, description = "The rollouts continue", body = Report)))]
async fn resume_rollouts(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let stream = path.id()?;
    let write = write.authorize(Action::RESUME_ROLLOUTS, &stream)?.without_body()?;
    let request = write.conditional_request()?;
    changed(&write.run(&api, &ResumeRollouts { stream }, &request).await?)
}

/// Pause all rollouts of a product that would open further, in all its streams or in none
#[utoipa::path(post, path = "/products/{product}/rollouts/pause", tag = "rollouts", params(ProductPath),
    responses((status = 200, description = "The rollouts are paused", body = ProductReport)))]
async fn pause_product_rollouts(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let all = Pattern::for_product(product.clone());
    let write = write.authorize_on_all(Action::PAUSE_ROLLOUTS, &all)?.without_body()?;
    let request = write.request()?;
    run_on_product(&api, &PauseProductRollouts { product }, &write, &request, None).await
}

/// Resume all paused rollouts of a product, in all its streams or in none
#[utoipa::path(post, path = "/products/{product}/rollouts/resume", tag = "rollouts", params(ProductPath),
    responses((status = 200, description = "The rollouts continue", body = ProductReport)))]
async fn resume_product_rollouts(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let all = Pattern::for_product(product.clone());
    let write = write.authorize_on_all(Action::RESUME_ROLLOUTS, &all)?.without_body()?;
    let request = write.request()?;
    run_on_product(&api, &ResumeProductRollouts { product }, &write, &request, None).await
}
