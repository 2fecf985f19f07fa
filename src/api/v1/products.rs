//! Products that have streams.

use crate::{
    api::{
        model::ProductModel,
        page::{Page, PageQuery},
        paths::{PathParams, ProductPath},
        refuse::forbidden,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    auth::Role,
    http::problem::{Problem, ProblemKind},
};
use axum::extract::State;
use std::collections::BTreeMap;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(get_product))
}

/// Lists the products of which the caller may read a stream.
async fn products(api: &Api, read: &ReadRequest) -> Result<Vec<ProductModel>, Problem> {
    let mut products: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for head in api.manage()?.heads().await?.iter().filter(|head| read.caller.may(Role::Viewer, &head.id)) {
        products.entry(head.id.product.to_string()).or_default().push(head.id.stream.to_string());
    }
    Ok(products.into_iter().map(|(product, streams)| ProductModel { product, streams }).collect())
}

/// List products, by name
///
/// The list has the products of which the caller may read at least one stream.
#[utoipa::path(get, path = "/products", tag = "products", params(PageQuery),
    responses((status = 200, description = "A page of products", body = Page<ProductModel>)))]
async fn list_products(State(api): State<Api>, read: ReadRequest, page: LazyQuery<PageQuery>) -> Answer {
    read.with_tag(&page.parse()?.by_name(products(&api, &read).await?, |product| product.product.clone())?)
}

/// Get a product
#[utoipa::path(get, path = "/products/{product}", tag = "products", params(ProductPath),
    responses((status = 200, description = "The product", body = ProductModel)))]
async fn get_product(State(api): State<Api>, PathParams(path): PathParams<ProductPath>, read: ReadRequest) -> Answer {
    let wanted = path.product()?;
    let found = products(&api, &read).await?.into_iter().find(|product| product.product == wanted.as_str());
    match found {
        Some(product) => read.with_tag(&product),
        None if read.caller.may_on_some(Role::Viewer, &wanted) => {
            Err(ProblemKind::NotFound.because(format!("there is no product {wanted}")))
        }
        None => Err(forbidden(&read.caller, format!("requires role `viewer` on a stream of `{wanted}`"))),
    }
}
