//! The fields of a stream document. Unknown ones are refused; absent ones have the defaults told here.

use crate::domain::freeze::FreezeWindowDocument;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "format": 1, "product": "fedora-coreos", "stream": "stable", "arches": ["x86_64"], "releases": [
    { "version": "44.20260708.3.0", "payloads": [{ "arch": "x86_64", "scheme": "oci", "id": "quay.io/fedora/fedora-coreos@sha256:1f" }],
      "rollouts": [{ "start": "2026-07-08T14:00:00Z", "duration": "PT48H" }] }
] }))]
pub struct StreamDocument {
    /// The version of this format: 1.
    pub format: u32,
    /// The product's name.
    pub product: String,
    /// The stream's name.
    pub stream: String,
    /// The revision that was looked at: what is made from another than the newest is not taken. Only in documents that are
    /// shown and put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Who set everything here that does not say otherwise: `upstream`, `git` (the default) or `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The arches that the stream serves, also those without a release yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// Repositories that hold the same images under the same digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// What keeps it from being opened in haste.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionDocument>,
    /// Nothing opens any further while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_stop: Option<StopDocument>,
    /// The upstream documents that this state came from: kind to SHA-256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// Oldest first, drafts last.
    #[serde(default)]
    pub releases: Vec<ReleaseDocument>,
    /// Updates that must not be taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_updates: Vec<BlockedUpdateDocument>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseDocument {
    /// Unique in the stream.
    pub version: String,
    /// `draft`, `published` (the default) or `withdrawn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Who set the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Makes it one that nobody may skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barrier: Option<PolicyDocument>,
    /// Ends all updates at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<PolicyDocument>,
    /// How it is opened; the first whose selector picks a node counts for that node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutDocument>,
    /// What was taken away here and is not taken back from upstream: `barrier`, `dead_end`, `rollouts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<String>,
    /// One per arch and scheme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<PayloadDocument>,
    /// Other payloads by which nodes may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<AliasDocument>,
    /// What it brings, for people, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where its files are, one per arch and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactDocument>,
    /// The release of another stream of the product that it is a promotion of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<PromotionDocument>,
}

/// What keeps a stream from being opened in haste.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectionDocument {
    /// No rollout may go from nobody to everybody in less: ISO 8601, in whole minutes (`PT24H`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_rollout: Option<String>,
    /// Times in which nothing is started, resumed or published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze_windows: Vec<FreezeWindowDocument>,
}

/// An emergency stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopDocument {
    /// Since when, RFC 3339.
    pub since: String,
    /// Why; not blank.
    pub reason: String,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactDocument {
    /// The architecture that it is for.
    pub arch: String,
    /// What it is, such as `metal.raw.xz`.
    pub name: String,
    /// Where it is: an absolute http or https URL.
    pub url: String,
    /// The SHA-256 of its content, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The release of another stream that a release is a promotion of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionDocument {
    /// The stream, of the same product.
    pub stream: String,
    /// The version there.
    pub version: String,
}

/// A payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadDocument {
    /// The architecture, by the kernel's name.
    pub arch: String,
    /// `checksum` or `oci`.
    pub scheme: String,
    /// The commit, or the pull spec by digest; unique in the stream on its arch and scheme.
    pub id: String,
    /// A placeholder: no such content exists.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synthetic: bool,
}

/// Another payload by which nodes may name a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "arch": "x86_64", "scheme": "oci",
    "id": "registry.example/os@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1" }))]
pub struct AliasDocument {
    /// The architecture, by the kernel's name.
    pub arch: String,
    /// `checksum` or `oci`.
    pub scheme: String,
    /// What such nodes send.
    pub id: String,
}

/// A barrier or a dead end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "the keys of later releases come with this one", "arches": ["x86_64"] }))]
pub struct PolicyDocument {
    /// Why; not blank.
    pub reason: String,
    /// On which arches; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A rollout: start share alone, or with `duration` a line to `end_share`, or `steps`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutDocument {
    /// Which nodes it is for; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorDocument>,
    /// When it starts, RFC 3339 or seconds since 1970, as text; absent counts as 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The share at its start, 0 to 1; absent counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_share: Option<f64>,
    /// How long it takes from there to the end share, ISO 8601 in whole minutes (`PT48H`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Where the line ends, 0 to 1; absent counts as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_share: Option<f64>,
    /// Shares from given times on, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
    /// `active` (the default), `paused`, `completed` or `aborted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// With `paused`: the instant whose share it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<String>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Which nodes a rollout is for; each part that is absent picks any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorDocument {
    /// Architectures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemes: Option<Vec<String>>,
    /// Groups, as the nodes say them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Platforms, as the nodes say them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
}

/// A step of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepDocument {
    /// How long after the start, ISO 8601 in whole minutes.
    pub after: String,
    /// The share from then on, 0 to 1.
    pub share: f64,
}

/// A range of releases from which one may not go directly to a given one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockedUpdateDocument {
    /// The oldest release of the range.
    pub first: String,
    /// The newest release of the range, itself included.
    pub last: String,
    /// The release that must not be the target.
    pub target: String,
    /// Why; not blank.
    pub reason: String,
    /// On which arches; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}
