//! What a stream means for nodes: its update graph, the updates of one node, and lint findings.

use super::documents::RevisionQuery;
use crate::{
    api::{
        model::{ExplainModel, GraphModel},
        page::Page,
        paths::{PathParams, StreamPath},
        refuse::field,
        request::{LazyQuery, ReadRequest},
        respond::Answer,
        state::{Api, may_read},
    },
    domain::{
        admission::{emergency_stop::EmergencyStop, lint::lint},
        epoch::Epoch,
        graph::{Graph, NodeIndex, visibility::NodeContext},
        ids::{Arch, StreamId},
        located::{ScopeNames, describe_release},
        payload::Scheme,
        rollout::wariness::Wariness,
    },
    http::problem::{Problem, ProblemKind},
    manage::{FindingReport, StreamAtRevision},
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_graph)).routes(routes!(explain_node)).routes(routes!(lint_stream))
}

/// The maximum number of releases of other scopes that a problem names.
const MAX_LOCATED: usize = 8;

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
    /// The wariness of a node, its position in rollouts: 0 (first) to 1 (last). Default, without `node`: 0.5.
    #[param(minimum = 0, maximum = 1)]
    wariness: Option<f64>,
    /// The group that the node reports. Default: none.
    group: Option<String>,
    /// The platform that the node reports. Default: none.
    platform: Option<String>,
    /// The time, RFC 3339 in whole seconds. Default: now.
    #[param(format = DateTime)]
    at: Option<String>,
}

impl NodeQuery {
    fn scope(&self) -> Result<(Arch, Scheme), Problem> {
        let scheme = self.scheme.as_ref().map_or_else(|| Ok(Scheme::checksum()), |scheme| Scheme::parse(scheme));
        let arch = Arch::parse(&self.arch).map_err(|error| field("arch", error))?;
        Ok((arch, scheme.map_err(|error| field("scheme", error))?))
    }

    fn node_context(&self, is_stopped: bool) -> Result<NodeContext<'_>, Problem> {
        let wariness = match (&self.node, self.wariness) {
            (Some(_), Some(_)) => return Err(field("wariness", "cannot be combined with `node`")),
            (Some(node), None) => Wariness::from_node_id(node),
            (None, Some(wariness)) if (0.0..=1.0).contains(&wariness) => Wariness::new(wariness),
            (None, Some(wariness)) => {
                return Err(field("wariness", format!("must be between 0 and 1, is {wariness}")));
            }
            (None, None) => Wariness::new(0.5),
        };
        Ok(NodeContext { group: self.group.as_deref(), platform: self.platform.as_deref(), wariness, is_stopped })
    }

    fn at(&self, api: &Api) -> Result<Epoch, Problem> {
        let Some(text) = &self.at else { return api.now() };
        Epoch::parse(text).ok_or_else(|| field("at", "must be a time in whole seconds such as 2026-07-22T14:00:00Z"))
    }
}

/// Returns the emergency stop that is in force at a time: the stream's, as of the revision, or its product's.
async fn stop_at(api: &Api, snapshot: &StreamAtRevision, at: Epoch) -> Result<Option<EmergencyStop>, Problem> {
    // A present stop counts even if the clock of the process that set it is ahead.
    let (is_past, product) = (at < api.now()?, &snapshot.stream.id.product);
    let manage = api.manage()?;
    let of_product =
        if is_past { manage.product_stop_at(product, at).await? } else { manage.product_stop(product).await? };
    let of_stream = snapshot.stream.stop.iter().filter(|stop| !is_past || stop.since <= at);
    Ok(of_stream.chain(&of_product).min_by_key(|stop| stop.since).cloned())
}

fn graph(
    snapshot: &StreamAtRevision,
    (arch, scheme): (&Arch, &Scheme),
    stop: Option<&EmergencyStop>,
) -> Result<Graph, Problem> {
    let stream = &snapshot.stream;
    if !stream.known_arches().contains(arch) {
        return Err(ProblemKind::NotFound.because(format!("{} does not serve {arch}", stream.id)));
    }
    let graph = Graph::new(stream, arch, scheme);
    Ok(if stop.is_some() { graph.closed() } else { graph })
}

/// Get the update graph of an arch and scheme, for a node and a time
///
/// The graph is that of the newest revision, or of the revision in the query.
#[utoipa::path(get, path = "/graph", tag = "answers", params(StreamPath, NodeQuery, RevisionQuery),
    responses((status = 200, description = "The graph", body = GraphModel)))]
