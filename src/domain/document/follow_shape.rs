//! The fields of a followed repository. Unknown fields are rejected.

use crate::domain::{
    follow::{Follow, FollowMode},
    rollout::preset::Preset,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;
use utoipa::ToSchema;

/// A repository whose tags become releases of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "image": "ghcr.io/acme/os", "tags": "^stable-\\d+$", "as": "publish", "rollout": "linear-48h" }))]
pub struct FollowDocument {
    /// The repository, without a tag: `ghcr.io/acme/os`. Its registry must be in the setting `registries.allow` of the service.
    pub image: String,
    /// A regular expression that selects tags, such as `^stable-\d+$`: 1 to 256 ASCII characters. It matches anywhere in a tag unless it has anchors.
    pub tags: String,
    /// What becomes of a new tag: a `draft`, or with `publish` a published release.
    #[serde(rename = "as")]
    pub mode: String,
    /// The preset of the service that is the rollout of the releases. Default: `default_rollout` of the stream, and without one, published releases get
    /// `linear-48h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
}

impl From<&Follow> for FollowDocument {
    fn from(follow: &Follow) -> Self {
        Self {
            image: follow.image.to_string(),
            tags: follow.tags.to_string(),
            mode: FollowMode::as_str(follow.mode).into(),
            rollout: follow.rollout.map(|preset| Preset::as_str(preset).into()),
        }
    }
}

/// A followed repository in the settings of a stream: the text `none`, or the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({ "image": "ghcr.io/acme/os", "tags": "^stable-\\d+$", "as": "draft" }))]
pub enum FollowSetting {
    /// A name: `none`.
    Named(String),
    /// The repository.
    Repository(FollowDocument),
}

impl<'de> Deserialize<'de> for FollowSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = FollowSetting;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the text \"none\", or an object with `image`, `tags` and `as`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<FollowSetting, E> {
        Ok(FollowSetting::Named(name.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<FollowSetting, A::Error> {
        FollowDocument::deserialize(MapAccessDeserializer::new(fields)).map(FollowSetting::Repository)
    }
}
