//! The value of a target on one side of a comparison.

use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    artifact::{Artifact, Notes, Promotion},
    base::PolicyStatus,
    description::Description,
    document::{self, shape::RolloutDocument},
    duration::Minutes,
    follow::Follow,
    hash::ContentHash,
    ids::{Arch, StreamId, Version},
    origin::Origin,
    payload::Payload,
    policy::graph_rules::{EdgeRule, Identity, TargetLimit},
    reason::Reason,
    release::{PayloadKey, ReleaseState},
    rollout::{Rollout, id::RolloutId, preset::Preset, selector::Label, share::rounded},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The value of a target in one state of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A description.
    Description(Description),
    /// The arch is served.
    Served,
    /// Nodes that run images of the mirror are recognised.
    Recognised,
    /// The policy of upstream is suppressed here.
    Suppressed,
    /// A duration.
    Duration(Minutes),
    /// A set of groups.
    Groups(BTreeSet<Label>),
    /// The reason for a freeze window.
    Freeze(Reason),
    /// An emergency stop.
    Stop(EmergencyStop),
    /// The hash of an upstream document.
    Document(ContentHash),
    /// A release.
    Release {
        /// Its state.
        state: ReleaseState,
        /// Its position in the stream, which is its age index unless it is a draft.
        age: usize,
        /// The origin of the state.
        origin: Origin,
    },
    /// A barrier or a dead end.
    Policy {
        /// Its reason.
        reason: Reason,
        /// The arches on which it applies; all if absent.
        arches: Option<BTreeSet<Arch>>,
        /// Its origin.
        origin: Origin,
    },
    /// A stream.
    Stream(StreamId),
    /// A barrier or a dead end of the base.
    BasePolicy {
        /// Its reason.
        reason: Reason,
        /// How it counts on each arch.
        arches: BTreeMap<Arch, PolicyStatus>,
    },
    /// A release of the base.
    BaseRelease(Version),
    /// An edge rule.
    EdgeRule(EdgeRule),
    /// What identifies nodes.
    Identity(Identity),
    /// How many targets nodes are shown.
    Targets(TargetLimit),
    /// A preset.
    Preset(Preset),
    /// A followed repository.
    Follow(Box<Follow>),
    /// The predecessors of a release.
    Predecessors {
        /// Their versions.
        versions: BTreeSet<Version>,
        /// Their origin.
        origin: Origin,
    },
    /// A rollout.
    Rollout(Box<Rollout>),
    /// The ids of rollouts, in their order.
    RolloutOrder(Vec<RolloutId>),
    /// A payload.
    Payload(Payload),
    /// An alias.
    Alias {
        /// The arch and scheme.
        key: PayloadKey,
        /// Its origin.
        origin: Origin,
    },
    /// An artifact.
    Artifact(Artifact),
    /// Release notes.
    Notes(Notes),
    /// The source of a promoted release.
    Promotion(Promotion),
    /// A blocked update.
    BlockedUpdate {
        /// Its reason.
        reason: Reason,
        /// Its origin.
        origin: Origin,
    },
}

/// Writes the value for people. Hashes are shortened.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Description(description) => description.fmt(f),
            Self::Served => f.write_str("served"),
            Self::Recognised => f.write_str("recognised"),
            Self::Suppressed => f.write_str("suppressed here"),
            Self::Duration(minutes) => minutes.fmt(f),
            Self::Groups(groups) => f.write_str(&joined(groups.iter().map(Label::as_str), ", ")),
            Self::Freeze(reason) => f.write_str(reason.as_str()),
            Self::Stop(stop) => write!(f, "since {}: {}", stop.since, stop.reason.as_str()),
            Self::Document(hash) => f.write_str(&short(*hash)),
            Self::Release { state, age, origin } => {
                write!(f, "{}, age index {age} ({})", state.as_str(), origin.as_str())
            }
            Self::Policy { reason, arches, origin } => {
                f.write_str(reason.as_str())?;
                if let Some(arches) = arches {
                    write!(f, " (on {})", joined(arches.iter().map(Arch::as_str), ", "))?;
                }
                write!(f, " ({})", origin.as_str())
            }
            Self::Stream(stream) => stream.fmt(f),
            Self::BasePolicy { reason, arches } => {
                let status =
                    |(arch, status): (&Arch, &PolicyStatus)| format!("{} on {arch}", status.as_str().replace('_', " "));
                write!(f, "{} ({})", reason.as_str(), joined(arches.iter().map(status), ", "))
            }
            Self::BaseRelease(version) => version.fmt(f),
            Self::EdgeRule(rule) => f.write_str(rule.as_str()),
            Self::Identity(identity) => f.write_str(identity.as_str()),
            Self::Targets(limit) => limit.fmt(f),
            Self::Preset(preset) => f.write_str(preset.as_str()),
            Self::Follow(follow) => follow.fmt(f),
            Self::Predecessors { versions, origin } => {
                write!(f, "{} ({})", joined(versions.iter().map(Version::as_str), ", "), origin.as_str())
            }
            Self::Rollout(rollout) => {
                write!(f, "{} ({})", describe_rollout(&document::rollout(rollout)), rollout.origin.as_str())
            }
            Self::RolloutOrder(ids) => f.write_str(&joined(ids.iter().map(ToString::to_string), ", ")),
            Self::Payload(payload) => {
                write!(f, "{}{}", payload.id, if payload.synthetic { " (synthetic)" } else { "" })
            }
            Self::Alias { key, origin } => write!(f, "{} {} ({})", key.arch, key.scheme, origin.as_str()),
            Self::Artifact(artifact) => {
                artifact.location.fmt(f)?;
                artifact.sha256.map_or(Ok(()), |hash| write!(f, " ({})", short(hash)))
            }
            Self::Notes(notes) => {
                let text = notes.as_str();
                write!(f, "{} bytes, {}", text.len(), short(ContentHash::from_content(text.as_bytes())))
            }
            Self::Promotion(from) => write!(f, "from {} {}", from.stream, from.version),
            Self::BlockedUpdate { reason, origin } => write!(f, "{} ({})", reason.as_str(), origin.as_str()),
        }
    }
}

fn describe_rollout(document: &RolloutDocument) -> String {
    let mut words = Vec::new();
    if let Some(selector) = &document.selector {
        let parts = [
            ("arches", &selector.arches),
            ("schemes", &selector.schemes),
            ("groups", &selector.groups),
            ("platforms", &selector.platforms),
        ];
        let parts = parts.into_iter().filter_map(|(name, set)| Some(format!("{name} {}", set.as_ref()?.join("+"))));
        words.push(format!("for {}", joined(parts, ", ")));
    }
    words.push(format!("from share {}", rounded(document.start_share.unwrap_or(0.0))));
    if let Some(start) = &document.start {
        words.push(format!("at {start}"));
    }
    if let Some(duration) = &document.duration {
        words.push(format!("to {} in {duration}", rounded(document.end_share.unwrap_or(1.0))));
    }
    for step in document.steps.iter().flatten() {
        words.push(format!("to {} after {}", rounded(step.share), step.after));
    }
    if let Some(state) = &document.state {
        words.push(format!(
            "({state}{})",
            document.paused_at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default()
        ));
    }
    words.join(" ")
}

fn joined(words: impl Iterator<Item = impl AsRef<str>>, separator: &str) -> String {
    let mut text = String::new();
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(word.as_ref());
    }
    text
}

fn short(hash: ContentHash) -> String {
    hash.to_string().chars().take(12).collect()
}
