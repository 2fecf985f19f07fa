//! Upstream's documents as they are on the wire. Whatever can be read is taken; unknown fields are not looked at here.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::collections::BTreeMap;
use thiserror::Error;

/// A document that cannot be read, and the place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct WireError {
    /// The field, as in `releases[3].version`; `.` is the document itself.
    pub path: String,
    /// What is wrong there, with line and column.
    pub message: String,
}

/// `releases.json`: the index of a stream, oldest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Releases {
    /// The stream that it says it is of.
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
    /// The stream that it says it is of.
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
    /// Makes it a barrier.
    #[serde(default)]
    pub barrier: Option<Reason>,
    /// Makes it a dead end.
    #[serde(default)]
    pub deadend: Option<Reason>,
    /// Makes it a rollout.
    #[serde(default)]
    pub rollout: Option<Rollout>,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reason {
    /// Mostly an address; may be empty.
    #[serde(default, deserialize_with = "null_as_default")]
    pub reason: String,
}

/// A rollout as upstream writes it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Rollout {
    /// When it starts, in seconds since 1970.
    #[serde(default)]
    pub start_epoch: Option<i64>,
    /// The share at its start: despite its name, 1 means all.
    #[serde(default)]
    pub start_percentage: Option<f64>,
    /// How long it takes to reach all.
    #[serde(default)]
    pub duration_minutes: Option<u64>,
}

/// `streams/<stream>.json`, as far as it is looked at: the images of the newest release by arch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StreamMetadata {
    /// The stream that it says it is of.
    pub stream: String,
    /// By arch.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architectures: BTreeMap<String, serde_json::Value>,
}

/// `release-notes/<stream>.yml`, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReleaseNotes {
    /// By version.
    #[serde(default)]
    pub releases: BTreeMap<String, serde_json::Value>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads one of the JSON documents above.
///
/// # Errors
/// It is not JSON, or a field is missing or of another type: the error names it.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, WireError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| WireError { path: error.path().to_string(), message: error.into_inner().to_string() })?;
    deserializer.end().map_err(|error| WireError { path: ".".into(), message: error.to_string() })?;
    Ok(value)
}

/// Reads the release notes.
///
/// # Errors
/// They are not YAML in UTF-8, or not of that shape.
pub fn from_yaml(text: &[u8]) -> Result<ReleaseNotes, WireError> {
    let at_all = |message: String| WireError { path: ".".into(), message };
    let text = std::str::from_utf8(text).map_err(|error| at_all(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| at_all(error.to_string()))
}
