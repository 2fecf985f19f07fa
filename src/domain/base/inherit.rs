//! Copies what a stream inherits from its base.

use super::{Base, BasePolicy, BaseRelease, BuiltOn, PolicyStatus, policy::collect_policies};
use crate::domain::{
    changes::{Changes, Pair},
    ids::{Arch, Version},
    release::{Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Returns true if two states of a stream differ in what streams on it inherit: barriers, dead ends, or ages.
#[must_use]
pub fn changes_what_is_inherited(before: &Stream, after: &Stream) -> bool {
    let changes = Changes::between(before, after);
    let inherited = |release: Option<&Release>| {
        let release = release.filter(|release| release.state != ReleaseState::Draft)?;
        let has_any = release.barrier.is_some() || release.dead_end.is_some();
        let arches: Option<BTreeSet<_>> =
            has_any.then(|| release.payloads.keys().map(|key| key.arch.clone()).collect());
        arches.map(|arches| (release.barrier.clone(), release.dead_end.clone(), arches))
    };
    let is_published = |release: Option<&Release>| release.is_some_and(|release| release.state != ReleaseState::Draft);
    let has_other_age = |pair: &Pair<'_>| match (pair.before, pair.after) {
        (Some(old), Some(new)) => old.index != new.index && is_published(pair.old_release()),
        (old, None) => old.is_some() && is_published(pair.old_release()),
        (None, _) => false,
    };
    changes
        .pairs()
        .iter()
        .any(|pair| inherited(pair.old_release()) != inherited(pair.new_release()) || has_other_age(pair))
}

/// Returns a stream with what its base has now: its barriers and dead ends, and its ages. Barriers that the base no longer has still count.
#[must_use]
pub fn inherit_from(derived: &Stream, base: &Stream) -> Stream {
    let Some(own) = &derived.base else { return derived.clone() };
    let ages: HashMap<&Version, usize> = base.aged().rev().map(|(age, release)| (&release.version, age)).collect();
    let current = |release: &BaseRelease| match ages.get(&release.version) {
        Some(age) => BaseRelease::new(release.version.clone(), *age),
        None => release.clone(),
    };
    let mut derived = Stream { base: Some(Box::new(own.refreshed(base, current))), ..derived.clone() };
    for release in &mut derived.releases {
        let Some(built_on) = &release.built_on else { continue };
        let moved: BuiltOn = built_on.iter().map(|(arch, release)| (arch.clone(), current(release))).collect();
        // A release that is not written stays shared with other states.
        if moved != **built_on {
            release.built_on = Some(Box::new(moved));
        }
    }
    derived
}

impl Base {
    fn refreshed(&self, base: &Stream, current: impl Fn(&BaseRelease) -> BaseRelease) -> Self {
        let mut policies: BTreeMap<_, BasePolicy> =
            collect_policies(base).into_iter().map(|policy| (policy.key(), policy)).collect();
        for known in &self.policies {
            let known = BasePolicy { release: current(&known.release), ..known.clone() };
            let present = policies.get_mut(&known.key());
            let is_present = |arch: &Arch| present.as_ref().is_some_and(|present| present.arches.contains_key(arch));
            // What was overridden has no effect that could be lost.
            let removed: BTreeMap<_, _> = known
                .arches
                .iter()
                .filter(|(arch, status)| **status != PolicyStatus::Overridden && !is_present(arch))
                .map(|(arch, _)| (arch.clone(), PolicyStatus::Removed))
                .collect();
            match present {
                Some(present) => {
                    for (arch, status) in &mut present.arches {
                        if known.arches.get(arch) == Some(&PolicyStatus::Overridden) {
                            *status = PolicyStatus::Overridden;
                        }
                    }
                    present.arches.extend(removed);
                }
                None if removed.is_empty() => {}
                None => drop(policies.insert(known.key(), BasePolicy { arches: removed, ..known })),
            }
        }
        Self { policies: policies.into_values().collect(), ..self.clone() }
    }
}
