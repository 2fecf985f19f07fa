//! Releases and their parts.

use super::{NewRollout, RolloutModel};
use crate::domain::{
    document::{
        base_shape::BuiltOnDocument,
        release as document_of,
        shape::{
            AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument,
            PredecessorsDocument, PromotionDocument, ReleaseDocument,
        },
    },
    epoch::Epoch,
    release::{Release, ReleaseState},
    stream::Stream,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A release.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseModel {
    /// The version, unique in the stream. Upstream's documents may list a version twice: paths then name the older release.
    pub version: String,
    /// `draft`, `published` or `withdrawn`.
    pub state: &'static str,
    /// Who set the state: `upstream`, `git` or `local`.
    pub origin: &'static str,
    /// The age index: 0 is the oldest release of the stream. Absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<usize>,
    /// The barrier; absent if the release is not one. Older nodes must update to a barrier before they go further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<PolicyDocument>,
    /// The dead end; absent if the release is not one. No update leaves a dead end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<PolicyDocument>,
    /// The releases that may update to this one, if the edge rule of the stream is `explicit`; absent if none are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predecessors: Option<PredecessorsDocument>,
    /// The rollouts. For each node, the first one whose selector matches applies.
    pub rollouts: Vec<RolloutModel>,
    /// The payloads, at most one per arch and scheme.
    pub payloads: Vec<PayloadDocument>,
    /// Other payloads under which nodes may report this release.
    pub aliases: Vec<AliasDocument>,
    /// The release notes, in Markdown; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The locations of the release's files.
    pub artifacts: Vec<ArtifactDocument>,
    /// The release of another stream that this one was copied from; absent if it was not promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<PromotionDocument>,
    /// The release of the base on which its image is built, one per arch; absent if the stream has no base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub built_on: Vec<BuiltOnDocument>,
}

impl ReleaseModel {
    /// Describes the release at a position of a stream, at a time.
    #[must_use]
    pub fn new(stream: &Stream, position: usize, release: &Release, now: Epoch) -> Self {
        let document = document_of(release);
        Self {
            version: document.version,
            state: release.state.as_str(),
            origin: release.origin.as_str(),
            age: (release.state != ReleaseState::Draft).then_some(position),
            barrier: document.barrier,
            dead_end: document.dead_end,
            predecessors: document.predecessors,
            rollouts: RolloutModel::all(stream, release, now),
            payloads: document.payloads,
            aliases: document.aliases,
            notes: document.notes,
            artifacts: document.artifacts,
            promoted_from: document.promoted_from,
            built_on: document.built_on,
        }
    }
}

/// A release to create: a draft, or with `publish` a published release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "version": "44.20260722.3.0",
    "payloads": [{ "arch": "x86_64", "scheme": "oci",
        "id": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1" }],
    "notes": "- kernel 7.1\n- fixes for the network at boot",
    "rollouts": [
        { "selector": { "groups": ["canary"] }, "start_share": 1.0 },
        { "steps": [{ "after": "PT24H", "share": 0.05, "gate": true }, { "after": "PT24H", "share": 1.0, "over": "PT48H" }] }
    ],
    "publish": true
}))]
pub struct NewRelease {
    /// The version, unique in the stream. Required without an image. Default: the label `org.opencontainers.image.version` of the image, with
    /// the first free one of `.1`, `.2`, ... if the stream has that version already.
    #[serde(default)]
    pub version: Option<String>,
    /// The payloads, at most one per arch and scheme. Default: none; a release needs one to be published.
    #[serde(default)]
    pub payloads: Vec<PayloadDocument>,
    /// An image to use instead of payloads, by tag or digest. The release gets its digest on each arch of the stream. The registry must be in
    /// the setting `registries.allow`. Default: none.
    #[serde(default)]
    #[schema(example = "ghcr.io/acme/os:stable")]
    pub image: Option<String>,
    /// Other payloads under which nodes may report this release. Default: none. Aliases require the role `manager`.
    #[serde(default)]
    pub aliases: Vec<AliasDocument>,
    /// The releases that may update to this one, if the edge rule of the stream is `explicit`. Default: none. Predecessors require the role
    /// `manager`.
    #[serde(default)]
    pub predecessors: Option<PredecessorsDocument>,
    /// The release notes, in Markdown, at most 32768 bytes. Default: none.
    #[serde(default)]
    pub notes: Option<String>,
    /// The locations of the release's files. Default: none.
    #[serde(default)]
    pub artifacts: Vec<ArtifactDocument>,
    /// Marks the release as a barrier, which no node may skip. Default: no barrier. Requires the role `manager`.
    #[serde(default)]
    pub barrier: Option<PolicyDocument>,
    /// Marks the release as a dead end, which no update leaves. Default: no dead end. Requires the role `manager`.
    #[serde(default)]
    pub dead_end: Option<PolicyDocument>,
    /// Its rollouts, in the order in which they are tried on a node. Default: none. Rollouts require the role `manager`.
    #[serde(default)]
    pub rollouts: Vec<NewRollout>,
    /// The release of the stream's base on which its images are built, for every arch for which the image does not say it. Default: none; a release
    /// of a stream with a base needs it to be published.
    #[serde(default)]
    #[schema(example = "44.20260708.3.0")]
    pub built_on: Option<String>,
    /// If true, the release is published as well, in the same revision. Default: false.
    #[serde(default)]
    pub publish: bool,
}

