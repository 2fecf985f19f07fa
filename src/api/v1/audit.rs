//! Who did what, when and why, across streams.

use crate::{
    api::{
        ask::{Asked, Read},
        model::ActModel,
        page::{Page, PageQuery},
        refuse::field,
        respond::Answer,
        state::{Api, may_read},
    },
    auth::{Pattern, Role},
    domain::{
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    http::problem::ProblemKind,
    manage::kept::Wanted,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_acts))
}

/// Which acts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ActQuery {
    /// Those about this product; all if absent.
    product: Option<String>,
    /// Those about this stream of it; needs `product`.
    stream: Option<String>,
}

/// Lists what was done, the newest first; whoever asks needs to be able to read all of what they ask for
#[utoipa::path(get, path = "/audit", tag = "history", params(ActQuery, PageQuery),
    responses((status = 200, description = "a page of it", body = Page<ActModel>)))]
async fn list_acts(
    State(api): State<Api>,
    read: Read,
    Asked(query): Asked<ActQuery>,
    Asked(page): Asked<PageQuery>,
) -> Answer {
    let product = query.product.as_ref().map(|name| ProductName::parse(name).map_err(|error| field("product", error)));
    let stream = query.stream.as_ref().map(|name| StreamName::parse(name).map_err(|error| field("stream", error)));
    let (product, stream) = (product.transpose()?, stream.transpose()?);
    match (&product, &stream) {
        (Some(product), Some(stream)) => {
            may_read(&read.who, &StreamId { product: product.clone(), stream: stream.clone() })?;
        }
        (None, Some(_)) => return Err(field("stream", "needs product")),
        (product, None) => {
            let on = product.clone().map_or(Pattern::ALL, Pattern::of_product);
            if !read.who.may_on_all(Role::Viewer, &on) {
                return Err(ProblemKind::Forbidden.because(format!("this takes the role viewer on {on}")));
            }
        }
    }
    let wanted = Wanted {
        product: product.as_ref().map(ProductName::as_str),
        stream: stream.as_ref().map(StreamName::as_str),
        before: page.number()?,
        most: i64::try_from(page.limit()? + 1).unwrap_or(i64::MAX),
    };
    let acts = api.manage()?.acts(wanted).await?.into_iter().map(ActModel::of).collect();
    read.tell(&page.falling(acts, |act: &ActModel| act.id)?)
}
