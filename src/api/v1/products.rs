//! Products, their protocols and their descriptions.

use crate::{
    api::{
        PREFIX,
        model::{ProductModel, ProductSettings},
        page::{Page, PageQuery},
        paths::{PathParams, ProductPath},
        refuse::field,
        request::{LazyQuery, ReadRequest, UncheckedWrite, WriteRequest},
        respond::{Answer, json},
        state::Api,
    },
    auth::Pattern,
    domain::ids::ProtocolName,
    manage::{
        Action, ProductCommand, ProductReport, Request,
        commands::{
            descriptions::NewDescription,
            products::{DeleteProduct, SetProduct},
        },
    },
};
use axum::{extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_products)).routes(routes!(get_product, set_product, delete_product))
}

/// List products, by name
///
/// The list has the products of which the caller may read at least one stream, and those without streams that it may read in whole.
#[utoipa::path(get, path = "/products", tag = "products", params(PageQuery),
    responses((status = 200, description = "A page of products", body = Page<ProductModel>)))]
async fn list_products(State(api): State<Api>, read: ReadRequest, page: LazyQuery<PageQuery>) -> Answer {
    let page = page.parse()?;
    let products = api.manage()?.products(&read.caller).await?;
    let page = page.by_name(products.iter().map(ProductModel::new), |product| product.product.clone())?;
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// Get a product
#[utoipa::path(get, path = "/products/{product}", tag = "products", params(ProductPath),
    responses((status = 200, description = "The product", body = ProductModel)))]
async fn get_product(State(api): State<Api>, PathParams(path): PathParams<ProductPath>, read: ReadRequest) -> Answer {
    let product = api.manage()?.product_reader(&read.caller, path.product()?)?.product().await?;
    read.with_tag(&ProductModel::new(&product))
}

/// Executes a command for a product, and answers with its report. `at` is the path of what the command creates.
pub(super) async fn run_on_product<T>(
    api: &Api,
    command: &dyn ProductCommand,
    write: &WriteRequest<T>,
    request: &Request<'_>,
    at: Option<&str>,
) -> Answer {
    let done = api.manage()?.run_on_product(command, request).await;
    let report = done.map_err(|error| write.refused(error))?;
    let response = json(report.to_json())?;
    let Some(at) = at.filter(|_| report.created.is_some() && !report.dry_run) else { return Ok(response) };
    let location = HeaderValue::try_from(at).ok().map(|location| [(header::LOCATION, location)]);
    Ok((StatusCode::CREATED, location, response).into_response())
}

/// Create a product, or change its protocol and its description
///
/// The protocol decides which agents are answered about the product. It can be changed until the product has a stream. A product that
/// is created by its first stream speaks `fedora-coreos`.
#[utoipa::path(put, path = "/products/{product}", tag = "products", params(ProductPath), request_body = ProductSettings,
    responses(
        (status = 200, description = "The product has the protocol and the description, or this is a dry run", body = ProductReport),
        (status = 201, description = "The product is created", body = ProductReport),
    ))]
async fn set_product(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let action = Action::SET_PRODUCT;
    let write =
        write.authorize_on_all(action, &Pattern::for_product(product.clone()))?.json::<ProductSettings>().await?;
    let request = write.request()?;
    let protocol = ProtocolName::parse(&write.body.protocol).map_err(|error| field("protocol", error))?;
    let description = NewDescription::parse(write.body.description.as_deref());
    let description = description.map_err(|error| field("description", error))?;
    let at = format!("{PREFIX}/products/{product}");
    let command = SetProduct { product, protocol, description };
    run_on_product(&api, &command, &write, &request, Some(&at)).await
}

/// Delete a product that has no streams
///
/// Its published files are deleted with it. Its name can be used again.
#[utoipa::path(delete, path = "/products/{product}", tag = "products", params(ProductPath),
    responses((status = 200, description = "The product is deleted, or this is a dry run", body = ProductReport)))]
async fn delete_product(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    write: UncheckedWrite,
) -> Answer {
    let product = path.product()?;
    let all = Pattern::for_product(product.clone());
    let write = write.authorize_on_all(Action::DELETE_PRODUCT, &all)?.without_body()?;
    let request = write.request()?;
    run_on_product(&api, &DeleteProduct { product }, &write, &request, None).await
}