impl NewRelease {
    /// Returns that its payloads are all built on one release, if it says so.
    fn built_on_documents(&self) -> Vec<BuiltOnDocument> {
        let arches: BTreeSet<&String> = self.payloads.iter().map(|payload| &payload.arch).collect();
        let named = self.built_on.iter().flat_map(|version| {
            let document = |arch: &&String| BuiltOnDocument { arch: (*arch).clone(), version: version.clone(), age: 0 };
            arches.iter().map(document).collect::<Vec<_>>()
        });
        named.collect()
    }

    /// Converts to the shape of stream documents.
    #[must_use]
    pub fn to_document(&self, version: &str) -> ReleaseDocument {
        ReleaseDocument {
            version: version.into(),
            state: Some(ReleaseState::Draft.as_str().into()),
            origin: None,
            barrier: self.barrier.clone(),
            dead_end: self.dead_end.clone(),
            predecessors: self.predecessors.clone(),
            rollouts: Vec::new(),
            last_rollout_id: None,
            suppressed_upstream: Vec::new(),
            payloads: self.payloads.clone(),
            aliases: self.aliases.clone(),
            notes: self.notes.clone(),
            artifacts: self.artifacts.clone(),
            promoted_from: None,
            built_on: self.built_on_documents(),
        }
    }
}

/// The notes of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "notes": "- kernel 7.1\n- fixes for the network at boot" }))]
pub struct NotesModel {
    /// The release notes, in Markdown, at most 32768 bytes; null removes them.
    // Serde takes an absent field for null, which would remove the notes.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    pub notes: Option<String>,
}

/// A payload to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1"
}))]
pub struct PayloadModel {
    /// The payload: an ostree commit (`checksum`, 64 hexadecimal digits) or a pull spec by digest (`oci`,
    /// `host/path@sha256:...`). Unique in the stream on its arch and scheme.
    pub id: String,
    /// True for a placeholder (synthetic) payload: no such content exists. Default: false.
    #[serde(default)]
    pub synthetic: bool,
}

/// The location of a file of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://builds.example/44.20260722.3.0/x86_64/metal.raw.xz",
    "sha256": "9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1", "size": 812_345_678
}))]
pub struct ArtifactModel {
    /// An absolute http or https URL.
    pub url: String,
    /// The SHA-256 of the file, 64 lower-case hexadecimal digits. Default: unknown.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The size of the file in bytes. Default: unknown.
    #[serde(default)]
    pub size: Option<u64>,
}

/// A range of releases that must not update directly to a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "first": "43.20260101.3.0", "last": "43.20260401.3.0", "reason": "the boot loader is too old for it" }))]
pub struct NewBlocked {
    /// The version of the oldest release of the range.
    pub first: String,
    /// The version of the newest release of the range; it is part of the range.
    pub last: String,
    /// The reason; must not be blank.
    pub reason: String,
    /// The arches to which the block applies. Default: all.
    #[serde(default)]
    pub arches: Option<Vec<String>>,
}

impl NewBlocked {
    /// Converts to the shape of stream documents.
    #[must_use]
    pub fn to_document(&self, target: String) -> BlockedUpdateDocument {
        BlockedUpdateDocument {
            first: self.first.clone(),
            last: self.last.clone(),
            target,
            reason: self.reason.clone(),
            arches: self.arches.clone(),
            origin: None,
        }
    }
}

/// A blocked update to a release.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockedModel {
    /// The number among the blocked updates to the same release, from 1.
    pub id: usize,
    /// The blocked update.
    pub blocked_update: BlockedUpdateDocument,
}

impl BlockedModel {
    /// Lists the blocked updates to a release.
    #[must_use]
    pub fn all(stream: &Stream, target: &str) -> Vec<Self> {
        let all = stream.to_document().blocked_updates.into_iter();
        let to = all.filter(|blocked| blocked.target == target);
        to.zip(1..).map(|(blocked_update, id)| Self { id, blocked_update }).collect()
    }
}

/// A release of another stream to copy into this one, as a draft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": { "stream": "testing", "version": "44.20260708.2.0" } }))]
pub struct NewPromotion {
    /// The source release.
    pub from: PromotionDocument,
    /// The version of the copy. Default: the version of the source.
    #[serde(default)]
    pub version: Option<String>,
    /// The payloads of the copy; aliases and artifacts are not copied then. Default: the payloads of the source.
    #[serde(default)]
    pub payloads: Option<Vec<PayloadDocument>>,
}

/// A release that was promoted into a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "version": "44.20260722.3.0", "state": "published", "from": { "stream": "testing", "version": "44.20260708.2.0" } }))]
pub struct PromotionModel {
    /// The version of the copy.
    pub version: String,
    /// The state of the copy: `draft`, `published` or `withdrawn`.
    pub state: &'static str,
    /// The source release.
    pub from: PromotionDocument,
}
