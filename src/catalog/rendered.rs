//! Prepared answers: bytes, entity tags and encodings.

use super::{
    body_file::BodyFile,
    encoding::{Coding, EncodingSlot},
};
use crate::domain::{
    graph::{Graph, Node, visibility::Visibility},
    hash::ContentHash,
};
use bytes::Bytes;
use std::sync::OnceLock;

/// A protocol's format of graphs.
pub trait Render: Send + Sync {
    /// Renders the full graph for a visibility.
    fn full_graph(&self, graph: &Graph, visibility: &Visibility) -> Bytes;

    /// Renders one release for nodes to which its rollout with this index applies, or to which no rollout applies.
    fn fragment(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> NodeFragment<Vec<u8>>;
}

/// One rendered release, in parts: a node that runs an alias gets that in place of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFragment<T> {
    /// The part before its payload.
    pub before: T,
    /// Its payload, rendered, and the part after that; `None` if the format writes them as it writes most.
    pub names: Option<(T, T)>,
}

/// The bytes of an answer, their entity tags, and the encodings that are ready. [`Preparer`](super::Preparer) makes the encodings;
/// requests only read them.
#[derive(Debug)]
pub struct Rendered {
    /// The bytes, unencoded.
    pub body: Bytes,
    tag: Bytes,
    gzip: (Bytes, EncodingSlot),
    zstd: (Bytes, EncodingSlot),
    file: OnceLock<Option<BodyFile>>,
}

impl Rendered {
    /// Creates an answer without encodings. They can be added later.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        Self::with_slots(body, EncodingSlot::empty)
    }

    /// Creates an answer that is never encoded, because it is for one response only.
    #[must_use]
    pub fn identity_only(body: Bytes) -> Self {
        Self::with_slots(body, EncodingSlot::unavailable)
    }

    fn with_slots(body: Bytes, slot: fn() -> EncodingSlot) -> Self {
        let hash = ContentHash::from_content(&body);
        let tag = |suffix: &str| Bytes::from(format!("\"{hash}{suffix}\""));
        Self { tag: tag(""), gzip: (tag("-gzip"), slot()), zstd: (tag("-zstd"), slot()), body, file: OnceLock::new() }
    }

    /// Returns the entity tag of the bytes in a coding, whether they are ready or not. `None` means the unencoded bytes. Each coding is a
    /// representation of its own.
    #[must_use]
    pub fn tag(&self, coding: Option<Coding>) -> &Bytes {
        coding.map_or(&self.tag, |coding| &self.parts(coding).0)
    }

    /// Returns the bytes in a coding, if they are ready.
    #[must_use]
    pub fn encoded(&self, coding: Coding) -> Option<Bytes> {
        self.slot(coding).get()
    }

    /// Returns true if the bytes in a coding are ready.
    #[must_use]
    pub fn is_ready(&self, coding: Coding) -> bool {
        self.slot(coding).is_ready()
    }

    /// Returns false if these bytes will never be sent in a coding.
    #[must_use]
    pub fn is_encodable(&self, coding: Coding) -> bool {
        !self.slot(coding).is_unavailable()
    }

    pub(super) fn slot(&self, coding: Coding) -> &EncodingSlot {
        &self.parts(coding).1
    }

    fn parts(&self, coding: Coding) -> &(Bytes, EncodingSlot) {
        match coding {
            Coding::Gzip => &self.gzip,
            Coding::Zstd => &self.zstd,
        }
    }

    /// Returns true while a response with these bytes is being sent.
    pub(super) fn is_being_sent(&self) -> bool {
        !self.body.is_unique() || Coding::ALL.into_iter().any(|coding| self.slot(coding).is_being_sent())
    }

    /// Copies the bytes into a file in memory, if that is worth it.
    pub(super) fn prepare_file(&self) {
        self.file.get_or_init(|| BodyFile::from_bytes(&self.body));
    }

    /// Returns the bytes as a file in memory, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&BodyFile> {
        self.file.get()?.as_ref()
    }
}
