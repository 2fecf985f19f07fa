//! Graph rules: which updates a stream has, and what identifies the nodes on a release.

use crate::domain::text::named_values;
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

named_values!(EdgeRule, "edge rule");

impl EdgeRule {
    /// Returns true if a release that has neither a rollout nor a barrier is open to the nodes that have an update to it.
    #[must_use]
    pub fn opens_without_rollouts(self) -> bool {
        self != Self::Derived
    }
}

named_values!(Identity, "identity");
