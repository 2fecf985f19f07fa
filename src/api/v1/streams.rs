//! Streams and their settings.

use crate::{
    api::{
        model::{FollowModel, StreamModel, StreamSettings, StreamSummary},
        page::{Page, PageQuery},
        paths::{PathParams, ProductPath, StreamPath, path_of},
        refuse::{field, fields},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::{Answer, changed, created_at},
        state::Api,
    },
    domain::{
        document::{follow_shape::FollowSetting, parts},
        stream::Revision,
    },
    http::problem::Problem,
    manage::{
        Action, Report,
        commands::{
            bases::{NewBase, NewBaseLag},
            descriptions::NewDescription,
            streams::{self, CreateStream, DefaultRollout, DeleteStream, NewFollow, SetStream},
        },
    },
    registry::RepositoryReference,
};
use axum::extract::State;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn all() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_streams))
}

pub(super) fn of_one() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_stream, set_stream, delete_stream)).routes(routes!(get_stream_follow))
}

/// List the streams of a product, by name
///
/// The list has the streams that the caller may read.
#[utoipa::path(get, path = "/products/{product}/streams", tag = "streams", params(ProductPath, PageQuery),
    responses((status = 200, description = "A page of streams", body = Page<StreamSummary>)))]
async fn list_streams(
    State(api): State<Api>,
    PathParams(path): PathParams<ProductPath>,
    read: ReadRequest,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let reader = api.manage()?.product_reader(&read.caller, path.product()?)?;
    let page = page.parse()?;
    let streams = reader.streams().await?;
    let page = page.by_name(streams.iter().map(StreamSummary::new), |stream| stream.stream.clone())?;
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// Get a stream
#[utoipa::path(get, path = "/", tag = "streams", params(StreamPath),
    responses((status = 200, description = "The stream", body = StreamModel)))]
async fn get_stream(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, read: ReadRequest) -> Answer {
    let snapshot = api.manage()?.stream_reader(&read.caller, path.id()?)?.present().await?;
    read.show(snapshot.revision, &StreamModel::new(&snapshot))
}

/// Get what a stream follows, and what the last looks at its repository found
#[utoipa::path(get, path = "/follow", tag = "streams", params(StreamPath),
    responses((status = 200, description = "What is followed", body = FollowModel)))]
async fn get_stream_follow(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
) -> Answer {
    let status = api.manage()?.stream_reader(&read.caller, path.id()?)?.follow_status().await?;
    read.with_tag(&FollowModel::new(status))
}

/// Create a stream, or change its settings
///
/// Create a stream with `If-None-Match: *`. Change the settings of a stream with `If-Match`.
#[utoipa::path(put, path = "/", tag = "streams", params(StreamPath), request_body = StreamSettings,
    responses(
        (status = 200, description = "The settings are changed, or this is a dry run", body = Report),
        (status = 201, description = "The stream is created", body = Report),
    ))]
async fn set_stream(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, write: UncheckedWrite) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::SET_STREAM, &id)?.json::<StreamSettings>().await?;
    let request = write.conditional_request()?;
    let settings = &write.body;
    let (arches, mirrors) = parts::settings(settings.arches.clone(), settings.mirrors.clone(), &id).map_err(fields)?;
    let edge_rule = settings.edge_rule.as_deref().map(parts::edge_rule).transpose().map_err(fields)?;
    let identity = settings.identity.as_deref().map(parts::identity).transpose().map_err(fields)?;
    let targets = settings.targets.as_ref().map(parts::targets).transpose().map_err(fields)?;
    let protection = parts::protection(&settings.protection).map_err(fields)?;
    let description =
        NewDescription::parse(settings.description.as_deref()).map_err(|error| field("description", error))?;
    let default_rollout = match settings.default_rollout.as_deref() {
        None => DefaultRollout::Unchanged,
        Some("none") => DefaultRollout::None,
        Some(name) => DefaultRollout::Preset(parts::default_rollout(name).map_err(fields)?),
    };
    let base = match settings.base.as_deref() {
        None => NewBase::Unchanged,
        Some("none") => NewBase::None,
        Some(name) => NewBase::Stream(parts::base_stream(name).map_err(fields)?),
    };
    let base_lag = match settings.base_lag.as_deref() {
        None => NewBaseLag::Unchanged,
        Some("none") => NewBaseLag::None,
        Some(text) => NewBaseLag::Minutes(parts::base_lag(text).map_err(fields)?),
    };
    let follow = new_follow(settings.follow.as_ref())?;
    let settings = streams::StreamSettings {
        description,
        arches,
        mirrors,
        edge_rule,
        identity,
        targets,
        protection,
        default_rollout,
        base,
        base_lag,
        follow,
    };
    if request.expected != Some(Revision(0)) {
        return changed(&write.run(&api, &SetStream { stream: id, settings }, &request).await?);
    }
    let at = path_of(&id);
    let report = write.run(&api, &CreateStream { stream: id, settings }, &request).await?;
    if report.created.is_some() { created_at(&report, &at) } else { changed(&report) }
}

/// Parses what a stream follows. The registry need not answer now.
fn new_follow(setting: Option<&FollowSetting>) -> Result<NewFollow, Problem> {
    match setting {
        None => Ok(NewFollow::Unchanged),
        Some(FollowSetting::Named(name)) if name == "none" => Ok(NewFollow::None),
        Some(FollowSetting::Named(name)) => {
            Err(field("follow", format!("is {name:?}, expected \"none\", or an object with image, tags and as")))
        }
        Some(FollowSetting::Repository(document)) => {
            let follow = parts::follow(document).map_err(fields)?;
            RepositoryReference::try_from(&follow.image).map_err(|error| field("follow.image", error))?;
            Ok(NewFollow::Repository(Box::new(follow)))
        }
    }
}

/// Delete a stream that never published a release
///
/// Nodes may run what was published, so a stream with published or withdrawn releases stays: stop it or mark its releases as dead ends instead.
/// The revisions of a deleted stream stay, and its name can be used again; the numbers of its revisions go on.
#[utoipa::path(delete, path = "/", tag = "streams", params(StreamPath),
    responses((status = 200, description = "The stream is deleted, or this is a dry run", body = Report)))]
async fn delete_stream(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    write: UncheckedWrite,
) -> Answer {
    let id = path.id()?;
    let write = write.authorize(Action::DELETE_STREAM, &id)?.without_body()?;
    let request = write.conditional_request()?;
    changed(&write.run(&api, &DeleteStream { stream: id }, &request).await?)
}
