//! Decides the answer to a poll: stream, scope, and full graph or node view.

use super::{
    ARCHES, NAME,
    node_view::node_view,
    prepared::{FcosPrepared, PreparedStream},
    query::{Query, View},
    refusal::Refusal,
};
use crate::{
    catalog::{Catalog, Rendered, Scope},
    domain::{
        epoch::Epoch,
        graph::visibility::{NodeContext, Visibility},
        ids::ProductName,
    },
    telemetry::PollLabels,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A graph without releases.
const EMPTY: Bytes = Bytes::from_static(br#"{"edges":[],"nodes":[]}"#);

/// The labels of answers in metrics.
pub(super) const LABELS: PollLabels = PollLabels {
    protocol: NAME,
    answers: &[
        ("node_view", None),
        ("full_graph", None),
        ("unknown_payload", Some("unknown")),
        ("unknown_payload", Some("known_elsewhere")),
        ("empty", None),
    ],
};

/// The settings of this protocol.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The product that is served at the root paths.
    pub default_product: ProductName,
    /// The answer to a node with an unknown payload.
    pub unknown_payload: UnknownPayload,
    /// The view for a node that reports its payload and requests no view.
    pub view: View,
    /// True if placeholder (synthetic) payloads are offered.
    pub offer_synthetic: bool,
}

/// The answer to a node with an unknown payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPayload {
    /// The full graph, which does not contain its payload.
    Full,
    /// A graph without releases.
    Empty,
}

/// The answer to a poll.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The full graph, which many nodes share.
    FullGraph(Arc<Rendered>),
    /// The node's own view.
    NodeView(Bytes),
    /// The scope has no releases.
    Empty,
    /// The payload of the node is unknown: the full graph.
    Unknown(Arc<Rendered>),
    /// The payload of the node is unknown: a graph without releases.
    UnknownEmpty,
}

impl Answer {
    /// Returns the bytes of the answer.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match self {
            Self::FullGraph(rendered) | Self::Unknown(rendered) => rendered.body.clone(),
            Self::NodeView(body) => body.clone(),
            Self::Empty | Self::UnknownEmpty => EMPTY,
        }
    }

    /// Returns the index of its labels of metrics. `is_known_elsewhere` says that an unknown payload belongs to another scope.
    pub(super) fn label(&self, is_known_elsewhere: bool) -> usize {
        match self {
            Self::NodeView(_) => 0,
            Self::FullGraph(_) => 1,
            Self::Unknown(_) | Self::UnknownEmpty if !is_known_elsewhere => 2,
            Self::Unknown(_) | Self::UnknownEmpty => 3,
            Self::Empty => 4,
        }
    }
}

/// Answers a poll of a product's stream at `now`. A full graph that is not cached is rendered on the calling thread.
///
/// # Errors
/// The product, stream or arch is unknown, or the stream is a sample that must not be offered.
pub fn answer(
    catalog: &Catalog,
    settings: &Settings,
    product: &str,
    query: &Query<'_>,
    now: Epoch,
) -> Result<Answer, Refusal> {
    let (stream, scope) = polled_scope(catalog, settings, product, query)?;
    let node_context = query.node_context(stream.entry().is_stopped());
    let Some(scope) = scope else { return Ok(Answer::Empty) };
    Ok(match decide(scope, settings, query, &node_context, now).decision {
        Decision::FullGraph { visibility, answer } => answer(scope.full_graph(&node_context, &visibility)),
        Decision::NodeView(view) => Answer::NodeView(view),
        Decision::UnknownEmpty => Answer::UnknownEmpty,
    })
}

/// Finds the stream and scope of a poll. There is no scope if the stream has no release on the arch yet.
pub(super) fn polled_scope<'a>(
    catalog: &'a Catalog,
    settings: &Settings,
    product: &str,
    query: &Query<'_>,
) -> Result<(&'a Arc<PreparedStream>, Option<&'a Scope>), Refusal> {
    let prepared = catalog.prepared::<FcosPrepared>(product);
    if prepared.is_none() && *product != *settings.default_product.as_str() {
        return Err(Refusal::UnknownProduct(product.into()));
    }
    let stream = prepared
        .and_then(|prepared| prepared.stream(&query.stream))
        .ok_or_else(|| Refusal::UnknownStream(query.stream.clone().into_owned()))?;
    let entry = stream.entry();
    if entry.is_synthetic() && !settings.offer_synthetic {
        return Err(Refusal::Synthetic);
    }
    let scope = stream.scopes().get(&query.basearch, query.scheme());
    if scope.is_none() && !entry.knows_arch(&query.basearch) && !ARCHES.contains(&&*query.basearch) {
        return Err(Refusal::UnknownArch(query.basearch.clone().into_owned()));
    }
    Ok((stream, scope))
}

/// The decision on a poll.
pub(super) enum Decision {
    /// The full graph of a visibility, which may have to be rendered.
    FullGraph {
        visibility: Visibility,
        /// Wraps the rendered graph in the kind of answer.
        answer: fn(Arc<Rendered>) -> Answer,
    },
    /// The node's own view.
    NodeView(Bytes),
    /// A graph without releases: the payload of the node is unknown.
    UnknownEmpty,
}

/// The decision on a poll, and whether a live rollout holds a release back in it.
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) held_back: bool,
}

/// Decides on a poll of a scope at `now`.
pub(super) fn decide(
    scope: &Scope,
    settings: &Settings,
    query: &Query<'_>,
    node_context: &NodeContext<'_>,
    now: Epoch,
) -> Decided {
    let graph = scope.graph();
    let full_graph = |answer| {
        let visibility = graph.visibility(node_context, now);
        let held_back = graph.holds_back_any(&visibility);
        Decided { decision: Decision::FullGraph { visibility, answer }, held_back }
    };
    let (Some(payload), View::Node) = (&query.os_checksum, query.view.unwrap_or(settings.view)) else {
        return full_graph(Answer::FullGraph);
    };
    match (graph.recognise(payload), settings.unknown_payload) {
        (Some(own), _) => {
            let (view, held_back) = node_view(scope, &own, payload, node_context, now);
            Decided { decision: Decision::NodeView(view), held_back }
        }
        (None, UnknownPayload::Full) => full_graph(Answer::Unknown),
        (None, UnknownPayload::Empty) => Decided { decision: Decision::UnknownEmpty, held_back: false },
    }
}
