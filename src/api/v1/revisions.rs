//! History: every state that a stream was in, and the way back.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        model::RevisionModel,
        page::{Page, PageQuery},
        paths::{At, RevisionPath, StreamPath},
        respond::{Answer, changed},
        state::{Api, may_read, no_stream},
    },
    domain::{
        diff::{Change, Diff},
        stream::{Revision, Stream},
    },
    http::problem::ProblemKind,
    manage::Report,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_revisions))
        .routes(routes!(show_revision))
        .routes(routes!(diff_revision))
        .routes(routes!(revert_revision))
}

/// Lists who made the revisions of a stream, when and why, the newest first
#[utoipa::path(get, path = "/revisions", tag = "history", params(StreamPath, PageQuery),
    responses((status = 200, description = "a page of them", body = Page<RevisionModel>)))]
async fn list_revisions(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(page): Asked<PageQuery>,
) -> Answer {
    let id = path.id()?;
    may_read(&read.who, &id)?;
    let most = i64::try_from(page.limit()? + 1).unwrap_or(i64::MAX);
    let records = api.manage()?.records(&id, page.number()?.map(Revision), most).await?;
    let (head, records) = records.ok_or_else(|| no_stream(&id))?;
    let page =
        page.falling(records.into_iter().map(RevisionModel::of).collect(), |model: &RevisionModel| model.revision)?;
    read.show(head.revision, &page)
}

/// Shows who made a revision, when and why
#[utoipa::path(get, path = "/revisions/{revision}", tag = "history", params(RevisionPath),
    responses((status = 200, description = "its record", body = RevisionModel)))]
async fn show_revision(State(api): State<Api>, At(path): At<RevisionPath>, read: Read) -> Answer {
    let id = path.id()?;
    may_read(&read.who, &id)?;
    let before = Revision(path.revision.saturating_add(1));
    let records = api.manage()?.records(&id, Some(before), 1).await?;
    let (_, records) = records.ok_or_else(|| no_stream(&id))?;
    let record = records.into_iter().find(|(revision, _)| revision.0 == path.revision);
    let none = || ProblemKind::NotFound.because(format!("there is no revision {} of {id}", path.revision));
    read.tell(&RevisionModel::of(record.ok_or_else(none)?))
}

/// From which revision.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FromQuery {
    /// The revision that it is compared with; the one before it if absent, and 0 for nothing at all.
    #[param(minimum = 0)]
    from: Option<i64>,
}

/// Shows what changed from one revision to another
#[utoipa::path(get, path = "/revisions/{revision}/diff", tag = "history", params(RevisionPath, FromQuery),
    responses((status = 200, description = "the changes, in the order of the releases", body = Vec<Change>)))]
async fn diff_revision(
    State(api): State<Api>,
    At(path): At<RevisionPath>,
    read: Read,
    Asked(query): Asked<FromQuery>,
) -> Answer {
    let id = path.id()?;
    let after = api.stream_at(&read.who, &id, Some(path.revision)).await?;
    let before = match query.from.unwrap_or(path.revision - 1) {
        0 => Stream::empty(id),
        from => api.stream_at(&read.who, &id, Some(from)).await?.stream,
    };
    read.tell(&Diff::between(&before, &after.stream))
}

/// Makes a stream again what it was at a revision, as a new revision. What was published since is withdrawn; settings, payloads of
/// what is out, and an emergency stop stay
#[utoipa::path(post, path = "/revisions/{revision}/revert", tag = "history", params(RevisionPath),
    responses((status = 200, description = "it is so again", body = Report)))]
async fn revert_revision(State(api): State<Api>, At(path): At<RevisionPath>, write: Write) -> Answer {
    let (id, request) = (path.id()?, write.conditional_request()?);
    let done = api.manage()?.revert(&id, Revision(path.revision), &request).await;
    changed(&done.map_err(|error| write.refused(error))?)
}
