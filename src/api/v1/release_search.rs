//! A search for releases, across streams.

use crate::{
    api::{
        model::FoundReleaseModel,
        page::{Page, PageQuery, newest_first},
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::ids::ProductName,
    manage::read::ReleaseFilter,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(find_releases))
}

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// Only releases of this product. Default: of all.
    product: Option<String>,
    /// The beginning of the version.
    version: Option<String>,
    /// What a node reports: a payload or an alias, or the digest of one (`sha256:...`).
    payload: Option<String>,
}

/// Search releases by version or payload, across streams
///
/// `version`, `payload` or both are required. The list has releases of the streams that the caller may read, drafts included, by product and
/// stream, the newest first.
#[utoipa::path(get, path = "/releases", tag = "releases", params(SearchQuery, PageQuery),
    responses((status = 200, description = "A page of releases", body = Page<FoundReleaseModel>)))]
async fn find_releases(
    State(api): State<Api>,
    read: ReadRequest,
    query: LazyQuery<SearchQuery>,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let (query, page) = (query.parse()?, page.parse()?);
    if query.version.is_none() && query.payload.is_none() {
        return Err(field("version", "is required, unless there is a payload"));
    }
    for (name, value) in [("version", &query.version), ("payload", &query.payload)] {
        if value.as_ref().is_some_and(String::is_empty) {
            return Err(field(name, "must not be empty"));
        }
    }
    let product =
        query.product.as_deref().map(|name| ProductName::parse(name).map_err(|error| field("product", error)));
    let product = product.transpose()?;
    let filter = ReleaseFilter {
        version_prefix: query.version.unwrap_or_default(),
        payload: query.payload,
        ..ReleaseFilter::default()
    };
    let found = api.manage()?.find_releases(&read.caller, product.as_ref(), &filter).await?;
    let page = page.by_name(&found, |found| newest_first(&found.stream, found.position))?;
    let items = page.items.into_iter().map(FoundReleaseModel::new).collect();
    let page = Page { items, next: page.next };
    read.link_next(read.with_tag(&page), page.next.as_deref())
}
