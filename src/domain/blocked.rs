//! Blocked updates: this pair must not be taken, and why.

use super::{arch::Arch, origin::Origin, reason::Reason, version::Version};
use std::collections::BTreeSet;

/// Forbids going directly from any of a range of releases to a given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedUpdate {
    /// The oldest release of the range.
    pub first: Version,
    /// The newest release of the range, itself included.
    pub last: Version,
    /// The release that must not be the target.
    pub target: Version,
    /// Why.
    pub reason: Reason,
    /// On which arches; none given means all.
    pub arches: Option<BTreeSet<Arch>>,
    /// Who set it.
    pub origin: Origin,
}

impl BlockedUpdate {
    /// Does it hold on this arch?
    #[must_use]
    pub fn holds_on(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
