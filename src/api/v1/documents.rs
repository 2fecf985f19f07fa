//! A stream as one document.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        paths::{At, StreamPath},
        refuse::{field, fields},
        respond::{Answer, changed},
        state::Api,
    },
    domain::{
        document::{StreamDocument, Strictness},
        stream::Stream,
    },
    manage::Report,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_document, put_document))
}

/// Which revision.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RevisionQuery {
    /// The revision; the newest if absent.
    #[param(minimum = 1)]
    pub(super) revision: Option<i64>,
}

/// Shows a stream as one document, as it is or was
#[utoipa::path(get, path = "/document", tag = "documents", params(StreamPath, RevisionQuery),
    responses((status = 200, description = "the document", body = StreamDocument)))]
async fn show_document(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(query): Asked<RevisionQuery>,
) -> Answer {
    let snapshot = api.stream_at(&read.who, &path.id()?, query.revision).await?;
    read.show(snapshot.revision, &snapshot.stream.to_document())
}

/// Makes a stream what a document says. What differs counts as set here: later imports leave it alone
#[utoipa::path(put, path = "/document", tag = "documents", params(StreamPath), request_body = StreamDocument,
    responses((status = 200, description = "it is so", body = Report)))]
async fn put_document(State(api): State<Api>, At(path): At<StreamPath>, write: Write<Json<StreamDocument>>) -> Answer {
    let (id, request) = (path.id()?, write.conditional_request()?);
    let document = &write.body.0;
    for (name, said, is) in
        [("product", &document.product, id.product.as_str()), ("stream", &document.stream, id.stream.as_str())]
    {
        if said != is {
            return Err(field(name, format!("is {said:?}, and the path says {is:?}")));
        }
    }
    let written = Stream::from_document(document, Strictness::Ours).map_err(fields)?;
    let done = api.manage()?.write_document(&written, &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
