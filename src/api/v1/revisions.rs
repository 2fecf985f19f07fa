//! Revisions: the history of a stream, and reverting to it.

use crate::{
    api::{
        model::RevisionModel,
        page::{Page, PageQuery},
        paths::{PathParams, RevisionPath, StreamPath},
        query,
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed},
        state::Api,
    },
    domain::stream::Revision,
    http::problem::ProblemKind,
    manage::{
        Action, ChangeReport, Report, Request,
        commands::{revert::RevertStream, undo::UndoRevision},
    },
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_revisions))
        .routes(routes!(get_revision))
        .routes(routes!(diff_revision))
        .routes(routes!(report_revision))
        .routes(routes!(revert_stream))
        .routes(routes!(undo_revision))
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
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let page = page.parse()?;
    let most = i64::try_from(page.limit() + 1).unwrap_or(i64::MAX);
    let (newest, records) = reader.revisions(page.number()?.map(Revision), most).await?;
    let records = records.into_iter().map(RevisionModel::new).collect();
    let page = page.descending(records, |model: &RevisionModel| model.revision);
    read.link_next(read.show(newest, &page), page.next.as_deref())
}

/// Get a revision: its actor, time and reason
#[utoipa::path(get, path = "/revisions/{revision}", tag = "history", params(RevisionPath),
    responses((status = 200, description = "The revision", body = RevisionModel)))]
async fn get_revision(State(api): State<Api>, PathParams(path): PathParams<RevisionPath>, read: ReadRequest) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    read.with_tag(&RevisionModel::new(reader.revision(Revision(path.revision()?)).await?))
}

/// The revision to compare with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FromQuery {
    /// The revision to compare with; 0 is an empty stream. Default: the revision before.
    #[param(minimum = 0)]
    #[serde(default, deserialize_with = "query::between::<0, { i64::MAX }, _>")]
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
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let (number, query) = (path.revision()?, query.parse()?);
    let diff = reader.diff(Revision(number), query.from.map(Revision)).await?;
    read.with_tag(&diff.0.iter().map(ChangeReport::from).collect::<Vec<_>>())
}

/// Compute the report of a revision
///
/// The changes, findings and impact of the revision, compared with the one before it, at the time at which it was created. The reports of
/// restrictive changes name this path, because these changes do not wait for findings and impact.
#[utoipa::path(get, path = "/revisions/{revision}/report", tag = "history", params(RevisionPath),
    responses((status = 200, description = "The report", body = Report)))]
async fn report_revision(
    State(api): State<Api>,
    PathParams(path): PathParams<RevisionPath>,
    read: ReadRequest,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    read.with_tag(&reader.report(Revision(path.revision()?)).await?)
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

/// Undo the newest revision of a stream, if you made it
///
/// Everything is as it was before, by a new revision, as far as published releases allow. If the stream has changed since, the answer is
/// 412. Requires the role that the opposite of the change requires. Emergency stops are not undone.
#[utoipa::path(post, path = "/revisions/{revision}/undo", tag = "history", params(RevisionPath),
    responses((status = 200, description = "The revision is undone", body = Report)))]
async fn undo_revision(
    State(api): State<Api>,
    PathParams(path): PathParams<RevisionPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::UNDO, &id)?.without_body()?;
    let revision = Revision(path.revision()?);
    let request = write.request()?;
    if request.expected.is_some_and(|expected| expected != revision) {
        return Err(ProblemKind::Changed.because("If-Match names another revision than the path"));
    }
    let request = Request { expected: Some(revision), ..request };
    let undo = UndoRevision { stream: id, revision, by: write.caller.actor.clone() };
    changed(&write.run(&api, &undo, &request).await?)
}
