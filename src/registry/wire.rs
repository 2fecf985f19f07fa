//! The documents of registries (OCI image specification; Docker image manifest version 2, schema 2). Other fields are ignored.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Labels or annotations. A null stands for an empty map in documents of some builders.
pub(super) type Labels = BTreeMap<String, String>;

/// What a tag or a digest stands for: an index has `manifests`, an image has `config`.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(rename = "schemaVersion")]
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) manifests: Option<Vec<Entry>>,
    #[serde(default)]
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(super) annotations: Option<Labels>,
}

/// A page of the tags of a repository. A null stands for an empty list in answers of some registries.
#[derive(Debug, Deserialize)]
pub(super) struct Tags {
    #[serde(default)]
    pub(super) tags: Option<Vec<String>>,
}

/// An image in an index.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) digest: String,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: String,
    /// Where else the content is. Registries need not have it then.
    #[serde(default)]
    pub(super) urls: Option<Vec<String>>,
}

/// The config of an image.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) os: String,
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) created: Option<String>,
    /// How the image runs, and its labels.
    #[serde(default, rename = "config")]
    pub(super) execution: Option<Execution>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Execution {
    #[serde(default, rename = "Labels")]
    pub(super) labels: Option<Labels>,
}
