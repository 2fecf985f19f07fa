//! Emergency stops of streams and products.

use super::products::run_on_product;
use crate::{
    api::{
        model::{ProductStopModel, StopModel},
        paths::{PathParams, ProductPath, StreamPath},
        refuse::field,
        request::{ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    auth::Pattern,
    domain::{document::stop as stop_document, reason::Reason},
    http::problem::Problem,
    manage::{
        Action, ProductReport, Report, Request,
        commands::{
            product_stops::{LiftProductStop, StopProduct},
            stops::{LiftStop, StopStream},
        },
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn of_stream() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_emergency_stop, stop_stream, lift_emergency_stop))
}

pub(super) fn of_product() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_product_emergency_stop, stop_product, lift_product_emergency_stop))
}

/// Get the emergency stops of a stream: its own and its product's
#[utoipa::path(get, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "The stops; null if none is in force", body = StopModel)))]
async fn get_emergency_stop(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    read.show(snapshot.revision, &StopModel::new(&snapshot.stream))
}

/// Stop a stream at once
///
/// The stream offers no updates to any node until the stop is lifted. If it is stopped already, the first stop stays in force.
#[utoipa::path(post, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "The stream is stopped", body = Report)))]
async fn stop_stream(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::STOP, &id)?.without_body()?;
    let request = write.request()?;
    let stop = StopStream { stream: id, reason: reason(&request)? };
    changed(&write.run(&api, &stop, &request).await?)
}

/// Lift the emergency stop of a stream
///
/// The offers from before the stop are restored. Rollouts that would open further are paused as of the beginning of the stop;
/// resume them one by one.
#[utoipa::path(delete, path = "/emergency-stop", tag = "emergency stop", params(StreamPath),
    responses((status = 200, description = "The stop is lifted", body = Report)))]
async fn lift_emergency_stop(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::LIFT_STOP, &id)?.without_body()?;
    let request = write.conditional_request()?;
    changed(&write.run(&api, &LiftStop { stream: id }, &request).await?)
}

/// Get the emergency stop of a product
#[utoipa::path(get, path = "/products/{product}/emergency-stop", tag = "emergency stop", params(ProductPath),
    responses((status = 200, description = "The stop; null if none is in force", body = ProductStopModel)))]
async fn get_product_emergency_stop(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    read: ReadRequest,
) -> Answer {
    let stop = api.manage()?.product_reader(&read.caller, path.product()?)?.stop().await?;
    read.with_tag(&ProductStopModel { emergency_stop: stop.as_ref().map(stop_document) })
}

/// Stop a product at once, with all its streams
///
/// The stop includes streams that are created or imported later. If the product is stopped already, the first stop stays in force.
#[utoipa::path(post, path = "/products/{product}/emergency-stop", tag = "emergency stop", params(ProductPath),
    responses((status = 200, description = "The product is stopped", body = ProductReport)))]
async fn stop_product(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let write = write.authorize_on_all(Action::STOP, &Pattern::for_product(product.clone()))?.without_body()?;
    let request = write.request()?;
    let stop = StopProduct { product, reason: reason(&request)? };
    run_on_product(&api, &stop, &write, &request, None).await
}

/// Lift the emergency stop of a product
///
/// The offers from before the stop are restored. In each stream, rollouts that would open further are paused as of the beginning
/// of the stop; resume them one by one.
#[utoipa::path(delete, path = "/products/{product}/emergency-stop", tag = "emergency stop", params(ProductPath),
    responses((status = 200, description = "The stop is lifted", body = ProductReport)))]
async fn lift_product_emergency_stop(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let write = write.authorize_on_all(Action::LIFT_STOP, &Pattern::for_product(product.clone()))?.without_body()?;
    let request = write.request()?;
    run_on_product(&api, &LiftProductStop { product }, &write, &request, None).await
}

/// Returns the reason of a request as the reason of a stop, which is also shown to operators of nodes.
fn reason(request: &Request<'_>) -> Result<Reason, Problem> {
    Reason::new(request.reason).map_err(|error| field("reason", error))
}
