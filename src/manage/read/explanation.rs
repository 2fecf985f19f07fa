//! What a stream means for nodes: its update graph, and the future updates of one node.

use super::{
    access::ReadError,
    hold_reason::HoldReason,
    streams::{StreamAtRevision, StreamReader},
};
use crate::{
    auth::Role,
    domain::{
        admission::emergency_stop::EmergencyStop,
        base::{BaseRelease, barrier_after, release_to_rebase_to},
        epoch::Epoch,
        graph::{
            Graph, Node, NodeIndex,
            route::{End, Hop, Route, Wait},
            visibility::NodeContext,
        },
        ids::{Arch, StreamId, Version},
        located::{ScopeNames, describe_release},
        payload::Scheme,
        reason::Reason,
        release::PayloadKey,
        rollout::{share::OpenShare, wariness::Wariness},
        stream::{Revision, Stream},
    },
};

/// The maximum number of releases of other scopes that an error names.
const MAX_LOCATED: usize = 8;

/// The scope, the node and the time of a question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The revision of the stream; the newest if absent.
    pub revision: Option<Revision>,
    /// The architecture.
    pub arch: &'a Arch,
    /// The payload scheme.
    pub scheme: &'a Scheme,
    /// The group that the node reports.
    pub group: Option<&'a str>,
    /// The platform that the node reports.
    pub platform: Option<&'a str>,
    /// The node's position in rollouts.
    pub position: Position<'a>,
    /// The time; now if absent.
    pub at: Option<Epoch>,
}

/// The position of a node in rollouts.
#[derive(Debug, Clone, Copy)]
pub enum Position<'a> {
    /// That of a node with this id, as the protocol of its product computes it. The id is not stored.
    Node(&'a str),
    /// A given wariness.
    Given(Wariness),
}

/// What a node runs.
#[derive(Debug, Clone, Copy)]
pub enum Running<'a> {
    /// A release, by its version.
    Release(&'a str),
    /// A payload, an alias, or the same digest in a mirror of the stream.
    Payload(&'a str),
}

/// The update graph of a scope, as a node sees it at a time.
#[derive(Debug, Clone)]
pub struct GraphView {
    /// The revision of the stream.
    pub revision: Revision,
    /// The time.
    pub at: Epoch,
    /// The emergency stop in force at that time. During a stop there are no updates.
    pub stop: Option<EmergencyStop>,
    /// The node's position in rollouts.
    pub wariness: Wariness,
    /// The graph.
    pub graph: Graph,
    /// How each release of the graph is offered to the node.
    pub offers: Vec<TargetOffer>,
}

/// How a release is offered to a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetOffer {
    /// True if the node may see the release as a target.
    pub is_open: bool,
    /// The share of the rollout that applies to the node: 0 during an emergency stop, absent if no rollout applies or it is closed.
    pub share: Option<f64>,
}

/// The future updates of one node, if the stream does not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The revision of the stream.
    pub revision: Revision,
    /// The time at which the explanation begins.
    pub at: Epoch,
    /// The architecture.
    pub arch: Arch,
    /// The payload scheme.
    pub scheme: Scheme,
    /// The emergency stop in force at that time. During a stop there are no updates.
    pub stop: Option<EmergencyStop>,
    /// The node's position in rollouts.
    pub wariness: Wariness,
    /// The release that the node runs at the beginning.
    pub release: Version,
    /// The updates that the node will take, in order.
    pub updates: Vec<Update>,
    /// Why there are no further updates.
    pub end: ExplanationEnd,
}

/// An update that a node will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The release that it leads to.
    pub to: Version,
    /// The first second at which it is offered to the node.
    pub at: Epoch,
    /// The releases that were held back from the node until then, newest first. A release that newer ones keep out of a trimmed graph is not
    /// among them.
    pub held_back: Vec<HeldBack>,
}

/// A release that is held back from a node.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldBack {
    /// The release.
    pub release: Version,
    /// The first second at which it is open for the node; absent if it will never open.
    pub opens: Option<Epoch>,
    /// Why it is held back.
    pub reason: HoldReason,
}

/// Why a node has no further updates.
#[derive(Debug, Clone, PartialEq)]
pub enum ExplanationEnd {
    /// It is on the newest release.
    Newest,
    /// It is on a dead end.
    DeadEnd(Reason),
    /// No update leads to the newer releases.
    NoUpdate {
        /// The barrier of the base that is between them and the node, and on which no image is built.
        base_barrier: Option<Version>,
    },
    /// The possible targets will never open for the node.
    Closed(Vec<HeldBack>),
    /// An emergency stop is in force.
    Stopped,
}

