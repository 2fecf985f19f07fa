//! Products and streams.

use crate::{
    domain::{
        document::shape::{ProtectionDocument, StopDocument},
        protection::Protection,
        stream::Stream,
    },
    manage::{Snapshot, kept::Head},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An operating system with its own streams and versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "product": "fedora-coreos", "streams": ["next", "stable", "testing"] }))]
pub struct ProductModel {
    /// Its name.
    pub product: String,
    /// Its streams, those that whoever asks may read.
    pub streams: Vec<String>,
}

/// Where a stream stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "product": "fedora-coreos", "stream": "stable", "revision": 42, "changed_at": "2026-07-22T14:00:00Z" }))]
pub struct StreamSummary {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// Its newest revision.
    pub revision: i64,
    /// When that was made.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

impl StreamSummary {
    /// Of a stream's row.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        Self {
            product: head.id.product.to_string(),
            stream: head.id.stream.to_string(),
            revision: head.revision.0,
            changed_at: head.changed_at,
        }
    }
}

/// What is set on a stream as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "arches": ["aarch64", "x86_64"], "mirrors": ["registry.example/os"],
    "protection": { "shortest_rollout": "PT24H", "freeze_windows": [
        { "from": "friday 16:00", "until": "monday 08:00", "zone": "Europe/Berlin", "reason": "nobody is at work" }
    ] }
}))]
pub struct StreamSettings {
    /// The arches that the stream serves, also those without a release yet.
    #[serde(default)]
    pub arches: Vec<String>,
    /// Repositories that hold the same images under the same digests.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// What keeps it from being opened in haste.
    #[serde(default)]
    pub protection: ProtectionDocument,
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamModel {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// Its newest revision.
    pub revision: i64,
    /// How many releases it has, drafts not counted.
    pub releases: usize,
    /// The youngest release that is published.
    pub newest: Option<String>,
    /// What is set on it.
    pub settings: StreamSettings,
    /// The emergency stop, while it stands.
    pub emergency_stop: Option<StopDocument>,
}

impl StreamModel {
    /// Of a stream as it is.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let stream = &snapshot.stream;
        let newest =
            stream.aged().rfind(|(_, release)| release.state == crate::domain::release::ReleaseState::Published);
        Self {
            product: stream.id.product.to_string(),
            stream: stream.id.stream.to_string(),
            revision: snapshot.revision.0,
            releases: stream.aged().count(),
            newest: newest.map(|(_, release)| release.version.to_string()),
            settings: StreamSettings {
                arches: stream.arches.iter().map(ToString::to_string).collect(),
                mirrors: stream.mirrors.iter().map(ToString::to_string).collect(),
                protection: protection(&stream.protection),
            },
            emergency_stop: StopModel::of(stream).emergency_stop,
        }
    }
}

fn protection(protection: &Protection) -> ProtectionDocument {
    crate::domain::document::protection(protection).unwrap_or_default()
}

/// Is a stream stopped?
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "emergency_stop": { "since": "2026-07-22T14:00:00Z", "reason": "nodes do not come up again" } }))]
pub struct StopModel {
    /// The stop, while it stands.
    pub emergency_stop: Option<StopDocument>,
}

impl StopModel {
    /// Of a stream as it is.
    #[must_use]
    pub fn of(stream: &Stream) -> Self {
        let stop = stream.stop.as_ref();
        let document =
            stop.map(|stop| StopDocument { since: stop.since.to_string(), reason: stop.reason.as_str().into() });
        Self { emergency_stop: document }
    }
}
