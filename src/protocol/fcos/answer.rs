//! The decision on one poll: which stream, which scope, which node, which bytes.

use super::{
    ARCHES,
    node_view::node_view,
    query::{Query, View},
    refusal::Refusal,
    render::GraphJson,
};
use crate::{
    catalog::{Catalog, Rendered},
    domain::{epoch::Epoch, product::ProductName},
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
    let stream = catalog
        .stream(product, &query.stream)
        .ok_or_else(|| Refusal::UnknownStream(query.stream.clone().into_owned()))?;
    if stream.is_synthetic() && !settings.offer_synthetic {
        return Err(Refusal::Synthetic);
    }
    let Some(scope) = stream.scope(&query.basearch, query.scheme()) else {
        let known = stream.knows_arch(&query.basearch) || ARCHES.contains(&&*query.basearch);
        return if known { Ok(Answer::Empty) } else { Err(Refusal::UnknownArch(query.basearch.clone().into_owned())) };
    };
    let (graph, asker) = (scope.graph(), query.asker());
    let whole = || scope.whole(&graph.standing(&asker, now), &GraphJson);
    let (Some(payload), View::Node) = (&query.os_checksum, query.view.unwrap_or(settings.view)) else {
        return Ok(Answer::Whole(whole()));
    };
    Ok(match (graph.recognise(payload), settings.unknown_payload) {
        (Some(own), _) => Answer::NodeView(node_view(scope, &own, payload, &asker, now)),
        (None, UnknownPayload::Whole) => Answer::Unknown(whole()),
        (None, UnknownPayload::Empty) => Answer::UnknownEmpty,
    })
}
