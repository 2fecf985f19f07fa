//! Releases: one version in a stream, with its payloads and policies.

use super::{
    arch::Arch,
    artifact::{Artifact, ArtifactKey, Notes, Promotion},
    barrier::Barrier,
    dead_end::DeadEnd,
    origin::Origin,
    payload::{Payload, PayloadId, Scheme},
    rollout::Rollout,
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where a payload belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadKey {
    /// The architecture.
    pub arch: Arch,
    /// The scheme.
    pub scheme: Scheme,
}

/// One version in a stream. Its age is its place in [`super::stream::Stream::releases`].
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The version.
    pub version: Version,
    /// Draft, published or withdrawn.
    pub state: ReleaseState,
    /// Who set the state.
    pub origin: Origin,
    /// What it is, on each arch and scheme.
    pub payloads: BTreeMap<PayloadKey, Payload>,
    /// Other payloads by which nodes may name it.
    pub aliases: BTreeMap<PayloadKey, BTreeSet<PayloadId>>,
    /// Makes it one that nobody may skip.
    pub barrier: Option<Barrier>,
    /// Ends all updates at it.
    pub dead_end: Option<DeadEnd>,
    /// How it is opened; the first that picks a node counts for it.
    pub rollouts: Vec<Rollout>,
    /// What somebody here took away; upstream's is not taken back.
    pub cleared: BTreeSet<Aspect>,
    /// What it brings, for people.
    pub notes: Option<Notes>,
    /// Where its files are.
    pub artifacts: BTreeMap<ArtifactKey, Artifact>,
    /// The release of another stream that it is a promotion of.
    pub promoted_from: Option<Promotion>,
}

/// What may be set on a release, or taken away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Its barrier.
    Barrier,
    /// Its dead end.
    DeadEnd,
    /// Its list of rollouts.
    Rollouts,
}

impl Aspect {
    /// Every aspect.
    pub const ALL: [Self; 3] = [Self::Barrier, Self::DeadEnd, Self::Rollouts];

    /// Its name in documents and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::DeadEnd => "dead_end",
            Self::Rollouts => "rollouts",
        }
    }

    /// The aspect of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aspect| aspect.as_str() == name)
    }
}

/// Where a release stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseState {
    /// Not published: it has no age and is in no answer.
    Draft,
    /// Nodes may run it and be sent to it.
    Published,
    /// Nodes that run it are known and sent on; none is sent to it.
    Withdrawn,
}

impl ReleaseState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Published, Self::Withdrawn];

    /// Its name in documents and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl Release {
    /// A published release without payloads and policies.
    #[must_use]
    pub fn published(version: Version, origin: Origin) -> Self {
        Self {
            version,
            state: ReleaseState::Published,
            origin,
            payloads: BTreeMap::new(),
            aliases: BTreeMap::new(),
            barrier: None,
            dead_end: None,
            rollouts: Vec::new(),
            cleared: BTreeSet::new(),
            notes: None,
            artifacts: BTreeMap::new(),
            promoted_from: None,
        }
    }

    /// Is any of its payloads a placeholder?
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.payloads.values().any(|payload| payload.synthetic)
    }
}