impl StreamReader<'_> {
    /// Returns the update graph of a scope, as a node sees it at a time.
    ///
    /// # Errors
    /// The stream or revision does not exist, the stream does not serve the arch, or the database failed.
    pub async fn graph(&self, question: &Question<'_>) -> Result<GraphView, ReadError> {
        let asked = self.ask(question).await?;
        self.manage.compute(|| asked.view(question)).await
    }

    /// Explains the future updates of a node.
    ///
    /// # Errors
    /// The stream, the revision or what the node runs does not exist, the stream does not serve the arch, or the database failed.
    pub async fn explain(&self, question: &Question<'_>, running: Running<'_>) -> Result<Explanation, ReadError> {
        let asked = self.ask(question).await?;
        let explained = self.manage.compute(|| asked.explain(question, running)).await?;
        match (explained, running) {
            (Some(explanation), _) => Ok(explanation),
            (None, Running::Release(release)) => {
                Err(ReadError::NotFound(format!("there is no release {release} in this graph")))
            }
            (None, Running::Payload(payload)) => Err(self.unknown_payload(question, payload).await?),
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Moment, ReadError> {
        let StreamAtRevision { revision, stream } = self.at(question.revision).await?;
        let now = self.manage.now();
        let at = question.at.unwrap_or(now);
        let stop = self.stop_at(&stream, at, now).await?;
        let wariness = self.wariness(question.position).await?;
        Ok(Moment { revision, stream, at, stop, wariness })
    }

    async fn wariness(&self, position: Position<'_>) -> Result<Wariness, ReadError> {
        let node = match position {
            Position::Given(wariness) => return Ok(wariness),
            Position::Node(node) => node,
        };
        let dialect = self.dialect().await?.ok_or_else(|| {
            ReadError::NotFound(format!("this service does not speak the protocol of {}", self.id.product))
        })?;
        Ok(dialect.wariness(node))
    }

    /// Returns the emergency stop that is in force at a time: the stream's, as of the revision, or its product's.
    async fn stop_at(&self, stream: &Stream, at: Epoch, now: Epoch) -> Result<Option<EmergencyStop>, ReadError> {
        // A present stop counts even if the clock of the process that set it is ahead.
        let (is_past, product) = (at < now, &stream.id.product);
        let mut transaction = self.manage.reading("stop_at").await?;
        let of_product = if is_past {
            transaction.product_stop_at(product, at).await?
        } else {
            transaction.product_stop(product).await?
        };
        let of_stream = stream.stop.iter().filter(|stop| !is_past || stop.since <= at);
        Ok(of_stream.chain(&of_product).min_by_key(|stop| stop.since).cloned())
    }

    /// Returns the error that no release of a graph has a payload. It names the releases of other scopes that have it, if the caller
    /// may read their streams.
    async fn unknown_payload(&self, question: &Question<'_>, payload: &str) -> Result<ReadError, ReadError> {
        let requested = ScopeNames {
            product: self.id.product.as_str(),
            stream: self.id.stream.as_str(),
            arch: question.arch.as_str(),
            scheme: question.scheme.as_str(),
        };
        let located = self.manage.reading("locate").await?.locate_payload(payload).await?;
        let located: Vec<_> = located.iter().filter(|located| self.caller.may(Role::Viewer, &located.stream)).collect();
        let releases: Vec<String> = located
            .iter()
            .take(MAX_LOCATED)
            .map(|located| describe_release(located.version.as_str(), located.scope(), requested))
            .collect();
        let known = if releases.is_empty() { String::new() } else { format!("; this is {}", releases.join(", ")) };
        let rebase = self.rebase(question, located.iter().map(|located| (&located.stream, &located.version))).await?;
        let message = format!("there is no release with the payload {payload} in this graph{known}{rebase}");
        Ok(ReadError::NotFound(message))
    }
}

impl StreamReader<'_> {
    /// Returns which release a node that runs an image of the base is rebased to, in words, or an empty text.
    async fn rebase<'a>(
        &self,
        question: &Question<'_>,
        mut located: impl Iterator<Item = (&'a StreamId, &'a Version)>,
    ) -> Result<String, ReadError> {
        let stream = self.present().await?.stream;
        let Some(base) = self.base_of(&stream).await? else { return Ok(String::new()) };
        let found = located.find(|(id, _)| **id == base.id).and_then(|(_, version)| BaseRelease::find(&base, version));
        let target = found.and_then(|from| release_to_rebase_to(&stream, question.arch, &from));
        Ok(target.map_or_else(String::new, |target| {
            let key = PayloadKey { arch: question.arch.clone(), scheme: question.scheme.clone() };
            let image = target.payloads.get(&key).map(|payload| format!(", {}", payload.id)).unwrap_or_default();
            format!("; it is the base of this stream: rebase the node to {}{image}", target.version)
        }))
    }
}

/// What a question is about: the stream at its revision, the time, the stop that is in force then, and the node's position.
struct Moment {
    revision: Revision,
    stream: std::sync::Arc<Stream>,
    at: Epoch,
    stop: Option<EmergencyStop>,
    wariness: Wariness,
}

