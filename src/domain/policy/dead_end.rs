//! Dead ends: releases that no update leaves.

use crate::domain::{ids::Arch, origin::Origin, reason::Reason};
use std::collections::BTreeSet;

/// Marks its release as one that no update leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEnd {
    /// Why the release is a dead end, and ideally what to do about it: the agent shows this text to users who log in.
    pub reason: Reason,
    /// The arches on which it applies; all if absent.
    pub arches: Option<BTreeSet<Arch>>,
    /// Its origin.
    pub origin: Origin,
}

impl DeadEnd {
    /// Returns true if the release is a dead end on `arch`.
    #[must_use]
    pub fn applies_to(&self, arch: &Arch) -> bool {
        self.arches.as_ref().is_none_or(|arches| arches.contains(arch))
    }
}
