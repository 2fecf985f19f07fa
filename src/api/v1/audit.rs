//! The audit log, across streams.

use crate::{
    api::{
        model::AuditEntryModel,
        page::{Page, PageQuery},
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::ids::{ProductName, StreamId, StreamName},
    http::problem::Problem,
    manage::read::AuditScope,
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

impl AuditQuery {
    fn scope(&self) -> Result<AuditScope, Problem> {
        let product =
            self.product.as_ref().map(|name| ProductName::parse(name).map_err(|error| field("product", error)));
        let stream = self.stream.as_ref().map(|name| StreamName::parse(name).map_err(|error| field("stream", error)));
        match (product.transpose()?, stream.transpose()?) {
            (Some(product), Some(stream)) => Ok(AuditScope::Stream(StreamId { product, stream })),
            (Some(product), None) => Ok(AuditScope::Product(product)),
            (None, Some(_)) => Err(field("stream", "requires `product`")),
            (None, None) => Ok(AuditScope::All),
        }
    }
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
    let reader = api.manage()?.audit_reader(&read.caller)?;
    let (scope, page) = (query.parse()?.scope()?, page.parse()?);
    reader.check(&scope)?;
    let most = i64::try_from(page.limit() + 1).unwrap_or(i64::MAX);
    let entries = AuditEntryModel::all(reader.entries(&scope, page.number()?, most).await?);
    let page = page.descending(entries, |entry: &AuditEntryModel| entry.id);
    read.link_next(read.with_tag(&page), page.next.as_deref())
}
