//! Images that nodes are sent to, and what registries said about them.

use crate::manage::read::NeededImage;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An image that nodes are sent to, and its last check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImageCheck, example = json!({
    "image": "quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1",
    "releases": [{ "version": "44.20260722.3.0", "arch": "x86_64" }],
    "state": "gone", "checked_at": "2026-09-21T04:00:00Z", "missing_since": "2026-09-20T04:00:00Z",
    "problem": "the registry has no such image"
}))]
pub struct ImageCheckModel {
    /// The image: a pull spec by digest.
    pub image: String,
    /// The releases that have it.
    pub releases: Vec<ImageReleaseModel>,
    /// What the registry said: `present`, `gone`, `unknown` (it could not be asked), `not_allowed` (it is not in `registries.allow`), or
    /// `not_checked` (the image was not checked yet).
    pub state: &'static str,
    /// When the registry was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Timestamp>,
    /// When the image was first found to be gone. It stays when the registry cannot be asked later, until the image is found again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub missing_since: Option<Timestamp>,
    /// What is missing, or why the state is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A release that has an image on an arch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImageRelease)]
pub struct ImageReleaseModel {
    /// The version.
    pub version: String,
    /// The arch.
    pub arch: String,
}

impl ImageCheckModel {
    /// Describes an image.
    #[must_use]
    pub fn new(NeededImage { image, releases, check }: NeededImage) -> Self {
        let release = |(arch, version)| ImageReleaseModel {
            version: ToString::to_string(&version),
            arch: ToString::to_string(&arch),
        };
        Self {
            image: image.to_string(),
            releases: releases.into_iter().map(release).collect(),
            state: check.as_ref().map_or("not_checked", |check| check.answer.state.as_str()),
            checked_at: check.as_ref().map(|check| check.checked_at),
            missing_since: check.as_ref().and_then(|check| check.missing_since),
            problem: check.and_then(|check| check.answer.problem),
        }
    }
}
