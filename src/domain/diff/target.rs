//! What a change is about.

use crate::domain::{
    artifact::ArtifactKey,
    base::BasePolicyKind,
    ids::{Arch, Version},
    payload::{PayloadId, Repository},
    release::{PayloadKey, PolicyKind},
    rollout::id::RolloutId,
    stream::SourceKind,
};
use std::fmt;

/// Identifies a release of a stream. Only upstream lists a version more than once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseId {
    /// The version.
    pub version: Version,
    /// The number among the releases of this version, from 1.
    pub occurrence: usize,
}

/// The part of a stream that a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The description of the stream, if it has one.
    Description,
    /// An arch that the stream serves.
    Arch(Arch),
    /// A mirror of the stream.
    Mirror(Repository),
    /// The edge rule of the stream, if it is not the default.
    EdgeRule,
    /// What identifies nodes, if it is not the default.
    Identity,
    /// How many targets nodes are shown, if not all.
    Targets,
    /// The shortest rollout that the stream allows.
    ShortestRollout,
    /// The groups that are exempt from the shortest rollout.
    Canaries,
    /// The rollout that drafts without rollouts get when they are published, if there is one.
    DefaultRollout,
    /// The stream on which its images are built.
    Base,
    /// How much newer the base may be.
    BaseLag,
    /// A barrier or a dead end of the base.
    BasePolicy {
        /// The version in the base.
        version: Version,
        /// Which of the two it is.
        kind: BasePolicyKind,
    },
    /// The repository that the stream follows, if there is one.
    Follow,
    /// A freeze window, identified by its time span in the form of documents.
    FreezeWindow {
        /// The first moment.
        from: String,
        /// The first moment after the window.
        until: String,
        /// The time zone, if the window repeats every week.
        zone: Option<String>,
    },
    /// The emergency stop of the stream.
    EmergencyStop,
    /// An upstream document that the stream was imported from.
    UpstreamDocument(SourceKind),
    /// A release: its state and age.
    Release(ReleaseId),
    /// The barrier of a release.
    Barrier(ReleaseId),
    /// The dead end of a release.
    DeadEnd(ReleaseId),
    /// The predecessors of a release.
    Predecessors(ReleaseId),
    /// A rollout of a release.
    Rollout {
        /// The release.
        release: ReleaseId,
        /// The rollout.
        id: RolloutId,
    },
    /// The order in which the rollouts of a release are tried on a node, if it is not that of their ids.
    RolloutOrder(ReleaseId),
    /// A policy of upstream that is suppressed here.
    SuppressedUpstream {
        /// The release.
        release: ReleaseId,
        /// The kind of policy.
        policy: PolicyKind,
    },
    /// The payload of a release on an arch and scheme.
    Payload {
        /// The release.
        release: ReleaseId,
        /// The arch and scheme.
        key: PayloadKey,
    },
    /// An alias of a release on an arch and scheme.
    Alias {
        /// The release.
        release: ReleaseId,
        /// The alias.
        id: PayloadId,
        /// The arch and scheme.
        key: PayloadKey,
    },
    /// An artifact of a release.
    Artifact {
        /// The release.
        release: ReleaseId,
        /// The arch and name.
        key: ArtifactKey,
    },
    /// The notes of a release.
    Notes(ReleaseId),
    /// The release of another stream from which a release was promoted.
    Promotion(ReleaseId),
    /// The release of the base on which a release is built, on an arch.
    BuiltOn {
        /// The release.
        release: ReleaseId,
        /// The arch.
        arch: Arch,
    },
    /// A blocked update.
    BlockedUpdate {
        /// The oldest release of the range.
        first: Version,
        /// The newest release of the range.
        last: Version,
        /// The release that must not be the target.
        target: Version,
    },
}

/// The name of a target. Names have the order in which changes are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    subject: String,
    detail: Option<String>,
}

