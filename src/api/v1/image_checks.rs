//! The images that nodes are sent to, and what registries said about them.

use crate::api::{
    model::ImageCheckModel,
    page::{Page, PageQuery},
    paths::{PathParams, StreamPath},
    request::{LazyQuery, ReadRequest},
    respond::Answer,
    state::Api,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_image_checks))
}

/// List the images that nodes are sent to, by name, with the last check of each
///
/// These are the images of all releases to which an update leads, held back or not, in their own repository and in the mirrors. The service asks
/// registries for them periodically (`registries.check_interval`).
#[utoipa::path(get, path = "/image-checks", tag = "answers", params(StreamPath, PageQuery),
    responses((status = 200, description = "A page of images", body = Page<ImageCheckModel>)))]
async fn list_image_checks(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let page = page.parse()?;
    let images = reader.image_checks().await?;
    let page = page.by_name(images, |needed| needed.image.to_string())?;
    let page = Page { items: page.items.into_iter().map(ImageCheckModel::new).collect(), next: page.next };
    read.link_next(read.with_tag(&page), page.next.as_deref())
}
