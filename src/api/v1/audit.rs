//! The audit log, across streams.

use crate::{
    api::{
        model::AuditEntryModel,
        page::{Page, PageQuery},
        refuse::{field, forbidden},
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::{Api, may_read},
    },
    auth::{Pattern, Role},
    domain::ids::{ProductName, StreamId, StreamName},
    manage::records::AuditFilter,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_audit_entries))
}

/// The filter for audit entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only entries of this product. Default: all.
    product: Option<String>,
    /// Only entries of this stream; requires `product`. Default: all.
    stream: Option<String>,
}

/// List audit entries, newest first
///
/// Requires the role `viewer` on everything that the filter selects: on the stream, on all streams of the product, or on all
/// streams.
#[utoipa::path(get, path = "/audit", tag = "history", params(AuditQuery, PageQuery),
    responses((status = 200, description = "A page of entries", body = Page<AuditEntryModel>)))]
async fn list_audit_entries(
    State(api): State<Api>,
    read: ReadRequest,
    query: LazyQuery<AuditQuery>,
    page: LazyQuery<PageQuery>,
) -> Answer {
    // The required role depends on the query. Callers without any role learn nothing about errors in it.
    if !read.caller.has_anywhere(Role::Viewer) {
        return Err(forbidden(&read.caller, "requires role `viewer` on at least one stream".into()));
    }
    let (query, page) = (query.parse()?, page.parse()?);
    let product = query.product.as_ref().map(|name| ProductName::parse(name).map_err(|error| field("product", error)));
    let stream = query.stream.as_ref().map(|name| StreamName::parse(name).map_err(|error| field("stream", error)));
    let (product, stream) = (product.transpose()?, stream.transpose()?);
    match (&product, &stream) {
        (Some(product), Some(stream)) => {
            may_read(&read.caller, &StreamId { product: product.clone(), stream: stream.clone() })?;
        }
        (None, Some(_)) => return Err(field("stream", "requires `product`")),
        (product, None) => {
            let on = product.clone().map_or(Pattern::ALL, Pattern::for_product);
            if !read.caller.may_on_all(Role::Viewer, &on) {
                return Err(forbidden(&read.caller, format!("requires role `viewer` on `{on}`")));
            }
        }
    }
    let filter = AuditFilter {
        product: product.as_ref().map(ProductName::as_str),
        stream: stream.as_ref().map(StreamName::as_str),
        before: page.number()?,
        limit: i64::try_from(page.limit() + 1).unwrap_or(i64::MAX),
    };
    let entries = api.manage()?.audit_entries(filter).await?.into_iter().map(AuditEntryModel::new).collect();
    read.with_tag(&page.descending(entries, |entry: &AuditEntryModel| entry.id))
}
