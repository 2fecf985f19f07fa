//! Releases that were found across streams.

use crate::{
    domain::document::{release as document_of, shape::PayloadDocument},
    domain::release::ReleaseState,
    manage::read::{DriftedRelease, FoundRelease, PromotionDrift},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A release that a search found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundRelease, example = json!({
    "product": "fedora-coreos", "stream": "stable", "version": "44.20260722.3.0", "state": "published", "age": 179,
    "payloads": [{ "arch": "x86_64", "scheme": "oci",
        "id": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1" }]
}))]
pub struct FoundReleaseModel {
    /// The name of the product.
    pub product: String,
    /// The name of the stream.
    pub stream: String,
    /// The version.
    pub version: String,
    /// `draft`, `published` or `withdrawn`.
    pub state: &'static str,
    /// The age index: 0 is the oldest release of the stream. Absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<usize>,
    /// The payloads, at most one per arch and scheme.
    pub payloads: Vec<PayloadDocument>,
}

impl FoundReleaseModel {
    /// Describes a release.
    #[must_use]
    pub fn new(FoundRelease { stream, position, release }: &FoundRelease) -> Self {
        Self {
            product: stream.product.to_string(),
            stream: stream.stream.to_string(),
            version: release.version.to_string(),
            state: release.state.as_str(),
            age: (release.state != ReleaseState::Draft).then_some(*position),
            payloads: document_of(release).payloads,
        }
    }
}

/// What was not promoted from one stream to another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromotionDrift, example = json!({
    "from": "testing", "revision": 12, "newest_promoted": { "version": "44.20260708.2.0", "promoted_as": "44.20260708.3.0" },
    "missing": ["44.20260722.2.0"], "missing_count": 1
}))]
pub struct PromotionDriftModel {
    /// The source stream.
    pub from: String,
    /// The revision of the source stream.
    pub revision: i64,
    /// The newest release of the source stream that was promoted; null if none was.
    pub newest_promoted: Option<PromotedModel>,
    /// The versions of the published releases of the source stream that are newer than that, the newest first.
    pub missing: Vec<String>,
    /// How many these are. `missing` lists at most 100.
    pub missing_count: usize,
}

/// A promoted release.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotedModel {
    /// Its version in the source stream.
    pub version: String,
    /// Its version in the target stream.
    pub promoted_as: String,
}

impl PromotionDriftModel {
    /// Describes what was not promoted.
    #[must_use]
    pub fn new(drift: &PromotionDrift) -> Self {
        let promoted = |DriftedRelease { version, promoted_as }: &DriftedRelease| PromotedModel {
            version: version.to_string(),
            promoted_as: promoted_as.to_string(),
        };
        Self {
            from: drift.from.to_string(),
            revision: drift.revision.0,
            newest_promoted: drift.newest_promoted.as_ref().map(promoted),
            missing: drift.missing.iter().map(ToString::to_string).collect(),
            missing_count: drift.missing_count,
        }
    }
}
