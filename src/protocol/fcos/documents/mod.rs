//! Upstream's documents, generated from a stream. Pure.
//!
//! The values of the stream are merged into the imported documents: fields that Lockkeeper does not know are kept, and an unchanged
//! document is returned byte for byte.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key returns null")]

mod kind;
mod policies;
mod releases;
mod trimming;
mod updates;

pub use kind::Kind;

use crate::domain::{epoch::Epoch, finding::Finding, stream::Stream};
use jiff::Timestamp;

/// What a document is generated from.
#[derive(Debug, Clone, Copy)]
pub struct DocumentInput<'a> {
    /// The stream.
    pub stream: &'a Stream,
    /// The imported document, if there is one.
    pub original: Option<&'a [u8]>,
    /// When the stream last changed.
    pub changed_at: Timestamp,
    /// The time that the document is for. A ramp that the format cannot express is written as its share at that time.
    pub now: Epoch,
    /// An emergency stop is active: every release is written as closed.
    pub is_stopped: bool,
}

/// A document, and what the format cannot express.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub body: Vec<u8>,
    /// What the document leaves out, or shows as admitting fewer nodes, because the format cannot express it.
    pub findings: Vec<Finding>,
}

/// Generates a document of a stream. Returns nothing if the stream has no data for it.
#[must_use]
pub fn document(kind: Kind, input: &DocumentInput<'_>) -> Option<Document> {
    match kind {
        Kind::Releases => Some(releases::document(input)),
        Kind::Updates => Some(updates::document(input)),
        // A stream has no values for these.
        Kind::Stream | Kind::ReleaseNotes => input.original.map(|original| unchanged(original, Vec::new())),
    }
}

/// Returns true if the text of the policies depends on the time that they are generated for.
#[must_use]
pub fn depends_on_time(stream: &Stream) -> bool {
    stream.releases.iter().any(|release| policies::depends_on_time(release))
}

/// Parses the imported document. Imports accept only JSON, so anything else counts as absent.
fn parse(original: Option<&[u8]>) -> Option<serde_json::Value> {
    serde_json::from_slice(original?).ok()
}

/// Sets a field of an object; does nothing to other values.
fn set_field(value: &mut serde_json::Value, key: &str, field: impl Into<serde_json::Value>) {
    if let Some(object) = value.as_object_mut() {
        object.insert(key.into(), field.into());
    }
}

/// Formats a time like upstream: `2026-07-21T14:07:12Z`.
fn format_time(time: Timestamp) -> String {
    Epoch::from(time).to_string()
}

/// Returns the imported document unchanged.
fn unchanged(original: &[u8], findings: Vec<Finding>) -> Document {
    Document { body: original.to_vec(), findings }
}

/// Builds a document from the imported one, or a new one, with a new list of releases and the time of the change.
fn with_list(
    original: Option<serde_json::Value>,
    input: &DocumentInput<'_>,
    list: Vec<serde_json::Value>,
    findings: Vec<Finding>,
) -> Document {
    let mut document = original.filter(serde_json::Value::is_object).unwrap_or_else(|| serde_json::json!({}));
    set_field(&mut document, "stream", input.stream.id.stream.as_str());
    if !document["metadata"].is_object() {
        set_field(&mut document, "metadata", serde_json::json!({}));
    }
    if let Some(metadata) = document.get_mut("metadata") {
        set_field(metadata, "last-modified", format_time(input.changed_at));
    }
    set_field(&mut document, "releases", list);
    // Serializing a JSON value to memory cannot fail.
    let body = serde_json::to_vec_pretty(&document).unwrap_or_default();
    Document { body, findings }
}
