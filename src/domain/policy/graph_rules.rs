//! Graph rules: which updates a stream has, and what identifies the nodes on a release.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// How the update graph of a stream is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GraphRules {
    /// Which updates there are.
    pub edge_rule: EdgeRule,
    /// What identifies the nodes on a release.
    pub identity: Identity,
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

impl EdgeRule {
    /// Every edge rule.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the name that documents and the database use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the edge rule with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Returns true if a release that has neither a rollout nor a barrier is open to the nodes that have an update to it.
    #[must_use]
    pub fn opens_without_rollouts(self) -> bool {
        self != Self::Derived
    }
}

impl Identity {
    /// Every identity.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the name that documents and the database use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the identity with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}
