//! Stream documents: a stream as one document.

use crate::{
    api::{
        paths::{PathParams, StreamPath},
        query,
        refuse::{field, fields},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    domain::{
        document::{StreamDocument, Strictness},
        stream::{Revision, Stream},
    },
    manage::{Action, Report, commands::documents::PutDocument},
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_document, replace_document))
}

/// The revision to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RevisionQuery {
    /// The revision, from 1. Default: the newest.
    #[param(minimum = 1)]
    #[serde(default, deserialize_with = "query::between::<1, { i64::MAX }, _>")]
    pub(super) revision: Option<i64>,
}

/// Get a stream as one document
///
/// The document is that of the newest revision, or of the revision in the query.
#[utoipa::path(get, path = "/document", tag = "documents", params(StreamPath, RevisionQuery),
    responses((status = 200, description = "The document", body = StreamDocument)))]
async fn get_document(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<RevisionQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let snapshot = reader.at(query.parse()?.revision.map(Revision)).await?;
    read.show(snapshot.revision, &snapshot.stream.to_document())
}

/// Replace a stream by a document
///
/// Values that the document changes count as local: later imports do not overwrite them. Creating a stream (`If-None-Match: *`)
/// and changing its settings require the role `admin`.
#[utoipa::path(put, path = "/document", tag = "documents", params(StreamPath), request_body = StreamDocument,
    responses((status = 200, description = "The stream is as the document describes it", body = Report)))]
async fn replace_document(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::PUT_DOCUMENT, &id)?.json::<StreamDocument>().await?;
    let request = write.conditional_request()?;
    let document = &write.body;
    for (name, actual, expected) in
        [("product", &document.product, id.product.as_str()), ("stream", &document.stream, id.stream.as_str())]
    {
        if actual != expected {
            return Err(field(name, format!("must be {expected:?} as in the path, is {actual:?}")));
        }
    }
    let parsed = api.manage()?.compute(|| Stream::from_document(document, Strictness::Strict)).await;
    let written = parsed.map_err(fields)?;
    changed(&write.run(&api, &PutDocument { written }, &request).await?)
}
