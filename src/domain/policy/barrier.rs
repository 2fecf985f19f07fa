//! Barriers: releases that older nodes must reach before they can update further.

use crate::domain::{ids::Arch, origin::Origin, reason::Reason};
use std::collections::BTreeSet;

/// Marks its release as one that no node may skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Why the barrier was set.
    pub reason: Reason,
    /// The arches on which it applies; all if absent.
    pub arches: Option<BTreeSet<Arch>>,
    /// Its origin.
    pub origin: Origin,
}

impl Barrier {
    /// Returns true if the release is a barrier on `arch`.
    #[must_use]
    pub fn applies_to(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
