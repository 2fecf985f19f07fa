//! Streams: listed, shown, made, set.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        model::{StreamModel, StreamSettings, StreamSummary},
        page::{Page, PageQuery},
        paths::{At, ProductPath, StreamPath, path_of},
        respond::{Answer, changed, created},
        state::Api,
    },
    auth::Role,
    domain::{document::parts, stream::Stream},
    http::problem::ProblemKind,
    manage::Report,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_streams))
}

pub(super) fn of_one() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_stream, put_stream))
}

/// Lists the streams of a product, by name
#[utoipa::path(get, path = "/products/{product}/streams", tag = "streams", params(ProductPath, PageQuery),
    responses((status = 200, description = "a page of them", body = Page<StreamSummary>)))]
async fn list_streams(
    State(api): State<Api>,
    At(path): At<ProductPath>,
    read: Read,
    Asked(page): Asked<PageQuery>,
) -> Answer {
    let product = path.product()?;
    if !read.who.may_on_some(Role::Viewer, &product) {
        return Err(ProblemKind::Forbidden.because(format!("this takes the role viewer on a stream of {product}")));
    }
    let heads = api.manage()?.heads().await?;
    let seen = heads.iter().filter(|head| head.id.product == product && read.who.may(Role::Viewer, &head.id));
    read.tell(&page.of(seen.map(StreamSummary::of), |stream| stream.stream.clone())?)
}

/// Shows a stream
#[utoipa::path(get, path = "/", tag = "streams", params(StreamPath),
    responses((status = 200, description = "the stream", body = StreamModel)))]
async fn show_stream(State(api): State<Api>, At(path): At<StreamPath>, read: Read) -> Answer {
    let snapshot = api.stream(&read.who, &path.id()?).await?;
    read.show(snapshot.revision, &StreamModel::of(&snapshot))
}

/// Makes a stream (with If-None-Match: *), or sets what is set on it as a whole (with If-Match)
#[utoipa::path(put, path = "/", tag = "streams", params(StreamPath), request_body = StreamSettings,
    responses(
        (status = 200, description = "it is set", body = Report),
        (status = 201, description = "it was made", body = Report),
    ))]
async fn put_stream(State(api): State<Api>, At(path): At<StreamPath>, write: Write<Json<StreamSettings>>) -> Answer {
    let (id, request) = (path.id()?, write.conditional_request()?);
    let Json(settings) = &write.body;
    let set = |present: &Stream| {
        let read = parts::settings(settings.arches.clone(), settings.mirrors.clone(), present)?;
        Ok(Stream { protection: parts::protection(&settings.protection)?, ..read })
    };
    let report = api.manage()?.set_stream(&id, set, &request).await.map_err(|error| write.refused(error))?;
    if report.revision == 1 && report.changed {
        let named = Report { created: Some(id.stream.to_string()), ..report };
        let path = path_of(&id);
        return created(&named, path.rsplit_once('/').map_or("", |(within, _)| within));
    }
    changed(&report)
}
