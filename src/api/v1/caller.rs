//! The caller, as this service knows it.

use crate::api::{model::CallerModel, request::ReadRequest, respond::Answer, state::Api};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_caller))
}

/// Get the actor and the roles of the caller, and when the token expires
///
/// Every caller with a valid token may ask. A token without a role has an empty list of roles.
#[utoipa::path(get, path = "/whoami", tag = "service",
    responses((status = 200, description = "The caller", body = CallerModel)))]
async fn get_caller(read: ReadRequest) -> Answer {
    read.with_tag(&CallerModel::new(&read.caller))
}
