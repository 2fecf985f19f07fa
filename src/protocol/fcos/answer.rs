//! The decision on one poll: which stream, which scope, which node, which bytes.

use super::{
    ARCHES,
    node_view::node_view,
    query::{Query, View},
    refusal::Refusal,
    render::GraphJson,
};
use crate::{
    catalog::{Catalog, Rendered, Scope},
    domain::{epoch::Epoch, product::ProductName, standing::Asker},
};
use bytes::Bytes;
use std::sync::Arc;

/// A graph of nothing.
const EMPTY: Bytes = Bytes::from_static(br#"{"edges":[],"nodes":[]}"#);

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The product whose streams the root paths serve.
    pub default_product: ProductName,
    /// What a node gets that runs something unknown.
    pub unknown_payload: UnknownPayload,
    /// Which graph a node gets that says what it runs, and not which it wants.
    pub view: View,
    /// Offer the placeholders of sample documents.
    pub offer_synthetic: bool,
}

/// What a node gets that runs something unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownPayload {
    /// The whole graph, in which it will not find itself.
    Whole,
    /// A graph of nothing.
    Empty,
}

/// The answer to a poll.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The whole graph: many nodes share it.
    Whole(Arc<Rendered>),
    /// The node's own view.
    NodeView(Bytes),
    /// The scope has no releases.
    Empty,
    /// The node runs something unknown: the whole graph.
    Unknown(Arc<Rendered>),
    /// The node runs something unknown, and gets nothing.
    UnknownEmpty,
}

impl Answer {
    /// The bytes of the answer.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match self {
            Self::Whole(rendered) | Self::Unknown(rendered) => rendered.body.clone(),
            Self::NodeView(body) => body.clone(),
            Self::Empty | Self::UnknownEmpty => EMPTY,
        }
    }

    /// What kind of answer it is, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Whole(_) => "whole",
            Self::NodeView(_) => "node_view",
            Self::Empty => "empty",
            Self::Unknown(_) | Self::UnknownEmpty => "unknown_payload",
        }
    }
}

/// Answers a poll of a product's stream at `now`.
///
/// # Errors
/// There is no such product, stream or arch, or the stream is a sample that must not be offered.
pub fn answer(
    catalog: &Catalog,
    settings: &Settings,
    product: &str,
    query: &Query<'_>,
    now: Epoch,
) -> Result<Answer, Refusal> {
    let scope = polled_scope(catalog, settings, product, query)?;
    Ok(scope.map_or(Answer::Empty, |scope| answer_in(scope, settings, query, &query.asker(), now).answer))
}

/// The scope that a poll is for; none if the stream is made for its arch, but has no release there.
pub(super) fn polled_scope<'a>(
    catalog: &'a Catalog,
    settings: &Settings,
    product: &str,
    query: &Query<'_>,
) -> Result<Option<&'a Scope>, Refusal> {
    let stream = catalog
        .stream(product, &query.stream)
        .ok_or_else(|| Refusal::UnknownStream(query.stream.clone().into_owned()))?;
    if stream.is_synthetic() && !settings.offer_synthetic {
        return Err(Refusal::Synthetic);
    }
    let scope = stream.scope(&query.basearch, query.scheme());
    if scope.is_none() && !stream.knows_arch(&query.basearch) && !ARCHES.contains(&&*query.basearch) {
        return Err(Refusal::UnknownArch(query.basearch.clone().into_owned()));
    }
    Ok(scope)
}

/// An answer, and whether a rollout that goes on held a release back in it.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) held_back: bool,
}

/// Answers a poll in its scope at `now`.
pub(super) fn answer_in(
    scope: &Scope,
    settings: &Settings,
    query: &Query<'_>,
    asker: &Asker<'_>,
    now: Epoch,
) -> Answered {
    let graph = scope.graph();
    let whole = |answer: fn(Arc<Rendered>) -> Answer| {
        let standing = graph.standing(asker, now);
        Answered { answer: answer(scope.whole(&standing, &GraphJson)), held_back: graph.keeps_any_waiting(&standing) }
    };
    let (Some(payload), View::Node) = (&query.os_checksum, query.view.unwrap_or(settings.view)) else {
        return whole(Answer::Whole);
    };
    match (graph.recognise(payload), settings.unknown_payload) {
        (Some(own), _) => {
            let (view, held_back) = node_view(scope, &own, payload, asker, now);
            Answered { answer: Answer::NodeView(view), held_back }
        }
        (None, UnknownPayload::Whole) => whole(Answer::Unknown),
        (None, UnknownPayload::Empty) => Answered { answer: Answer::UnknownEmpty, held_back: false },
    }
}
