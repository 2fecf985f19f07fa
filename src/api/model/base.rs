//! What a stream inherits from its base.

use crate::domain::{
    base::BasePolicy,
    document::{self, base_shape::BuiltOnDocument},
    stream::Stream,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The base of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "base": "fedora-coreos/stable", "lag": "P14D", "policies": [
    { "version": "44.20260708.3.0", "age": 212, "kind": "barrier", "reason": "new signing keys",
      "arches": { "aarch64": "in_force", "x86_64": "in_force" }, "builds": { "x86_64": ["44.20260708.3.0.1"] } }
] }))]
pub struct BaseModel {
    /// The stream that is the base, with its product.
    pub base: String,
    /// How long the base may have a newer release before a finding says so; null for any time.
    pub lag: Option<String>,
    /// The barriers and dead ends of the base, oldest first.
    pub policies: Vec<BasePolicyModel>,
}

/// A barrier or a dead end of the base.
#[derive(Debug, Serialize, ToSchema)]
pub struct BasePolicyModel {
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
    /// The releases of the stream that are built on it, oldest first, by arch. Nodes wait for one on each arch without.
    pub builds: BTreeMap<String, Vec<String>>,
}

impl BaseModel {
    /// Describes the base of a stream, if it has one.
    #[must_use]
    pub fn new(stream: &Stream) -> Option<Self> {
        let base = stream.base.as_ref()?;
        let documents = document::base_policies(&base.policies);
        let policies = base.policies.iter().zip(documents).map(|(policy, document)| BasePolicyModel {
            version: document.version,
            age: document.age,
            kind: document.kind,
            reason: document.reason,
            arches: document.arches,
            builds: builds(stream, policy),
        });
        Some(Self {
            base: base.stream.to_string(),
            lag: base.lag.map(|lag| lag.to_string()),
            policies: policies.collect(),
        })
    }
}

fn builds(stream: &Stream, policy: &BasePolicy) -> BTreeMap<String, Vec<String>> {
    let mut builds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, release) in stream.aged() {
        let built_on = release.built_on.iter().flat_map(|built_on| built_on.iter());
        for (arch, _) in built_on.filter(|(arch, on)| on.age == policy.release.age && policy.arches.contains_key(*arch))
        {
            builds.entry(arch.to_string()).or_default().push(release.version.to_string());
        }
    }
    builds
}

/// On which release of the base the images of a release are built.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "built_on": { "x86_64": "44.20260708.3.0" } }))]
pub struct NewBuiltOn {
    /// The version in the base, by arch.
    pub built_on: BTreeMap<String, String>,
}

impl NewBuiltOn {
    /// Converts to the shape of stream documents.
    #[must_use]
    pub fn documents(&self) -> Vec<BuiltOnDocument> {
        let document = |(arch, version): (&String, &String)| {
            let (arch, version) = (arch.clone(), version.clone());
            BuiltOnDocument { arch, version, age: 0 }
        };
        self.built_on.iter().map(document).collect()
    }
}
