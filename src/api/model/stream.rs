//! Products and streams.

use crate::{
    domain::{
        admission::protection::Protection,
        document::{
            follow_shape::{FollowDocument, FollowSetting},
            shape::{ProtectionDocument, StopDocument, TargetsDocument},
        },
        stream::Stream,
    },
    manage::{StreamAtRevision, read::Product, records::Head},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An operating system with its own streams and versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "product": "fedora-coreos", "protocol": "fedora-coreos", "streams": ["next", "stable", "testing"] }))]
pub struct ProductModel {
    /// The name of the product.
    pub product: String,
    /// The protocol that its nodes speak.
    pub protocol: String,
    /// What the product is for; absent if that is not described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The names of its streams that the caller may read.
    pub streams: Vec<String>,
}

impl ProductModel {
    /// Describes a product.
    #[must_use]
    pub fn new(product: &Product) -> Self {
        let streams = product.streams.iter().map(ToString::to_string).collect();
        let description = product.description.as_ref().map(ToString::to_string);
        Self { product: product.name.to_string(), protocol: product.protocol.to_string(), description, streams }
    }
}

/// The settings of a product.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "protocol": "fedora-coreos", "description": "Machines in shops" }))]
pub struct ProductSettings {
    /// The protocol that its nodes speak.
    pub protocol: String,
    /// What the product is for: 1 to 1000 bytes of text without control characters other than line feeds; the empty text removes it.
    /// Default: unchanged, of a new product none.
    #[serde(default)]
    pub description: Option<String>,
}