impl Moment {
    fn graph(&self, question: &Question<'_>) -> Result<Graph, ReadError> {
        let (stream, arch) = (&self.stream, question.arch);
        if !stream.known_arches().contains(arch) {
            return Err(ReadError::NotFound(format!("{} does not serve {arch}", stream.id)));
        }
        let graph = Graph::new(stream, arch, question.scheme);
        Ok(if self.stop.is_some() { graph.closed() } else { graph })
    }

    fn node_context<'a>(&self, question: &Question<'a>) -> NodeContext<'a> {
        NodeContext {
            group: question.group,
            platform: question.platform,
            wariness: self.wariness,
            is_stopped: self.stop.is_some(),
        }
    }

    fn view(&self, question: &Question<'_>) -> Result<GraphView, ReadError> {
        let (graph, node_context) = (self.graph(question)?, self.node_context(question));
        let offers = graph.nodes().iter().map(|node| self.offer(&graph, node, &node_context)).collect();
        let (revision, at) = (self.revision, self.at);
        Ok(GraphView { revision, at, stop: self.stop.clone(), wariness: self.wariness, graph, offers })
    }

    fn offer(&self, graph: &Graph, node: &Node, node_context: &NodeContext<'_>) -> TargetOffer {
        let visibility = graph.target_visibility(node, node_context, self.at);
        let rollout = visibility.rollout.and_then(|index| node.rollouts().get(index));
        let share = rollout.and_then(|rollout| match rollout.open_share(self.at) {
            OpenShare::Open(_) if self.stop.is_some() => Some(0.0),
            OpenShare::Open(share) => Some(share),
            OpenShare::Closed => None,
        });
        TargetOffer { is_open: !visibility.held_back, share }
    }

    /// Explains the updates of a node. Returns `None` if the graph does not have what the node runs.
    fn explain(&self, question: &Question<'_>, running: Running<'_>) -> Result<Option<Explanation>, ReadError> {
        let (graph, node_context) = (self.graph(question)?, self.node_context(question));
        let from = match running {
            Running::Release(release) => {
                graph.nodes().iter().position(|node| node.version.as_str() == release).map(NodeIndex)
            }
            Running::Payload(payload) => graph.recognise(payload).map(|found| found.node),
        };
        let Some((from, node)) = from.and_then(|from| Some((from, graph.node(from)?))) else { return Ok(None) };
        let release = node.version.clone();
        let Route { hops, end } = graph.route(from, &node_context, self.at);
        let explainer = Explainer { graph: &graph, node_context: &node_context };
        let mut now = self.at;
        let mut updates = Vec::with_capacity(hops.len());
        for hop in &hops {
            updates.extend(explainer.update(hop, now));
            now = hop.at;
        }
        let end = match end {
            End::Newest => ExplanationEnd::Newest,
            End::DeadEnd(reason) => ExplanationEnd::DeadEnd(reason),
            End::NoTarget if self.stop.is_some() => ExplanationEnd::Stopped,
            End::NoTarget => ExplanationEnd::NoUpdate {
                base_barrier: graph
                    .node(hops.last().map_or(from, |hop| hop.to))
                    .and_then(|node| barrier_after(&self.stream, question.arch, node.age))
                    .cloned(),
            },
            End::Closed(waits) => ExplanationEnd::Closed(explainer.held_back(&waits, now)),
        };
        let (arch, scheme, stop) = (graph.arch.clone(), graph.scheme.clone(), self.stop.clone());
        let (revision, at, wariness) = (self.revision, self.at, self.wariness);
        Ok(Some(Explanation { revision, at, arch, scheme, stop, wariness, release, updates, end }))
    }
}

struct Explainer<'a> {
    graph: &'a Graph,
    node_context: &'a NodeContext<'a>,
}

impl Explainer<'_> {
    fn update(&self, hop: &Hop, now: Epoch) -> Option<Update> {
        let to = self.graph.node(hop.to)?.version.clone();
        Some(Update { to, at: hop.at, held_back: self.held_back(&hop.waiting, now) })
    }

    fn held_back(&self, waits: &[Wait], now: Epoch) -> Vec<HeldBack> {
        let held_back = |wait: &Wait| {
            let node = self.graph.node(wait.target)?;
            let visibility = self.graph.target_visibility(node, self.node_context, now);
            let rollout = visibility.rollout.and_then(|index| node.rollouts().get(index));
            let reason = rollout
                .map_or(HoldReason::NoRollout, |rollout| HoldReason::new(rollout, self.node_context.wariness, now));
            Some(HeldBack { release: node.version.clone(), opens: wait.opens, reason })
        };
        waits.iter().filter_map(held_back).collect()
    }
}
