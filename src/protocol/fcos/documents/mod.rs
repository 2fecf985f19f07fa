//! Upstream's documents, out: what is modelled is laid over the documents that it came from, so that whatever else stands in
//! them survives; what nobody touched comes out as it came in. Pure.

#![expect(clippy::indexing_slicing, reason = "a JSON value asked by name for what it has not answers null")]

mod kind;
mod policies;
mod releases;
mod updates;

pub use kind::Kind;

use crate::domain::{epoch::Epoch, finding::Finding, stream::Stream};
use jiff::Timestamp;

/// What a document is made of.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The stream as it is.
    pub stream: &'a Stream,
    /// The document that it came from, if it came from one.
    pub original: Option<&'a [u8]>,
    /// When the stream got into this state.
    pub changed_at: Timestamp,
    /// The time for which it is made: a ramp that the format cannot say is told as its share at that time.
    pub now: Epoch,
}

/// A document, and what the format could not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its text.
    pub body: Vec<u8>,
    /// What is told less open, or not at all, since the format has no words for it.
    pub findings: Vec<Finding>,
}

/// One of upstream's documents of a stream; none where there is nothing to make it of.
#[must_use]
pub fn document(kind: Kind, origin: &Origin<'_>) -> Option<Document> {
    match kind {
        Kind::Releases => Some(releases::document(origin)),
        Kind::Updates => Some(updates::document(origin)),
        // Nothing of these is modelled.
        Kind::Stream | Kind::ReleaseNotes => origin.original.map(|original| untouched(original, Vec::new())),
    }
}

/// Does the text of the policies depend on the time for which it is made?
#[must_use]
pub fn moves_with_time(stream: &Stream) -> bool {
    stream.releases.iter().any(policies::moves_with_time)
}

/// The original as JSON. Imports take only what is; a document that is none counts as absent.
fn parsed(original: Option<&[u8]>) -> Option<serde_json::Value> {
    serde_json::from_slice(original?).ok()
}

/// Sets a field of an object; what is no object stays as it is.
fn put(value: &mut serde_json::Value, key: &str, field: impl Into<serde_json::Value>) {
    if let Some(object) = value.as_object_mut() {
        object.insert(key.into(), field.into());
    }
}

/// `2026-07-21T14:07:12Z`, as upstream writes it.
fn told(time: Timestamp) -> String {
    Epoch::from(time).to_string()
}

/// A document as it came in.
fn untouched(original: &[u8], findings: Vec<Finding>) -> Document {
    Document { body: original.to_vec(), findings }
}

/// The document with its new list and the time of the change; where there was none, a new one.
fn with_list(
    original: Option<serde_json::Value>,
    origin: &Origin<'_>,
    list: Vec<serde_json::Value>,
    findings: Vec<Finding>,
) -> Document {
    let mut document = original.filter(serde_json::Value::is_object).unwrap_or_else(|| serde_json::json!({}));
    put(&mut document, "stream", origin.stream.id.stream.as_str());
    if !document["metadata"].is_object() {
        put(&mut document, "metadata", serde_json::json!({}));
    }
    if let Some(metadata) = document.get_mut("metadata") {
        put(metadata, "last-modified", told(origin.changed_at));
    }
    put(&mut document, "releases", list);
    // A value always serializes into memory.
    let body = serde_json::to_vec_pretty(&document).unwrap_or_default();
    Document { body, findings }
}
