//! Releases: one version in a stream, with its payloads and policies.

use super::{
    artifact::{Artifact, ArtifactKey, Notes, Promotion},
    base::BuiltOn,
    ids::{Arch, Version},
    origin::Origin,
    payload::{Payload, PayloadId, Scheme},
    policy::{barrier::Barrier, dead_end::DeadEnd, predecessors::Predecessors},
    rollout::{Rollout, id::RolloutId},
    text::named_values,
};
use litemap::LiteMap;
use std::collections::BTreeSet;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The arch and scheme of a payload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadKey {
    /// The architecture.
    pub arch: Arch,
    /// The scheme.
    pub scheme: Scheme,
}

/// Aliases on one arch and scheme, with the origin of each.
pub type Aliases = LiteMap<PayloadId, Origin>;

/// One version in a stream. Its age is its index in the releases of its stream. There may be a million of them in memory, so what most of them
/// lack is boxed.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// Draft, published or withdrawn.
    pub state: ReleaseState,
    /// The origin of the state.
    pub origin: Origin,
    /// Its payload on each arch and scheme.
    pub payloads: LiteMap<PayloadKey, Payload>,
    /// Other payloads under which nodes may report it. Those of origin `upstream` are payloads that upstream has replaced.
    pub aliases: LiteMap<PayloadKey, Aliases>,
    /// Set if no node may skip the release.
    pub barrier: Option<Box<Barrier>>,
    /// Set if no update leaves the release.
    pub dead_end: Option<Box<DeadEnd>>,
    /// The releases that may update to it, if the stream has explicit edges.
    pub predecessors: Option<Box<Predecessors>>,
    /// Its rollouts. For each node the first one whose selector matches it decides.
    pub rollouts: Vec<Rollout>,
    /// The last id that a rollout of the release was given. The rollout may no longer exist.
    pub last_rollout_id: RolloutId,
    /// Policies that were removed here; imports do not set them again.
    pub suppressed_upstream: BTreeSet<PolicyKind>,
    /// The release notes.
    pub notes: Option<Notes>,
    /// Its artifacts.
    pub artifacts: LiteMap<ArtifactKey, Artifact>,
    /// The release of another stream from which it was promoted.
    pub promoted_from: Option<Box<Promotion>>,
    /// The release of its stream's base that it is built on, for each arch.
    pub built_on: Option<Box<BuiltOn>>,
}

/// A kind of policy that can be set on a release or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PolicyKind {
    /// Its barrier.
    Barrier,
    /// Its dead end.
    DeadEnd,
    /// Its list of rollouts.
    Rollouts,
}

named_values!(PolicyKind, "kind of policy");

/// The state of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ReleaseState {
    /// Not published: it has no age and is not served.
    Draft,
    /// Nodes may run it and update to it.
    Published,
    /// Nodes that run it are recognised and may update from it, but none may update to it.
    Withdrawn,
}

named_values!(ReleaseState, "state");

impl Release {
    /// Builds a published release without payloads and policies.
    #[must_use]
    pub fn published(version: Version, origin: Origin) -> Self {
        Self {
            version,
            state: ReleaseState::Published,
            origin,
            payloads: LiteMap::new_vec(),
            aliases: LiteMap::new_vec(),
            barrier: None,
            dead_end: None,
            predecessors: None,
            rollouts: Vec::new(),
            last_rollout_id: RolloutId::NEW,
            suppressed_upstream: BTreeSet::new(),
            notes: None,
            artifacts: LiteMap::new_vec(),
            promoted_from: None,
            built_on: None,
        }
    }

    /// Copies the release with its texts. The copy reserves no memory that it does not use. Its parts are allocated one after the other: they do
    /// not keep memory in use that was allocated between those of this release, and that is freed by now.
    #[must_use]
    pub fn copied(&self) -> Self {
        let payload = |(key, payload): (&PayloadKey, &Payload)| {
            (key.clone(), Payload { id: payload.id.copied(), synthetic: payload.synthetic })
        };
        let payloads = self.payloads.iter().map(payload).collect::<Vec<_>>();
        let payloads = LiteMap::from_sorted_store_unchecked(payloads);
        Self { version: self.version.copied(), payloads, ..self.clone() }
    }

    /// Returns true if any of its payloads is a placeholder (synthetic).
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.payloads.values().any(|payload| payload.synthetic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::graph::Node;

    /// There may be hundreds of thousands of each in memory.
    #[test]
    fn releases_and_what_graphs_keep_of_them_are_small() {
        let sizes = [size_of::<Release>(), size_of::<Rollout>(), size_of::<(PayloadKey, Payload)>(), size_of::<Node>()];
        let max = [200, 112, 40, 80];
        assert!(sizes.iter().zip(max).all(|(size, max)| *size <= max), "{sizes:?}, at most {max:?}");
    }
}
