//! Emergency stops, of a stream or of a whole product.

use crate::{
    api::{
        ask::{Read, Write},
        model::StopModel,
        page::Page,
        paths::{At, ProductPath, StreamPath},
        respond::{Answer, changed},
        state::Api,
    },
    manage::{Report, Target},
};
use axum::{Json, extract::State, response::IntoResponse};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn of_stream() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_stop, stop_stream, lift_stop))
}

pub(super) fn of_product() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stop_product, lift_product_stop))
}

/// Shows whether a stream is stopped
#[utoipa::path(get, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "the stop, or none", body = StopModel)))]
async fn show_stop(State(api): State<Api>, At(path): At<StreamPath>, read: Read) -> Answer {
    let snapshot = api.stream(&read.who, &path.id()?).await?;
    read.show(snapshot.revision, &StopModel::of(&snapshot.stream))
}

/// Stops a stream at once: every rollout is paused, and nothing opens any further until the stop is lifted
#[utoipa::path(post, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "it is stopped", body = Report)))]
async fn stop_stream(State(api): State<Api>, At(path): At<StreamPath>, write: Write) -> Answer {
    let (target, request) = (Target::Stream(path.id()?), write.request()?);
    let reports = api.manage()?.stop(&target, &request).await.map_err(|error| write.refused(error))?;
    one(&reports)
}

/// Lifts a stream's stop. Its rollouts stay paused until somebody resumes them
#[utoipa::path(delete, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "it is lifted", body = Report)))]
async fn lift_stop(State(api): State<Api>, At(path): At<StreamPath>, write: Write) -> Answer {
    let (target, request) = (Target::Stream(path.id()?), write.conditional_request()?);
    let reports = api.manage()?.lift_stop(&target, &request).await.map_err(|error| write.refused(error))?;
    one(&reports)
}

fn one(reports: &[Report]) -> Answer {
    reports.first().map_or_else(|| Err(crate::http::problem::ProblemKind::Internal.into()), changed)
}

/// Stops all streams of a product at once
#[utoipa::path(post, path = "/products/{product}/emergency-stop", tag = "emergency stop", params(ProductPath),
    responses((status = 200, description = "they are stopped", body = Page<Report>)))]
async fn stop_product(State(api): State<Api>, At(path): At<ProductPath>, write: Write) -> Answer {
    let (target, request) = (Target::Product(path.product()?), write.request()?);
    let items = api.manage()?.stop(&target, &request).await.map_err(|error| write.refused(error))?;
    Ok(Json(Page { items, next: None }).into_response())
}

/// Lifts the stops of all streams of a product. Rollouts stay paused until somebody resumes them
#[utoipa::path(delete, path = "/products/{product}/emergency-stop", tag = "emergency stop", params(ProductPath),
    responses((status = 200, description = "they are lifted", body = Page<Report>)))]
async fn lift_product_stop(State(api): State<Api>, At(path): At<ProductPath>, write: Write) -> Answer {
    let (target, request) = (Target::Product(path.product()?), write.request()?);
    let items = api.manage()?.lift_stop(&target, &request).await.map_err(|error| write.refused(error))?;
    Ok(Json(Page { items, next: None }).into_response())
}
