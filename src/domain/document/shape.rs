//! The fields of a stream document. Unknown fields are rejected; absent fields have the defaults stated here.

use super::base_shape::{BasePolicyDocument, BuiltOnDocument};
use super::follow_shape::FollowDocument;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "format": 1, "product": "fedora-coreos", "stream": "stable", "arches": ["x86_64"], "releases": [
    { "version": "44.20260708.3.0", "payloads": [{ "arch": "x86_64", "scheme": "oci", "id": "quay.io/fedora/fedora-coreos@sha256:1f3e5d7c9b8a706152433425160718293a4b5c6d7e8f90a1b2c3d4e5f6a7b8c9" }],
      "rollouts": [{ "start": "2026-07-08T14:00:00Z", "duration": "PT48H" }] }
] }))]
pub struct StreamDocument {
    /// The version of this format: 1.
    pub format: u32,
    /// The name of the product.
    pub product: String,
    /// The name of the stream.
    pub stream: String,
    /// The revision that the document was read from. A write with an older revision is rejected. Absent in documents for new streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The origin of every value without an `origin` of its own: `upstream`, `git` (the default) or `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What the stream is for: 1 to 1000 bytes of text without control characters other than line feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The arches that the stream serves, including those without a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// Repositories that hold the same images under the same digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Which updates there are: `derived` (the default) from order, barriers and rollouts; `open`: every older release may update to every newer
    /// one; `explicit`: the releases list their `predecessors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_rule: Option<String>,
    /// What identifies the nodes on a release: its `payload` (the default), or the `version` that they report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// How many of the targets that are open to a node it is shown, with the edge rule `derived`: `all` (the default), or the newest ones and the
    /// barrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetsDocument>,
    /// Limits on how fast and when the stream may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionDocument>,
    /// The preset of the rollout that a draft without rollouts gets when it is published: `linear-48h`, `week` or `emergency-3h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_rollout: Option<String>,
    /// The stream on which its images are built, with its product: `fedora-coreos/stable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// How much newer than the base of the newest release the newest release of the base may be: ISO 8601 in whole minutes (`P14D`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_lag: Option<String>,
    /// The barriers and dead ends of the base. Recorded by the service; the value in a document is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_policies: Vec<BasePolicyDocument>,
    /// The repository whose tags become releases of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<FollowDocument>,
    /// The emergency stop. Nothing is offered while it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_stop: Option<StopDocument>,
    /// The SHA-256 of each upstream document that this state was imported from, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// The releases, oldest first, drafts last.
    #[serde(default)]
    pub releases: Vec<ReleaseDocument>,
    /// Updates that are never offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_updates: Vec<BlockedUpdateDocument>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseDocument {
    /// The version, unique in the stream.
    pub version: String,
    /// `draft`, `published` (the default) or `withdrawn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The origin of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Marks the release as a barrier, which no node may skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barrier: Option<PolicyDocument>,
    /// Marks the release as a dead end, which no update leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<PolicyDocument>,
    /// The releases that may update to it, if the edge rule of the stream is `explicit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessors: Option<PredecessorsDocument>,
    /// The rollouts. For each node the first one whose selector matches it decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutDocument>,
    /// The last id that a rollout of the release was given, if no rollout has it any more. Ids are not given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rollout_id: Option<u32>,
    /// Policies of upstream that were removed here and that imports do not set again: `barrier`, `dead_end`, `rollouts`.
    // Stored documents may call it `cleared`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "cleared")]
    pub suppressed_upstream: Vec<String>,
    /// The payloads, one per arch and scheme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<PayloadDocument>,
    /// Other payloads under which nodes may report the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<AliasDocument>,
    /// The release notes in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The artifacts, one per arch and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<ArtifactDocument>,
    /// The release of another stream of the product from which it was promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<PromotionDocument>,
    /// The release of the base on which its image is built, one per arch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_on: Vec<BuiltOnDocument>,
}

/// How many of the targets that are open to a node it is shown: the text `all`, or the number of the newest ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({ "newest": 2 }))]
pub enum TargetsDocument {
    /// A name: `all`.
    Named(String),
    /// The newest ones.
    Newest(NewestDocument),
}

/// The newest targets of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewestDocument {
    /// Their number.
    #[schema(minimum = 1, maximum = 1000)]
    pub newest: i64,
}

