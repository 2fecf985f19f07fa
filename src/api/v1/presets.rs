//! Presets: those of the service, and those of products.

use super::products::run_on_product;
use crate::{
    api::{
        PREFIX,
        model::{PresetModel, ProductPresetModel},
        page::{Page, PageQuery},
        paths::{PathParams, PresetPath, ProductPath},
        refuse::fields,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::Answer,
        state::Api,
    },
    auth::Pattern,
    domain::document::{parts, preset_shape::PresetDocument},
    http::problem::ProblemKind,
    manage::{
        Action, ProductReport,
        commands::presets::{RemovePreset, SetPreset},
    },
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_presets)).routes(routes!(list_product_presets)).routes(routes!(
        get_product_preset,
        set_product_preset,
        delete_product_preset
    ))
}

/// List the preset ramps of the service
#[utoipa::path(get, path = "/presets", tag = "rollouts",
    responses((status = 200, description = "All presets", body = Page<PresetModel>)))]
async fn list_presets(read: ReadRequest) -> Answer {
    read.with_tag(&Page { items: PresetModel::all(), next: None })
}

/// List the presets that rollouts of a product can have, by name: those of the service, and the product's own
#[utoipa::path(get, path = "/products/{product}/presets", tag = "rollouts", params(ProductPath, PageQuery),
    responses((status = 200, description = "A page of presets", body = Page<ProductPresetModel>)))]
async fn list_product_presets(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let reader = api.manage()?.product_reader(&read.caller, path.product()?)?;
    let page = page.parse()?;
    let presets = ProductPresetModel::all(&reader.presets().await?);
    let page = page.by_name(presets, |preset| preset.name.clone())?;
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// Get a preset of a product, or of the service
#[utoipa::path(get, path = "/products/{product}/presets/{name}", tag = "rollouts", params(PresetPath),
    responses((status = 200, description = "The preset", body = ProductPresetModel)))]
async fn get_product_preset(
    State(api): State<Api>,
    PathParams(path): PathParams<PresetPath>,
    read: ReadRequest,
) -> Answer {
    let reader = api.manage()?.product_reader(&read.caller, path.product()?)?;
    let (name, presets) = (path.name()?, reader.presets().await?);
    let found = ProductPresetModel::all(&presets).into_iter().find(|preset| preset.name == name.as_str());
    let unknown = || ProblemKind::NotFound.because(format!("there is no preset {name}"));
    read.with_tag(&found.ok_or_else(unknown)?)
}

/// Add a preset to a product, or replace it
///
/// The preset is checked as rollouts are that start now. Rollouts that were created from the preset before do not change.
#[utoipa::path(put, path = "/products/{product}/presets/{name}", tag = "rollouts", params(PresetPath),
    request_body = PresetDocument,
    responses(
        (status = 200, description = "The preset is replaced, or this is a dry run", body = ProductReport),
        (status = 201, description = "The preset is added", body = ProductReport),
    ))]
async fn set_product_preset(
    State(api): State<Api>,
    PathParams(path): PathParams<PresetPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let on = Pattern::for_product(product.clone());
    let write = write.authorize_on_all(Action::SET_PRESET, &on)?.json::<PresetDocument>().await?;
    let (request, name) = (write.request()?, path.name()?);
    let preset = parts::product_preset(&write.body).map_err(fields)?;
    let at = format!("{PREFIX}/products/{product}/presets/{name}");
    let command = SetPreset { product, name, preset };
    run_on_product(&api, &command, &write, &request, Some(&at)).await
}

/// Delete a preset of a product
///
/// Rollouts that were created from it stay.
#[utoipa::path(delete, path = "/products/{product}/presets/{name}", tag = "rollouts", params(PresetPath),
    responses((status = 200, description = "The preset is deleted", body = ProductReport)))]
async fn delete_product_preset(
    State(api): State<Api>,
    PathParams(path): PathParams<PresetPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let on = Pattern::for_product(product.clone());
    let write = write.authorize_on_all(Action::REMOVE_PRESET, &on)?.without_body()?;
    let (request, name) = (write.request()?, path.name()?);
    run_on_product(&api, &RemovePreset { product, name }, &write, &request, None).await
}
