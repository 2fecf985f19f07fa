//! Blocked updates: pairs of releases between which nodes must not update directly.

use crate::domain::{
    ids::{Arch, Version},
    origin::Origin,
    reason::Reason,
};
use std::collections::BTreeSet;

/// Forbids a direct update from any of a range of releases to a given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedUpdate {
    /// The oldest release of the range.
    pub first: Version,
    /// The newest release of the range, inclusive.
    pub last: Version,
    /// The release that must not be the target.
    pub target: Version,
    /// Why the update is blocked.
    pub reason: Reason,
    /// The arches on which it applies; all if absent.
    pub arches: Option<BTreeSet<Arch>>,
    /// Its origin.
    pub origin: Origin,
}

impl BlockedUpdate {
    /// Returns true if both block the same updates, whatever their reasons and origins.
    #[must_use]
    pub fn blocks_same(&self, other: &Self) -> bool {
        (&self.first, &self.last, &self.target, &self.arches)
            == (&other.first, &other.last, &other.target, &other.arches)
    }

    /// Returns true if the update is blocked on `arch`.
    #[must_use]
    pub fn applies_to(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
