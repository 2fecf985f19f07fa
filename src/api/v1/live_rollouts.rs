//! The rollouts in progress, of all streams.

use crate::{
    api::{
        model::StreamRolloutModel,
        page::{Page, PageQuery, newest_first},
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::ids::{ProductName, StreamName},
    http::problem::Problem,
    manage::read::{RolloutFilter, RolloutPhase},
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_live_rollouts))
}

/// The rollouts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LiveRolloutsQuery {
    /// Only rollouts of this product. Default: of all.
    product: Option<String>,
    /// Only rollouts of streams with this name. Default: of all.
    stream: Option<String>,
    /// Only rollouts in this state: `scheduled`, `running`, `waiting` (at a gate) or `paused`. Default: in any of them.
    state: Option<String>,
}

impl LiveRolloutsQuery {
    fn filter(&self) -> Result<RolloutFilter, Problem> {
        let product = self.product.as_deref().map(ProductName::parse).transpose();
        let stream = self.stream.as_deref().map(StreamName::parse).transpose();
        Ok(RolloutFilter {
            product: product.map_err(|error| field("product", error))?,
            stream: stream.map_err(|error| field("stream", error))?,
            phase: self.state.as_deref().map(phase).transpose()?,
        })
    }
}

fn phase(name: &str) -> Result<RolloutPhase, Problem> {
    let names = RolloutPhase::IN_PROGRESS.map(RolloutPhase::as_str);
    let found = RolloutPhase::IN_PROGRESS.into_iter().find(|phase| phase.as_str() == name);
    found.ok_or_else(|| field("state", format!("must be one of {}, is {name:?}", names.join(", "))))
}

/// List the rollouts in progress, of all streams
///
/// A rollout is in progress until it admits all nodes that its selector matches. The list has those of the streams that the caller may read,
/// by product and stream, those of the newest release first.
#[utoipa::path(get, path = "/rollouts", tag = "rollouts", params(LiveRolloutsQuery, PageQuery),
    responses((status = 200, description = "A page of rollouts", body = Page<StreamRolloutModel>)))]
async fn list_live_rollouts(
    State(api): State<Api>,
    read: ReadRequest,
    query: LazyQuery<LiveRolloutsQuery>,
    page: LazyQuery<PageQuery>,
) -> Answer {
    let (filter, page) = (query.parse()?.filter()?, page.parse()?);
    let rollouts = api.manage()?.live_rollouts(&read.caller, &filter).await?;
    let page = page.by_name(&rollouts, |(stream, rollout)| {
        format!("{}!{:02}", newest_first(stream, rollout.age), rollout.position)
    })?;
    let items = page.items.into_iter().map(|(stream, rollout)| StreamRolloutModel::new(stream, rollout)).collect();
    let page = Page { items, next: page.next };
    read.link_next(read.with_tag(&page), page.next.as_deref())
}
