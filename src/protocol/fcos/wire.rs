//! The shapes of upstream's documents. Parsing is lenient: unknown fields are ignored.

pub use super::json::WireError;

use super::json;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use std::collections::{BTreeMap, BTreeSet};

/// `releases.json`: the index of a stream, oldest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Releases {
    /// The name of the stream.
    #[serde(default)]
    pub stream: Option<String>,
    /// The releases.
    pub releases: Vec<Release>,
}

/// An entry of `releases.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Release {
    /// The version.
    pub version: String,
    /// `OSTree` commits by arch.
    #[serde(default, deserialize_with = "null_as_default")]
    pub commits: Vec<Commit>,
    /// Container images by arch.
    #[serde(default, rename = "oci-images", deserialize_with = "null_as_default")]
    pub oci_images: Vec<OciImage>,
}

/// An `OSTree` commit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Commit {
    /// The architecture.
    pub architecture: String,
    /// The commit's checksum.
    #[serde(default, deserialize_with = "null_as_default")]
    pub checksum: String,
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OciImage {
    /// The architecture.
    pub architecture: String,
    /// The pull spec by digest.
    #[serde(default, rename = "digest-ref", deserialize_with = "null_as_default")]
    pub digest_ref: String,
}

/// `updates.json`: the policies of a stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Updates {
    /// The name of the stream.
    #[serde(default)]
    pub stream: Option<String>,
    /// The policies by version; entries repeated for one version merge.
    pub releases: Vec<Update>,
}

/// An entry of `updates.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Update {
    /// The version.
    pub version: String,
    /// The policies.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Policies,
}

/// The policies of one entry.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Policies {
    /// Marks the release as a barrier.
    #[serde(default)]
    pub barrier: Option<Reason>,
    /// Marks the release as a dead end.
    #[serde(default)]
    pub deadend: Option<Reason>,
    /// The rollout of the release.
    #[serde(default)]
    pub rollout: Option<Rollout>,
}

/// The reason for a policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reason {
    /// Usually a URL; may be empty.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
}

/// A rollout as upstream writes it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Rollout {
    /// The start, in seconds since 1970.
    #[serde(default)]
    pub start_epoch: Option<i64>,
    /// The share at the start. Despite the name, 1 means all nodes.
    #[serde(default)]
    pub start_percentage: Option<f64>,
    /// The time until all nodes are admitted.
    #[serde(default)]
    pub duration_minutes: Option<u64>,
}

/// The fields of `streams/<stream>.json` that are read here. It has the images of the newest release by architecture.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StreamMetadata {
    /// The name of the stream.
    pub stream: String,
    /// The architectures that the document has entries for.
    #[serde(default, deserialize_with = "keys")]
    pub architectures: BTreeSet<String>,
}

/// The fields of `release-notes/<stream>.yml` that are read here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReleaseNotes {
    /// The versions that the document has notes for.
    #[serde(default, deserialize_with = "keys")]
    pub releases: BTreeSet<String>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Deserializes the keys of a map and skips its values.
#[expect(clippy::zero_sized_map_values, reason = "the document has a map; its values are skipped")]
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

/// Returns a text without the byte order mark that it may begin with (RFC 8259, section 8.1).
#[must_use]
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Parses one of the JSON documents above.
///
/// # Errors
/// Returns an error if a field is missing or has the wrong type, or if any part of the text is not valid JSON, including fields that
/// are otherwise ignored.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, WireError> {
    let text = without_byte_order_mark(text);
    let value = json::read(text)?;
    json::check(text)?;
    Ok(value)
}

/// Parses the release notes.
///
/// # Errors
/// Returns an error if the text is not YAML in UTF-8, or has the wrong shape.
pub fn from_yaml(text: &[u8]) -> Result<ReleaseNotes, WireError> {
    let error_without_path = |message: String| WireError { path: String::new(), message };
    let text = without_byte_order_mark(text);
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        error_without_path(format!("not UTF-8 at line {line} column {column}"))
    })?;
    serde_saphyr::from_str(text).map_err(|error| error_without_path(error.to_string()))
}
