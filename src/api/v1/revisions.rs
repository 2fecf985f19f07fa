//! Revisions: the history of a stream, and reverting to it.

use crate::{
    api::{
        model::RevisionModel,
        number,
        page::{Page, PageQuery},
        paths::{PathParams, RevisionPath, StreamPath},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::{Api, may_read, no_stream},
    },
    domain::{
        diff::Diff,
        stream::{Revision, Stream},
    },
    http::problem::ProblemKind,
    manage::{Action, ChangeReport, Report, commands::revert::RevertStream},
};
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_revisions))
        .routes(routes!(get_revision))
        .routes(routes!(diff_revision))
        .routes(routes!(revert_stream))
}

/// List the revisions of a stream, newest first
#[utoipa::path(get, path = "/revisions", tag = "history", params(StreamPath, PageQuery),
    responses((status = 200, description = "A page of revisions", body = Page<RevisionModel>)))]
async fn list_revisions(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let id = path.id()?;
    may_read(&read.caller, &id)?;
    let page = page.parse()?;
    let most = i64::try_from(page.limit() + 1).unwrap_or(i64::MAX);
    let records = api.manage()?.records(&id, page.number()?.map(Revision), most).await?;
    let (head, records) = records.ok_or_else(|| no_stream(&id))?;
    let page =
        page.descending(records.into_iter().map(RevisionModel::new).collect(), |model: &RevisionModel| model.revision);
    read.show(head.revision, &page)
}

/// Get a revision: its actor, time and reason
#[utoipa::path(get, path = "/revisions/{revision}", tag = "history", params(RevisionPath),
    responses((status = 200, description = "The revision", body = RevisionModel)))]
async fn get_revision(State(api): State<Api>, PathParams(path): PathParams<RevisionPath>, read: ReadRequest) -> Answer {
    let id = path.id()?;
    may_read(&read.caller, &id)?;
    let number = path.revision()?;
    let before = Revision(number.saturating_add(1));
    let records = api.manage()?.records(&id, Some(before), 1).await?;
    let (_, records) = records.ok_or_else(|| no_stream(&id))?;
    let record = records.into_iter().find(|(revision, _)| revision.0 == number);
    let none = || ProblemKind::NotFound.because(format!("there is no revision {number} of {id}"));
    read.with_tag(&RevisionModel::new(record.ok_or_else(none)?))
}

/// The revision to compare with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FromQuery {
    /// The revision to compare with; 0 is an empty stream. Default: the revision before.
    #[param(minimum = 0)]
    #[serde(default, deserialize_with = "number::between::<0, { i64::MAX }, _>")]
    from: Option<i64>,
}

/// Compare two revisions
#[utoipa::path(get, path = "/revisions/{revision}/diff", tag = "history", params(RevisionPath, FromQuery),
    responses((status = 200, description = "The changes, in the order of the releases", body = Vec<ChangeReport>)))]
async fn diff_revision(
    State(api): State<Api>,
    PathParams(path): PathParams<RevisionPath>,
    read: ReadRequest,
    query: LazyQuery<FromQuery>,
) -> Answer {
    let id = path.id()?;
    may_read(&read.caller, &id)?;
    let (number, query) = (path.revision()?, query.parse()?);
    let after = api.stream_at(&read.caller, &id, Some(number)).await?;
    let before = match query.from.unwrap_or_else(|| number.saturating_sub(1)) {
        0 => Arc::new(Stream::empty(id)),
        from => api.stream_at(&read.caller, &id, Some(from)).await?.stream,
    };
    let diff = api.manage()?.compute(|| Diff::between(&before, &after.stream)).await;
    read.with_tag(&diff.0.iter().map(ChangeReport::from).collect::<Vec<_>>())
}

/// Revert a stream to a revision, by a new revision
///
/// Releases that were published since are withdrawn. Settings, payloads of published releases and an emergency stop stay as they
/// are.
#[utoipa::path(post, path = "/revisions/{revision}/revert", tag = "history", params(RevisionPath),
    responses((status = 200, description = "The stream is reverted", body = Report)))]
async fn revert_stream(
    State(api): State<Api>,
    PathParams(path): PathParams<RevisionPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::REVERT, &id)?.without_body()?;
    let request = write.conditional_request()?;
    let revert = RevertStream { stream: id, to: Revision(path.revision()?) };
    changed(&write.run(&api, &revert, &request).await?)
}