/// Limits on how fast and when a stream may be opened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectionDocument {
    /// A share `s` (0 to 1) may be open no sooner than `s` times this duration after a rollout first opened. Up to 0.05 is always allowed.
    /// ISO 8601 in whole minutes (`PT24H`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortest_rollout: Option<String>,
    /// Groups whose rollouts are exempt from `shortest_rollout`: a rollout is exempt if all groups of its selector are among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<String>,
    /// Times in which nothing is started, stepped, resumed or published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze_windows: Vec<FreezeWindowDocument>,
}

/// A freeze window in a document. With a zone it repeats every week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeWindowDocument {
    /// The first moment of the window: `friday 16:00`, or without a zone RFC 3339 in whole seconds.
    pub from: String,
    /// The first moment after the window, in the same form.
    pub until: String,
    /// The time zone, by its IANA name: `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The reason; must not be blank.
    pub reason: String,
}

/// An emergency stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopDocument {
    /// The start, RFC 3339.
    pub since: String,
    /// The reason; must not be blank.
    pub reason: String,
}

/// A downloadable file of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactDocument {
    /// The architecture that the artifact is for.
    pub arch: String,
    /// The name, such as `metal.raw.xz`.
    pub name: String,
    /// The absolute http or https URL.
    pub url: String,
    /// The SHA-256 of its content, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The release of another stream from which a release was promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionDocument {
    /// The stream, of the same product.
    pub stream: String,
    /// The version in that stream.
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
    /// True for a placeholder (synthetic) payload, for which no content exists.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synthetic: bool,
}

/// Another payload under which nodes may report a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "arch": "x86_64", "scheme": "oci",
    "id": "registry.example/os@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1" }))]
pub struct AliasDocument {
    /// The architecture, by the kernel's name.
    pub arch: String,
    /// `checksum` or `oci`.
    pub scheme: String,
    /// The payload that such nodes report.
    pub id: String,
    /// Who set it, `local` if absent. `upstream`: an import created the alias from a payload that upstream
    /// replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A barrier or a dead end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "the keys of later releases come with this one", "arches": ["x86_64"] }))]
pub struct PolicyDocument {
    /// The reason; must not be blank.
    pub reason: String,
    /// The arches on which it applies; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The releases that may update to a release, if the edge rule of the stream is `explicit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "versions": ["44.20260708.3.0", "44.20260715.3.0"] }))]
pub struct PredecessorsDocument {
    /// The versions of older releases of the stream, at least one.
    pub versions: Vec<String>,
    /// Its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A rollout. Its share is constant, or with `duration` linear up to `end_share`, or follows `steps`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutDocument {
    /// The id, unique in the release. Without one, the rollout keeps the id of the rollout that it continues: of one with the same plan (and
    /// in the same state, if there are several), or otherwise of one for the same nodes. A new rollout gets the next id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The nodes that it is for; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorDocument>,
    /// The start, RFC 3339 or seconds since 1970, as text; absent counts as 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The share at the start, 0 to 1; absent counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_share: Option<f64>,
    /// The time from the start to the end share, ISO 8601 in whole minutes (`PT48H`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The final share of a linear rollout, 0 to 1; absent counts as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_share: Option<f64>,
    /// The steps, sorted by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
    /// `active` (the default), `paused`, `completed` or `aborted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The time at which a `paused` rollout was paused. It keeps the share of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<String>,
    /// The total length in seconds of past pauses since the start, and of waits at gates; absent counts as 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood_still_seconds: Option<u64>,
    /// The time at which it first opened, if it had opened by the last change. Recorded by the service; the value in a document is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_opened: Option<String>,
    /// Its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The nodes that a rollout is for. An absent part matches all nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorDocument {
    /// Architectures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemes: Option<Vec<String>>,
    /// Groups, as nodes report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Platforms, as nodes report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
}

/// A step of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepDocument {
    /// The time after the start at which the step begins, ISO 8601 in whole minutes. Pauses and waits at gates do not count.
    pub after: String,
    /// The share from then on, 0 to 1.
    pub share: f64,
    /// The time in which the share rises linearly to that, ISO 8601 in whole minutes; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// True for a gate: the rollout waits before this step until it is advanced.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gate: bool,
    /// True for a gate that the rollout has passed. A document cannot let a known rollout pass one: advance it instead.
    #[serde(default, skip_serializing_if = "is_false")]
    pub passed: bool,
}

/// A range of releases from which nodes must not update directly to a given release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockedUpdateDocument {
    /// The oldest release of the range.
    pub first: String,
    /// The newest release of the range, inclusive.
    pub last: String,
    /// The release that must not be the target.
    pub target: String,
    /// The reason; must not be blank.
    pub reason: String,
    /// The arches on which it applies; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// Its origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}
