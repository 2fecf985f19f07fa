//! Answers as bytes.

use crate::domain::{
    graph::{Graph, Standing},
    hash::ContentHash,
};
use bytes::Bytes;
use jiff::Timestamp;

/// How a protocol writes graphs.
pub trait Render {
    /// The whole graph, as this standing sees it.
    fn whole(&self, graph: &Graph, standing: &Standing) -> Bytes;
}

/// Shared bytes and what names them.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The answer.
    pub body: Bytes,
    /// A hash of it, for entity tags.
    pub hash: ContentHash,
    /// When it became what it is, where that is known.
    pub changed_at: Timestamp,
}

impl Rendered {
    /// Names these bytes.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self::dated(body, Timestamp::UNIX_EPOCH)
    }

    /// Names these bytes, which are so since then.
    #[must_use]
    pub fn dated(body: Bytes, changed_at: Timestamp) -> Self {
        Self { hash: ContentHash::of(&body), body, changed_at }
    }
}
