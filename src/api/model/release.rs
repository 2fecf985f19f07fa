//! Releases and what hangs on them.

use super::RolloutModel;
use crate::domain::{
    document::{
        release as document_of,
        shape::{
            AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument, PromotionDocument,
            ReleaseDocument,
        },
    },
    epoch::Epoch,
    release::{Release, ReleaseState},
    stream::Stream,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A release.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseModel {
    /// Its version, unique in the stream (upstream may list one twice: then the older counts here).
    pub version: String,
    /// `draft`, `published` or `withdrawn`.
    pub state: &'static str,
    /// Who set the state: `upstream`, `git` or `local`.
    pub origin: &'static str,
    /// Its place in the stream, 0 for the oldest; absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<usize>,
    /// Makes it one that nobody may skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<PolicyDocument>,
    /// Ends all updates at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_end: Option<PolicyDocument>,
    /// How it is opened, in the order in which they are tried on a node.
    pub rollouts: Vec<RolloutModel>,
    /// One per arch and scheme.
    pub payloads: Vec<PayloadDocument>,
    /// Other payloads by which nodes may name it.
    pub aliases: Vec<AliasDocument>,
    /// What it brings, for people, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Where its files are.
    pub artifacts: Vec<ArtifactDocument>,
    /// The release of another stream that it is a promotion of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<PromotionDocument>,
}

impl ReleaseModel {
    /// One of a stream's releases by its place, at a time.
    #[must_use]
    pub fn of(place: usize, release: &Release, now: Epoch) -> Self {
        let document = document_of(release);
        Self {
            version: document.version,
            state: release.state.as_str(),
            origin: release.origin.as_str(),
            age: (release.state != ReleaseState::Draft).then_some(place),
            barrier: document.barrier,
            dead_end: document.dead_end,
            rollouts: RolloutModel::all(release, now),
            payloads: document.payloads,
            aliases: document.aliases,
            notes: document.notes,
            artifacts: document.artifacts,
            promoted_from: document.promoted_from,
        }
    }
}

/// A release to be made: a draft until it is published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "version": "44.20260722.3.0",
    "payloads": [{ "arch": "x86_64", "scheme": "oci",
        "id": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1" }],
    "notes": "- kernel 7.1\n- fixes for the network at boot"
}))]
pub struct NewRelease {
    /// Its version, unique in the stream.
    pub version: String,
    /// One per arch and scheme.
    #[serde(default)]
    pub payloads: Vec<PayloadDocument>,
    /// Other payloads by which nodes may name it.
    #[serde(default)]
    pub aliases: Vec<AliasDocument>,
    /// What it brings, for people, in Markdown.
    #[serde(default)]
    pub notes: Option<String>,
    /// Where its files are.
    #[serde(default)]
    pub artifacts: Vec<ArtifactDocument>,
}

impl NewRelease {
    /// As documents have it.
    #[must_use]
    pub fn to_document(&self) -> ReleaseDocument {
        ReleaseDocument {
            version: self.version.clone(),
            state: Some(ReleaseState::Draft.as_str().into()),
            origin: None,
            barrier: None,
            dead_end: None,
            rollouts: Vec::new(),
            cleared: Vec::new(),
            payloads: self.payloads.clone(),
            aliases: self.aliases.clone(),
            notes: self.notes.clone(),
            artifacts: self.artifacts.clone(),
            promoted_from: None,
        }
    }
}

/// What a release brings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "notes": "- kernel 7.1\n- fixes for the network at boot" }))]
pub struct NotesModel {
    /// For people, in Markdown, at most 32768 bytes; nothing takes them away.
    #[schema(required)]
    pub notes: Option<String>,
}

/// A payload to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "id": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1"
}))]
pub struct PayloadModel {
    /// The commit, or the pull spec by digest; unique in the stream on its arch and scheme.
    pub id: String,
    /// A placeholder: no such content exists.
    #[serde(default)]
    pub synthetic: bool,
}

/// Where a file of a release is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://builds.example/44.20260722.3.0/x86_64/metal.raw.xz",
    "sha256": "9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1", "size": 812_345_678
}))]
pub struct ArtifactModel {
    /// An absolute http or https URL.
    pub url: String,
    /// The SHA-256 of its content, in lower-case hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// How many bytes it has.
    #[serde(default)]
    pub size: Option<u64>,
}

/// A range of releases from which updates to a release are to be blocked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "first": "43.20260101.3.0", "last": "43.20260401.3.0", "reason": "the boot loader is too old for it" }))]
pub struct NewBlocked {
    /// The oldest release of the range.
    pub first: String,
    /// The newest release of the range, itself included.
    pub last: String,
    /// Why; not blank.
    pub reason: String,
    /// On which arches; all if absent.
    #[serde(default)]
    pub arches: Option<Vec<String>>,
}

impl NewBlocked {
    /// As documents have it.
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

/// A block of updates to a release.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockedModel {
    /// Its number among those to that release, from 1.
    pub id: usize,
    /// The block.
    pub blocked_update: BlockedUpdateDocument,
}

impl BlockedModel {
    /// Those to a release.
    #[must_use]
    pub fn all(stream: &Stream, target: &str) -> Vec<Self> {
        let all = stream.to_document().blocked_updates.into_iter();
        let to = all.filter(|blocked| blocked.target == target);
        to.zip(1..).map(|(blocked_update, id)| Self { id, blocked_update }).collect()
    }
}

/// A release of another stream to be copied into this one, as a draft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": { "stream": "testing", "version": "44.20260708.2.0" } }))]
pub struct NewPromotion {
    /// The release there.
    pub from: PromotionDocument,
    /// Its version here; the same if absent.
    #[serde(default)]
    pub version: Option<String>,
    /// Its payloads here; the same if absent.
    #[serde(default)]
    pub payloads: Option<Vec<PayloadDocument>>,
}

/// A release that was promoted into a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "version": "44.20260722.3.0", "state": "published", "from": { "stream": "testing", "version": "44.20260708.2.0" } }))]
pub struct PromotionModel {
    /// Its version here.
    pub version: String,
    /// `draft`, `published` or `withdrawn`.
    pub state: &'static str,
    /// The release there.
    pub from: PromotionDocument,
}
