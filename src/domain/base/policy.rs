//! Barriers and dead ends of a base.

use super::BaseRelease;
use crate::domain::{
    ids::Arch,
    reason::Reason,
    release::{Release, ReleaseState},
    stream::Stream,
    text::named_values,
};
use std::collections::{BTreeMap, BTreeSet};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A kind of policy that is inherited from a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BasePolicyKind {
    /// Its barrier: no update skips the images that are built on it.
    Barrier,
    /// Its dead end: no update leaves the images that are built on it.
    DeadEnd,
}

named_values!(BasePolicyKind, "kind of policy");

impl BasePolicyKind {
    /// Returns what messages call it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::DeadEnd => "dead end",
        }
    }
}

/// Whether an inherited policy counts on an arch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PolicyStatus {
    /// The base has it, and it counts.
    InForce,
    /// The base no longer has it. It counts until a manager accepts that.
    Removed,
    /// The base has it. A manager has decided that it does not count.
    Overridden,
}

named_values!(PolicyStatus, "status");

/// A barrier or a dead end of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePolicy {
    /// The release of the base.
    pub release: BaseRelease,
    /// Which of the two it is.
    pub kind: BasePolicyKind,
    /// The reason.
    pub reason: Reason,
    /// The arches on which the base has or had it; at least one.
    pub arches: BTreeMap<Arch, PolicyStatus>,
}

impl BasePolicy {
    /// Returns true if the policy counts on an arch.
    #[must_use]
    pub fn counts_on(&self, arch: &Arch) -> bool {
        self.arches.get(arch).is_some_and(|status| *status != PolicyStatus::Overridden)
    }

    pub(super) fn key(&self) -> (u32, BasePolicyKind) {
        (self.release.age, self.kind)
    }

    /// Returns the arches on which the policy counts.
    pub fn counting_arches(&self) -> impl Iterator<Item = &Arch> {
        self.arches.keys().filter(|arch| self.counts_on(arch))
    }

    /// Forgets the arches on which the base no longer has the policy. Returns true if there are such.
    pub fn accept_removal(&mut self) -> bool {
        let known = self.arches.len();
        self.arches.retain(|_, status| *status != PolicyStatus::Removed);
        self.arches.len() < known
    }

    /// Sets how the policy stands on the arches on which the base has it.
    pub fn set_status(&mut self, status: PolicyStatus) {
        self.arches
            .values_mut()
            .filter(|present| **present != PolicyStatus::Removed)
            .for_each(|present| *present = status);
    }
}

/// Returns the barriers and dead ends that a stream has as a base, oldest first. They count although their release is withdrawn.
pub(super) fn collect_policies(base: &Stream) -> Vec<BasePolicy> {
    base.aged().flat_map(|(age, release)| collect_release_policies(age, release)).collect()
}

/// Returns the barrier and the dead end of a release, on the arches for which it has a payload.
fn collect_release_policies(age: usize, release: &Release) -> Vec<BasePolicy> {
    if release.state == ReleaseState::Draft || release.barrier.is_none() && release.dead_end.is_none() {
        return Vec::new();
    }
    let built: BTreeSet<&Arch> = release.payloads.keys().map(|key| &key.arch).collect();
    let policy = |kind, reason: &Reason, arches: Option<&BTreeSet<Arch>>| {
        let counted = built.iter().filter(|arch| arches.is_none_or(|arches| arches.contains(**arch)));
        let arches: BTreeMap<Arch, PolicyStatus> =
            counted.map(|arch| (Arch::clone(arch), PolicyStatus::InForce)).collect();
        let release = BaseRelease::new(release.version.clone(), age);
        (!arches.is_empty()).then(|| BasePolicy { release, kind, reason: reason.clone(), arches })
    };
    let barrier = release.barrier.as_deref();
    let barrier = barrier.and_then(|own| policy(BasePolicyKind::Barrier, &own.reason, own.arches.as_ref()));
    let dead_end = release.dead_end.as_deref();
    let dead_end = dead_end.and_then(|own| policy(BasePolicyKind::DeadEnd, &own.reason, own.arches.as_ref()));
    barrier.into_iter().chain(dead_end).collect()
}
