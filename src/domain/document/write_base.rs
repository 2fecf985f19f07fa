//! Writing of what a stream inherits from its base.

use super::base_shape::{BasePolicyDocument, BuiltOnDocument};
use crate::domain::base::{BasePolicy, BuiltOn};

/// Returns the documents of the policies of a base.
#[must_use]
pub fn base_policies(policies: &[BasePolicy]) -> Vec<BasePolicyDocument> {
    let document = |policy: &BasePolicy| BasePolicyDocument {
        version: policy.release.version.to_string(),
        age: policy.release.age,
        kind: policy.kind.as_str().into(),
        reason: policy.reason.as_str().into(),
        arches: policy.arches.iter().map(|(arch, status)| (arch.to_string(), status.as_str().into())).collect(),
    };
    policies.iter().map(document).collect()
}

/// Returns the documents of what a release is built on.
#[must_use]
pub fn built_on(built_on: Option<&BuiltOn>) -> Vec<BuiltOnDocument> {
    let built_on = built_on.into_iter().flat_map(|built_on| built_on.iter());
    built_on
        .map(|(arch, on)| BuiltOnDocument { arch: arch.to_string(), version: on.version.to_string(), age: on.age })
        .collect()
}