impl Target {
    /// Returns the release that the target belongs to.
    #[must_use]
    pub fn release(&self) -> Option<&ReleaseId> {
        match self {
            Self::Release(release)
            | Self::Barrier(release)
            | Self::DeadEnd(release)
            | Self::Predecessors(release)
            | Self::Rollout { release, .. }
            | Self::RolloutOrder(release)
            | Self::SuppressedUpstream { release, .. }
            | Self::Payload { release, .. }
            | Self::Alias { release, .. }
            | Self::Artifact { release, .. }
            | Self::Notes(release)
            | Self::Promotion(release)
            | Self::BuiltOn { release, .. } => Some(release),
            _ => None,
        }
    }

    /// Returns true for a detail of a release: it is part of a change only if the release exists on both sides.
    pub(super) fn is_detail(&self) -> bool {
        matches!(
            self,
            Self::Payload { .. } | Self::Alias { .. } | Self::Artifact { .. } | Self::Notes(_) | Self::Promotion(_)
        )
    }

    pub(super) fn name(&self) -> Name {
        let whole = |subject: String| Name { subject, detail: None };
        let detail = |release: &ReleaseId, detail: String| Name { subject: release.to_string(), detail: Some(detail) };
        match self {
            Self::Description => whole("description".into()),
            Self::Arch(arch) => whole(format!("arch {arch}")),
            Self::Mirror(mirror) => whole(format!("mirror {mirror}")),
            Self::EdgeRule => whole("edge rule".into()),
            Self::Identity => whole("identity".into()),
            Self::Targets => whole("targets".into()),
            Self::DefaultRollout => whole("default rollout".into()),
            Self::Base => whole("base".into()),
            Self::BaseLag => whole("base lag".into()),
            Self::BasePolicy { version, kind } => {
                whole(format!("{} {version} of the base", kind.as_str().replace('_', " ")))
            }
            Self::Follow => whole("followed repository".into()),
            Self::ShortestRollout => whole("shortest rollout".into()),
            Self::Canaries => whole("canaries".into()),
            Self::FreezeWindow { from, until, zone } => {
                let zone = zone.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
                whole(format!("freeze window {from} to {until}{zone}"))
            }
            Self::EmergencyStop => whole("emergency stop".into()),
            Self::UpstreamDocument(kind) => whole(format!("upstream document {kind}")),
            Self::Release(release) => whole(release.to_string()),
            Self::Barrier(release) => whole(format!("{release}, barrier")),
            Self::DeadEnd(release) => whole(format!("{release}, dead end")),
            Self::Predecessors(release) => whole(format!("{release}, predecessors")),
            Self::Rollout { release, id } => whole(format!("{release}, rollout {id}")),
            Self::RolloutOrder(release) => whole(format!("{release}, order of rollouts")),
            Self::SuppressedUpstream { release, policy } => whole(format!("{release}, upstream {}", policy.as_str())),
            Self::Payload { release, key } => detail(release, format!("{} {}", key.arch, key.scheme)),
            Self::Alias { release, id, .. } => detail(release, format!("alias {id}")),
            Self::Artifact { release, key } => detail(release, format!("artifact {} for {}", key.name, key.arch)),
            Self::Notes(release) => detail(release, "notes".into()),
            Self::Promotion(release) => detail(release, "promoted".into()),
            Self::BuiltOn { release, arch } => detail(release, format!("built on for {arch}")),
            Self::BlockedUpdate { first, last, target } => {
                whole(format!("blocked update {first}..={last} to {target}"))
            }
        }
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.occurrence {
            1 => write!(f, "release {}", self.version),
            occurrence => write!(f, "release {} (listed again, {occurrence})", self.version),
        }
    }
}

/// Writes the subject of a change, such as `release 44.1.0, rollout 1`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Name { subject, detail } = self.name();
        match detail {
            Some(detail) => write!(f, "{subject}, {detail}"),
            None => f.write_str(&subject),
        }
    }
}