async fn get_graph(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<NodeQuery>,
    revision: LazyQuery<RevisionQuery>,
) -> Answer {
    let id = path.id()?;
    may_read(&read.caller, &id)?;
    let (query, revision) = (query.parse()?, revision.parse()?.revision);
    let snapshot = api.stream_at(&read.caller, &id, revision).await?;
    let ((arch, scheme), at) = (query.scope()?, query.at(&api)?);
    let stop = stop_at(&api, &snapshot, at).await?;
    let node_context = query.node_context(stop.is_some())?;
    let response = api.manage()?.compute(|| {
        let graph = graph(&snapshot, (&arch, &scheme), stop.as_ref())?;
        read.with_tag(&GraphModel::new(snapshot.revision, &graph, &node_context, (at, stop.as_ref())))
    });
    response.await
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
    /// Finds the node that the query names. Returns `None` if it names a payload that the graph does not have.
    fn find(&self, graph: &Graph) -> Result<Option<NodeIndex>, Problem> {
        match (&self.release, &self.payload) {
            (Some(release), None) => {
                let position = graph.nodes().iter().position(|node| node.version.as_str() == release);
                let none = || ProblemKind::NotFound.because(format!("there is no release {release} in this graph"));
                position.map(|position| Some(NodeIndex(position))).ok_or_else(none)
            }
            (None, Some(payload)) => Ok(graph.recognise(payload).map(|found| found.node)),
            _ => Err(field("release", "either `release` or `payload` is required")),
        }
    }
}

/// Returns the problem that no release of a graph has a payload. It names the releases of other scopes that have it, if the caller may read
/// their streams.
async fn unknown_payload(
    api: &Api,
    read: &ReadRequest,
    id: &StreamId,
    (arch, scheme): (&Arch, &Scheme),
    payload: &str,
) -> Result<Problem, Problem> {
    let requested = ScopeNames {
        product: id.product.as_str(),
        stream: id.stream.as_str(),
        arch: arch.as_str(),
        scheme: scheme.as_str(),
    };
    let located = api.manage()?.locate(payload, |id| may_read(&read.caller, id).is_ok()).await?;
    let located = located.iter().take(MAX_LOCATED);
    let releases: Vec<String> =
        located.map(|located| describe_release(located.version.as_str(), located.scope(), requested)).collect();
    let known = if releases.is_empty() { String::new() } else { format!("; this is {}", releases.join(", ")) };
    Ok(ProblemKind::NotFound.because(format!("there is no release with the payload {payload} in this graph{known}")))
}

/// Explain the future updates of a node
///
/// The answer lists each update that the node will take to the newest release, when the update is first offered, and what holds
/// the node back until then. It assumes that the stream does not change.
#[utoipa::path(get, path = "/explain", tag = "answers", params(StreamPath, NodeQuery, RunningQuery, RevisionQuery),
    responses((status = 200, description = "The future updates of the node", body = ExplainModel)))]
async fn explain_node(
    State(api): State<Api>,
    PathParams(path): PathParams<StreamPath>,
    read: ReadRequest,
    query: LazyQuery<NodeQuery>,
    running: LazyQuery<RunningQuery>,
    revision: LazyQuery<RevisionQuery>,
) -> Answer {
    let id = path.id()?;
    may_read(&read.caller, &id)?;
    let (query, revision) = (query.parse()?, revision.parse()?.revision);
    let snapshot = api.stream_at(&read.caller, &id, revision).await?;
    let ((arch, scheme), at) = (query.scope()?, query.at(&api)?);
    let running = running.parse()?;
    let stop = stop_at(&api, &snapshot, at).await?;
    let node_context = query.node_context(stop.is_some())?;
    let explained = api.manage()?.compute(|| {
        let graph = graph(&snapshot, (&arch, &scheme), stop.as_ref())?;
        let Some(from) = running.find(&graph)? else { return Ok(None) };
        read.with_tag(&ExplainModel::new(snapshot.revision, &graph, from, &node_context, (at, stop.as_ref()))).map(Some)
    });
    if let Some(explained) = explained.await? {
        return Ok(explained);
    }
    let payload = running.payload.as_deref().unwrap_or_default();
    Err(unknown_payload(&api, &read, &id, (&arch, &scheme), payload).await?)
}

/// List the lint findings of a stream
///
/// Errors are states that can harm nodes; warnings are unusual states.
#[utoipa::path(get, path = "/lint", tag = "answers", params(StreamPath),
    responses((status = 200, description = "All findings, in the order of the releases", body = Page<FindingReport>)))]
async fn lint_stream(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, read: ReadRequest) -> Answer {
    let snapshot = api.stream(&read.caller, &path.id()?).await?;
    let now = api.now()?;
    let findings = api.manage()?.compute(|| lint(&snapshot.stream, now)).await;
    let items = findings.iter().map(FindingReport::from).collect::<Vec<_>>();
    read.with_tag(&Page { items, next: None })
}
