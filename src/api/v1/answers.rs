//! What a stream means for nodes: its update graph, the updates of one node, and lint findings.

use crate::{
    api::{
        model::{ExplainModel, GraphModel},
        page::Page,
        paths::{PathParams, StreamPath},
        query,
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::Api,
    },
    domain::{epoch::Epoch, ids::Arch, payload::Scheme, rollout::wariness::Wariness, stream::Revision},
    http::problem::Problem,
    manage::{
        FindingReport,
        read::{Position, Question, Running},
    },
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_graph)).routes(routes!(explain_node)).routes(routes!(lint_stream))
}

/// The node, the scope and the time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NodeQuery {
    /// The architecture, by the kernel's name.
    #[param(example = "x86_64")]
    arch: String,
    /// The payload scheme: `checksum` or `oci`. Default: `checksum`.
    scheme: Option<String>,
    /// The id of a node, from which its wariness is computed. The id is not stored. Excludes `wariness`.
    node: Option<String>,
    /// The wariness of a node, its position in rollouts: 0 (first) to 1 (last). To explain, it or `node` is required; the default of a
    /// graph is 0.5.
    #[param(minimum = 0, maximum = 1)]
    #[serde(default, deserialize_with = "query::number")]
    wariness: Option<f64>,
    /// The group that the node reports. Default: none.
    group: Option<String>,
    /// The platform that the node reports. Default: none.
    platform: Option<String>,
    /// The time, RFC 3339 in whole seconds. Default: now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// The revision, from 1. Default: the newest.
    #[param(minimum = 1)]
    #[serde(default, deserialize_with = "query::between::<1, { i64::MAX }, _>")]
    revision: Option<i64>,
}

/// The parsed query about a node.
struct NodeQuestion {
    arch: Arch,
    scheme: Scheme,
    group: Option<String>,
    platform: Option<String>,
    node: Option<String>,
    wariness: Wariness,
    at: Option<Epoch>,
    revision: Option<Revision>,
}

impl NodeQuery {
    fn question(self) -> Result<NodeQuestion, Problem> {
        let scheme = self.scheme.as_ref().map_or_else(|| Ok(Scheme::checksum()), |scheme| Scheme::parse(scheme));
        Ok(NodeQuestion {
            arch: Arch::parse(&self.arch).map_err(|error| field("arch", error))?,
            scheme: scheme.map_err(|error| field("scheme", error))?,
            at: self.at()?,
            wariness: self.wariness()?,
            node: self.node,
            group: self.group,
            platform: self.platform,
            revision: self.revision.map(Revision),
        })
    }

    /// Parses a question about one node. Without its position in rollouts, the answer would be that of another node.
    fn question_of_a_node(self) -> Result<NodeQuestion, Problem> {
        if self.node.is_none() && self.wariness.is_none() {
            return Err(field(
                "wariness",
                "either `wariness` or `node` is required: it decides when a node gets a release",
            ));
        }
        self.question()
    }

    fn wariness(&self) -> Result<Wariness, Problem> {
        match (&self.node, self.wariness) {
            (Some(_), Some(_)) => Err(field("wariness", "cannot be combined with `node`")),
            (None, Some(wariness)) if (0.0..=1.0).contains(&wariness) => Ok(Wariness::new(wariness)),
            (None, Some(wariness)) => Err(field("wariness", format!("must be between 0 and 1, is {wariness}"))),
            (_, None) => Ok(Wariness::new(0.5)),
        }
    }

    fn at(&self) -> Result<Option<Epoch>, Problem> {
        let Some(text) = &self.at else { return Ok(None) };
        let invalid = || field("at", "must be a time in whole seconds such as 2026-07-22T14:00:00Z");
        Epoch::parse(text).map(Some).ok_or_else(invalid)
    }
}

impl NodeQuestion {
    fn as_question(&self) -> Question<'_> {
        Question {
            revision: self.revision,
            arch: &self.arch,
            scheme: &self.scheme,
            group: self.group.as_deref(),
            platform: self.platform.as_deref(),
            position: self.node.as_deref().map_or(Position::Given(self.wariness), Position::Node),
            at: self.at,
        }
    }
}

/// Get the update graph of an arch and scheme, for a node and a time
///
/// The graph is that of the newest revision, or of the revision in the query.
#[utoipa::path(get, path = "/graph", tag = "answers", params(StreamPath, NodeQuery),
    responses((status = 200, description = "The graph", body = GraphModel)))]
async fn get_graph(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<NodeQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let question = query.parse()?.question()?;
    read.with_tag(&GraphModel::new(&reader.graph(&question.as_question()).await?))
}

/// The release that a node runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RunningQuery {
    /// The version that the node runs. Either `release` or `payload` is required.
    release: Option<String>,
    /// The payload that the node runs: a payload or an alias, or the same digest in a mirror of the stream.
    payload: Option<String>,
}

impl RunningQuery {
    fn running(&self) -> Result<Running<'_>, Problem> {
        match (&self.release, &self.payload) {
            (Some(release), None) => Ok(Running::Release(release)),
            (None, Some(payload)) => Ok(Running::Payload(payload)),
            _ => Err(field("release", "either `release` or `payload` is required")),
        }
    }
}

/// Explain the future updates of a node
///
/// The answer lists each update that the node will take to the newest release, when the update is first offered, and what holds
/// the node back until then. It assumes that the stream does not change.
#[utoipa::path(get, path = "/explain", tag = "answers", params(StreamPath, NodeQuery, RunningQuery),
    responses((status = 200, description = "The future updates of the node", body = ExplainModel)))]
async fn explain_node(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<NodeQuery>,
    running: LazyQuery<RunningQuery>,
) -> Answer {
    let reader = api.manage()?.stream_reader(&read.caller, path.id()?)?;
    let question = query.parse()?.question_of_a_node()?;
    let running = running.parse()?;
    read.with_tag(&ExplainModel::new(&reader.explain(&question.as_question(), running.running()?).await?))
}

/// List the lint findings of a stream
///
/// Errors are states that can harm nodes; warnings are unusual states. Images that registries no longer have come last.
#[utoipa::path(get, path = "/lint", tag = "answers", params(StreamPath),
    responses((status = 200, description = "All findings, in the order of the releases", body = Page<FindingReport>)))]
async fn lint_stream(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, read: ReadRequest) -> Answer {
    let findings = api.manage()?.stream_reader(&read.caller, path.id()?)?.findings().await?;
    read.with_tag(&Page { items: findings.iter().map(FindingReport::from).collect::<Vec<_>>(), next: None })
}
