//! Products that have streams.

use crate::api::{
    model::ProductModel,
    page::{Page, PageQuery},
    paths::{PathParams, ProductPath},
    request::{LazyQuery, ReadRequest},
    respond::Answer,
    state::Api,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(get_product))
}

/// List products, by name
///
/// The list has the products of which the caller may read at least one stream.
#[utoipa::path(get, path = "/products", tag = "products", params(PageQuery),
    responses((status = 200, description = "A page of products", body = Page<ProductModel>)))]
async fn list_products(State(api): State<Api>, read: ReadRequest, page: LazyQuery<PageQuery>) -> Answer {
    let page = page.parse()?;
    let products = api.manage()?.products(&read.caller).await?;
    read.with_tag(&page.by_name(products.iter().map(ProductModel::new), |product| product.product.clone())?)
}

/// Get a product
#[utoipa::path(get, path = "/products/{product}", tag = "products", params(ProductPath),
    responses((status = 200, description = "The product", body = ProductModel)))]
async fn get_product(State(api): State<Api>, PathParams(path): PathParams<ProductPath>, read: ReadRequest) -> Answer {
    let product = api.manage()?.product_reader(&read.caller, path.product()?)?.product().await?;
    read.with_tag(&ProductModel::new(&product))
}
