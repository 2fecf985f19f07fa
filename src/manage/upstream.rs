//! Upstream documents that are kept with a stream.

use crate::domain::hash::ContentHash;

/// An upstream document that the next state refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamDocument {
    /// The hash of its content.
    pub hash: ContentHash,
    /// The document.
    pub content: Vec<u8>,
}

impl UpstreamDocument {
    /// Hashes a document.
    #[must_use]
    pub fn new(content: Vec<u8>) -> Self {
        Self { hash: ContentHash::from_content(&content), content }
    }
}
