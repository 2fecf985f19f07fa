//! An overview of all streams.

use crate::{
    api::{
        model::OverviewModel,
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::ids::ProductName,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_overview))
}

/// The streams of an overview.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OverviewQuery {
    /// Only streams of this product. Default: all.
    product: Option<String>,
}

/// Get an overview of all streams: newest releases, rollouts in progress, findings and emergency stops
///
/// The overview has the streams that the caller may read, all from one state of the database.
#[utoipa::path(get, path = "/overview", tag = "streams", params(OverviewQuery),
    responses((status = 200, description = "The overview", body = OverviewModel)))]
async fn get_overview(State(api): State<Api>, read: ReadRequest, query: LazyQuery<OverviewQuery>) -> Answer {
    let product = query.parse()?.product;
    let product = product.map(|name| ProductName::parse(&name).map_err(|error| field("product", error))).transpose()?;
    let streams = api.manage()?.overview(&read.caller, product.as_ref()).await?;
    read.with_tag(&OverviewModel::new(&streams))
}
