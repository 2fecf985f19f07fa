//! The fields of a stream document that are about its base.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The release of the base on which the image for an arch is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "arch": "x86_64", "version": "44.20260708.3.0", "age": 212 }))]
pub struct BuiltOnDocument {
    /// The architecture, by the kernel's name.
    pub arch: String,
    /// The version in the base.
    pub version: String,
    /// The age index in the base. Recorded by the service; the value in a document is ignored.
    #[serde(default)]
    pub age: u32,
}

/// A barrier or a dead end of the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": "44.20260708.3.0", "age": 212, "kind": "barrier", "reason": "new signing keys",
    "arches": { "aarch64": "overridden", "x86_64": "in_force" } }))]
pub struct BasePolicyDocument {
    /// The version in the base.
    pub version: String,
    /// The age index in the base.
    pub age: u32,
    /// `barrier` or `dead_end`.
    pub kind: String,
    /// The reason that the base gives.
    pub reason: String,
    /// How it stands on each arch: `in_force`; `removed` if the base no longer has it, but it still counts; or `overridden` if it does not count.
    pub arches: BTreeMap<String, String>,
}