/// A stream and its newest revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "product": "fedora-coreos", "stream": "stable", "revision": 42, "changed_at": "2026-07-22T14:00:00Z" }))]
pub struct StreamSummary {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The newest revision.
    pub revision: i64,
    /// When the newest revision was created.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

impl StreamSummary {
    /// Describes a stream by its newest revision.
    #[must_use]
    pub fn new(head: &Head) -> Self {
        Self {
            product: head.id.product.to_string(),
            stream: head.id.stream.to_string(),
            revision: head.revision.0,
            changed_at: head.changed_at,
        }
    }
}

/// The settings of a stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "description": "Machines in production. Ask the release desk.",
    "arches": ["aarch64", "x86_64"], "mirrors": ["registry.example/os"], "edge_rule": "derived", "identity": "payload", "targets": { "newest": 2 },
    "default_rollout": "linear-48h",
    "protection": { "shortest_rollout": "PT24H", "freeze_windows": [
        { "from": "friday 16:00", "until": "monday 08:00", "zone": "Europe/Berlin", "reason": "weekend" }
    ] }
}))]
pub struct StreamSettings {
    /// What the stream is for: 1 to 1000 bytes of text without control characters other than line feeds; the empty text removes it.
    /// Default: unchanged, of a new stream none.
    #[serde(default)]
    pub description: Option<String>,
    /// The arches that the stream serves, including those without a release yet. Default: none.
    #[serde(default)]
    pub arches: Vec<String>,
    /// OCI repositories that mirror the stream's images under the same digests. Default: none.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Which updates there are: `derived` from order, barriers and rollouts, `open` (every older release may update to every newer one), or
    /// `explicit` (the releases list their predecessors). Default: unchanged, of a new stream `derived`.
    #[serde(default)]
    pub edge_rule: Option<String>,
    /// What identifies the nodes on a release: its `payload`, or the `version` that they report. Default: unchanged, of a new stream
    /// `payload`.
    #[serde(default)]
    pub identity: Option<String>,
    /// How many of the targets that are open to a node it is shown, with the edge rule `derived`: the text `all`, or the newest ones and the
    /// barrier. Default: unchanged, of a new stream what the protocol of its product sets.
    #[serde(default)]
    pub targets: Option<TargetsDocument>,
    /// Limits on how fast and when rollouts may open. Default: none.
    #[serde(default)]
    pub protection: ProtectionDocument,
    /// The preset of the rollout that a draft without rollouts gets when it is published, or `none`. Publishers use it, too. Default:
    /// unchanged, of a new stream `none`.
    #[serde(default)]
    pub default_rollout: Option<String>,
    /// The stream on which its images are built, with its product (`fedora-coreos/stable`), or `none`. Its barriers and dead ends are inherited.
    /// Setting it requires the role `viewer` on that stream, too. Default: unchanged, of a new stream `none`.
    #[serde(default)]
    pub base: Option<String>,
    /// How long the base may have a newer release before a finding says so: ISO 8601 in whole minutes (`P14D`), or `none`. Default: unchanged, of
    /// a new stream `none`.
    #[serde(default)]
    pub base_lag: Option<String>,
    /// The repository whose tags become releases of the stream, or `none`. Default: unchanged, of a new stream `none`.
    #[serde(default)]
    pub follow: Option<FollowSetting>,
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamModel {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The newest revision.
    pub revision: i64,
    /// The number of releases, without drafts.
    pub releases: usize,
    /// The version of the newest published release; null if the stream has no published release.
    pub newest: Option<String>,
    /// The settings.
    pub settings: StreamSettings,
    /// The emergency stop of the stream; null if none is in force.
    pub emergency_stop: Option<StopDocument>,
    /// The emergency stop of the product; null if none is in force.
    pub product_emergency_stop: Option<StopDocument>,
}

impl StreamModel {
    /// Describes the present state of a stream.
    #[must_use]
    pub fn new(snapshot: &StreamAtRevision) -> Self {
        let stream = &snapshot.stream;
        let StopModel { emergency_stop, product_emergency_stop } = StopModel::new(stream);
        let (base, none) = (stream.base.as_deref(), || "none".to_owned());
        Self {
            product: stream.id.product.to_string(),
            stream: stream.id.stream.to_string(),
            revision: snapshot.revision.0,
            releases: stream.aged().count(),
            newest: snapshot.newest().map(|release| release.version.to_string()),
            settings: StreamSettings {
                description: Some(stream.description.as_ref().map(ToString::to_string).unwrap_or_default()),
                arches: stream.arches.iter().map(ToString::to_string).collect(),
                mirrors: stream.mirrors.iter().map(ToString::to_string).collect(),
                edge_rule: Some(stream.rules.edge_rule.as_str().into()),
                identity: Some(stream.rules.identity.as_str().into()),
                targets: Some(stream.rules.targets.into()),
                protection: protection(&stream.protection),
                default_rollout: Some(stream.default_rollout.map_or("none", |preset| preset.as_str()).into()),
                base: Some(base.map_or_else(none, |base| base.stream.to_string())),
                base_lag: Some(base.and_then(|base| base.lag).map_or_else(none, |lag| lag.to_string())),
                follow: Some(follow(stream)),
            },
            emergency_stop,
            product_emergency_stop,
        }
    }
}

fn follow(stream: &Stream) -> FollowSetting {
    match stream.follow.as_deref() {
        Some(follow) => FollowSetting::Repository(FollowDocument::from(follow)),
        None => FollowSetting::Named("none".into()),
    }
}

fn protection(protection: &Protection) -> ProtectionDocument {
    crate::domain::document::protection(protection).unwrap_or_default()
}

/// The emergency stops of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "emergency_stop": { "since": "2026-07-22T14:00:00Z", "reason": "nodes do not come up again" },
    "product_emergency_stop": null }))]
pub struct StopModel {
    /// The stream's own stop; null if none is in force.
    pub emergency_stop: Option<StopDocument>,
    /// The stop of the product, which stops all its streams; null if none is in force.
    pub product_emergency_stop: Option<StopDocument>,
}

impl StopModel {
    /// Describes the stops of a stream.
    #[must_use]
    pub fn new(stream: &Stream) -> Self {
        let [emergency_stop, product_emergency_stop] =
            [&stream.stop, &stream.product_stop].map(|stop| stop.as_ref().map(crate::domain::document::stop));
        Self { emergency_stop, product_emergency_stop }
    }
}

/// The emergency stop of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "emergency_stop": { "since": "2026-07-22T14:00:00Z", "reason": "nodes do not come up again" } }))]
pub struct ProductStopModel {
    /// The stop; null if none is in force.
    pub emergency_stop: Option<StopDocument>,
}
