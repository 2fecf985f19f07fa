//! Products: those that have streams.

use crate::{
    api::{
        ask::{Asked, Read},
        model::ProductModel,
        page::{Page, PageQuery},
        paths::{At, ProductPath},
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
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(show_product))
}

/// Those of which the caller may read a stream.
async fn products(api: &Api, read: &Read) -> Result<Vec<ProductModel>, Problem> {
    let mut products: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for head in api.manage()?.heads().await?.iter().filter(|head| read.who.may(Role::Viewer, &head.id)) {
        products.entry(head.id.product.to_string()).or_default().push(head.id.stream.to_string());
    }
    Ok(products.into_iter().map(|(product, streams)| ProductModel { product, streams }).collect())
}

/// Lists the products, by name
#[utoipa::path(get, path = "/products", tag = "products", params(PageQuery),
    responses((status = 200, description = "a page of them", body = Page<ProductModel>)))]
async fn list_products(State(api): State<Api>, read: Read, Asked(page): Asked<PageQuery>) -> Answer {
    read.tell(&page.of(products(&api, &read).await?, |product| product.product.clone())?)
}

/// Shows a product
#[utoipa::path(get, path = "/products/{product}", tag = "products", params(ProductPath),
    responses((status = 200, description = "the product", body = ProductModel)))]
async fn show_product(State(api): State<Api>, At(path): At<ProductPath>, read: Read) -> Answer {
    let wanted = path.product()?;
    let found = products(&api, &read).await?.into_iter().find(|product| product.product == wanted.as_str());
    match found {
        Some(product) => read.tell(&product),
        None if read.who.may_on_some(Role::Viewer, &wanted) => {
            Err(ProblemKind::NotFound.because(format!("there is no product {wanted}")))
        }
        None => Err(ProblemKind::Forbidden.because(format!("this takes the role viewer on a stream of {wanted}"))),
    }
}
