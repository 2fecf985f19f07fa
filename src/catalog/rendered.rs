//! Answers as bytes.

use crate::domain::{
    graph::{Graph, Standing},
    hash::ContentHash,
};
use bytes::Bytes;

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
}

impl Rendered {
    /// Names these bytes.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self { hash: ContentHash::of(&body), body }
    }
}
