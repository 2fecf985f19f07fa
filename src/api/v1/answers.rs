//! What a stream means for nodes: its graph, one node's way, and what is dangerous about it.

use super::documents::RevisionQuery;
use crate::{
    api::{
        ask::{Asked, Read},
        model::{ExplainModel, GraphModel},
        page::Page,
        paths::{At, StreamPath},
        refuse::field,
        respond::Answer,
        state::Api,
    },
    domain::{
        arch::Arch,
        epoch::Epoch,
        finding::Finding,
        graph::{Graph, NodeIndex},
        lint::lint,
        payload::Scheme,
        standing::Asker,
        wariness::Wariness,
    },
    http::problem::{Problem, ProblemKind},
    manage::Snapshot,
};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_graph)).routes(routes!(explain_node)).routes(routes!(lint_stream))
}

/// Who looks, at what, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NodeQuery {
    /// The architecture, by the kernel's name.
    #[param(example = "x86_64")]
    arch: String,
    /// The scheme: `checksum`, `oci`; `checksum` if absent.
    scheme: Option<String>,
    /// The node's id, from which its wariness follows; it is kept nowhere. One of `node` and `wariness` at most.
    node: Option<String>,
    /// The wariness, 0 (eager) to 1 (last); 0.5 if neither it nor `node` is given.
    #[param(minimum = 0, maximum = 1)]
    wariness: Option<f64>,
    /// The group that the node says it is in.
    group: Option<String>,
    /// The platform that it says it runs on.
    platform: Option<String>,
    /// The time, RFC 3339 in whole seconds; now if absent.
    #[param(format = DateTime)]
    at: Option<String>,
}

impl NodeQuery {
    fn scope(&self) -> Result<(Arch, Scheme), Problem> {
        let scheme = self.scheme.as_ref().map_or_else(|| Ok(Scheme::checksum()), |scheme| Scheme::parse(scheme));
        let arch = Arch::parse(&self.arch).map_err(|error| field("arch", error))?;
        Ok((arch, scheme.map_err(|error| field("scheme", error))?))
    }

    fn asker(&self) -> Result<Asker<'_>, Problem> {
        let wariness = match (&self.node, self.wariness) {
            (Some(_), Some(_)) => return Err(field("wariness", "is given beside node: one of them says it")),
            (Some(node), None) => Wariness::of_node(node),
            (None, Some(wariness)) if (0.0..=1.0).contains(&wariness) => Wariness::given(wariness),
            (None, Some(wariness)) => return Err(field("wariness", format!("is {wariness}; it lies between 0 and 1"))),
            (None, None) => Wariness::given(0.5),
        };
        Ok(Asker { group: self.group.as_deref(), platform: self.platform.as_deref(), wariness })
    }

    fn at(&self, api: &Api) -> Result<Epoch, Problem> {
        let Some(text) = &self.at else { return api.now() };
        Epoch::parse(text).ok_or_else(|| field("at", "is no time in whole seconds such as 2026-07-22T14:00:00Z"))
    }
}

fn graph(snapshot: &Snapshot, (arch, scheme): (&Arch, &Scheme)) -> Result<Graph, Problem> {
    let stream = &snapshot.stream;
    if !stream.known_arches().contains(arch) {
        return Err(ProblemKind::NotFound.because(format!("{} does not serve {arch}", stream.id)));
    }
    Ok(Graph::of(stream, arch, scheme))
}

/// Shows the graph of an arch and scheme, as it is or was at a revision, now or at any time, at any wariness
#[utoipa::path(get, path = "/graph", tag = "answers", params(StreamPath, NodeQuery, RevisionQuery),
    responses((status = 200, description = "the graph", body = GraphModel)))]
async fn show_graph(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(query): Asked<NodeQuery>,
    Asked(revision): Asked<RevisionQuery>,
) -> Answer {
    let snapshot = api.stream_at(&read.who, &path.id()?, revision.revision).await?;
    let ((arch, scheme), asker, at) = (query.scope()?, query.asker()?, query.at(&api)?);
    let graph = graph(&snapshot, (&arch, &scheme))?;
    read.tell(&GraphModel::of(snapshot.revision, &graph, &asker, at))
}

/// Which release a node runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PlaceQuery {
    /// The release that the node runs, by its version. One of `release` and `payload` is needed.
    release: Option<String>,
    /// What it runs: the commit or the pull spec by digest, an alias, or either's digest in a mirror.
    payload: Option<String>,
}

impl PlaceQuery {
    fn place(&self, graph: &Graph) -> Result<NodeIndex, Problem> {
        let none = |what: &str, name: &str| ProblemKind::NotFound.because(format!("no {what} {name} is in this graph"));
        match (&self.release, &self.payload) {
            (Some(release), None) => {
                let place = graph.nodes().iter().position(|node| node.version.as_str() == release);
                place.map(NodeIndex).ok_or_else(|| none("release", release))
            }
            (None, Some(payload)) => graph
                .recognise(payload)
                .map(|found| found.node)
                .ok_or_else(|| none("release with the payload", payload)),
            _ => Err(field("release", "is needed, or payload: just one of them")),
        }
    }
}

/// Tells the way of one node: every update that it will take to the newest release, the second at which each opens for it, and
/// what holds it back until then
#[utoipa::path(get, path = "/explain", tag = "answers", params(StreamPath, NodeQuery, PlaceQuery, RevisionQuery),
    responses((status = 200, description = "its way, if nobody changes anything", body = ExplainModel)))]
async fn explain_node(
    State(api): State<Api>,
    At(path): At<StreamPath>,
    read: Read,
    Asked(query): Asked<NodeQuery>,
    Asked(place): Asked<PlaceQuery>,
    Asked(revision): Asked<RevisionQuery>,
) -> Answer {
    let snapshot = api.stream_at(&read.who, &path.id()?, revision.revision).await?;
    let ((arch, scheme), asker, at) = (query.scope()?, query.asker()?, query.at(&api)?);
    let graph = graph(&snapshot, (&arch, &scheme))?;
    let from = place.place(&graph)?;
    read.tell(&ExplainModel::of(snapshot.revision, &graph, from, &asker, at))
}

/// Lists what is dangerous or odd about a stream as it is
#[utoipa::path(get, path = "/lint", tag = "answers", params(StreamPath),
    responses((status = 200, description = "all of it, in the order of the releases", body = Page<Finding>)))]
async fn lint_stream(State(api): State<Api>, At(path): At<StreamPath>, read: Read) -> Answer {
    let snapshot = api.stream(&read.who, &path.id()?).await?;
    read.tell(&Page { items: lint(&snapshot.stream, api.now()?), next: None })
}
