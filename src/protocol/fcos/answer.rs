//! The decision on one poll: which stream, which scope, which node, which bytes.

use super::{
    ARCHES,
    query::Query,
    refusal::Refusal,
    render::{self, GraphJson},
};
use crate::{
    catalog::{Catalog, Rendered},
    domain::{epoch::Epoch, product::ProductName},
};
use bytes::Bytes;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The product whose streams the root paths serve.
    pub default_product: ProductName,
    /// What a node gets that runs something unknown.
    pub unknown_payload: UnknownPayload,
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
    Whole(Rendered),
    /// The node's own view.
    NodeView(Bytes),
    /// The scope has no releases.
    Empty(Bytes),
    /// The node runs something unknown: the whole graph, or nothing.
    Unknown(Rendered),
}

impl Answer {
    /// The bytes of the answer.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        match self {
            Self::Whole(rendered) | Self::Unknown(rendered) => &rendered.body,
            Self::NodeView(body) | Self::Empty(body) => body,
        }
    }

    /// What kind of answer it is, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Whole(_) => "whole",
            Self::NodeView(_) => "node_view",
            Self::Empty(_) => "empty",
            Self::Unknown(_) => "unknown_payload",
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
        return if known {
            Ok(Answer::Empty(render::empty()))
        } else {
            Err(Refusal::UnknownArch(query.basearch.clone().into_owned()))
        };
    };
    let standing = scope.graph().standing(&query.asker(), now);
    let Some(payload) = &query.os_checksum else {
        return Ok(Answer::Whole(scope.whole(&standing, &GraphJson)));
    };
    match (scope.graph().recognise(payload), settings.unknown_payload) {
        (Some(own), _) => Ok(Answer::NodeView(render::node_view(scope.graph(), &standing, &own, payload))),
        (None, UnknownPayload::Whole) => Ok(Answer::Unknown(scope.whole(&standing, &GraphJson))),
        (None, UnknownPayload::Empty) => Ok(Answer::Unknown(Rendered::new(render::empty()))),
    }
}
