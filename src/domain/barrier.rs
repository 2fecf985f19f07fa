//! Barriers: a release that nodes before it must reach first.

use super::{arch::Arch, origin::Origin, reason::Reason};
use std::collections::BTreeSet;

/// Makes its release one that nobody may skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Why.
    pub reason: Reason,
    /// On which arches; none given means all.
    pub arches: Option<BTreeSet<Arch>>,
    /// Who set it.
    pub origin: Origin,
}

impl Barrier {
    /// Does it stand on this arch?
    #[must_use]
    pub fn stands_on(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
