//! Graph rules: which updates a stream has, how many of them nodes are shown, and what identifies the nodes on a release.

use crate::domain::text::named_values;
use std::fmt;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// How the update graph of a stream is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GraphRules {
    /// Which updates there are.
    pub edge_rule: EdgeRule,
    /// What identifies the nodes on a release.
    pub identity: Identity,
    /// How many of its targets a node is shown.
    pub targets: TargetLimit,
}

impl GraphRules {
    /// Returns how many of its open targets, counted from the newest, a node is shown; `None` if it is shown all of them.
    #[must_use]
    pub fn shown_targets(self) -> Option<NewestTargets> {
        match (self.edge_rule, self.targets) {
            (EdgeRule::Derived, TargetLimit::Newest(newest)) => Some(newest),
            (EdgeRule::Open, _) => Some(NewestTargets::MIN),
            (EdgeRule::Derived, TargetLimit::All) | (EdgeRule::Explicit, _) => None,
        }
    }
}

/// Which updates there are in a stream, before barriers, dead ends, withdrawals and blocked updates remove any.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum EdgeRule {
    /// Every older release may update to a release with rollouts and to a barrier, and none to any other release.
    #[default]
    Derived,
    /// Every older release may update to every newer one. A release without rollouts is open to all nodes.
    Open,
    /// Each release lists its predecessors: the releases that may update to it. A release without rollouts is open to all nodes on them.
    Explicit,
}

/// What identifies the nodes on a release.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Identity {
    /// The payload that they run: that of the release, an alias, or the digest of either in a mirror.
    #[default]
    Payload,
    /// The version that they report, and nothing else.
    Version,
}

/// How many of the targets that are open to a node it is shown, if the edge rule is `derived`. With a rollout on every release, the number of
/// edges to all targets grows with the square of the number of releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetLimit {
    /// All of them.
    #[default]
    All,
    /// The newest ones. A barrier is the newest target of every node that may update to it, and therefore always among them.
    Newest(NewestTargets),
}

/// A number of targets, 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewestTargets(u16);

impl NewestTargets {
    /// One target.
    pub const MIN: Self = Self(1);
    /// The largest number.
    pub const MAX: Self = Self(1000);

    /// Returns this number of targets, or `None` if it is out of range.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= Self::MIN.0 && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<Option<NewestTargets>> for TargetLimit {
    fn from(newest: Option<NewestTargets>) -> Self {
        newest.map_or(Self::All, Self::Newest)
    }
}

/// Writes the limit for people.
impl fmt::Display for TargetLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Newest(newest) => write!(f, "newest {}", newest.0),
        }
    }
}

named_values!(EdgeRule, "edge rule");

impl EdgeRule {
    /// Returns true if a release that has neither a rollout nor a barrier is open to the nodes that have an update to it.
    #[must_use]
    pub fn opens_without_rollouts(self) -> bool {
        self != Self::Derived
    }
}

named_values!(Identity, "identity");
