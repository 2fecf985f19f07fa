//! Dead ends: a release that no update leads out of.

use super::{arch::Arch, origin::Origin, reason::Reason};
use std::collections::BTreeSet;

/// Ends all updates at its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEnd {
    /// Why, and best what to do: the agent shows it to whoever logs in.
    pub reason: Reason,
    /// On which arches; none given means all.
    pub arches: Option<BTreeSet<Arch>>,
    /// Who set it.
    pub origin: Origin,
}

impl DeadEnd {
    /// Is the release a dead end on this arch?
    #[must_use]
    pub fn holds_on(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
