//! Where nodes can go: from a base, and at a barrier of it.

use super::BaseRelease;
use crate::domain::{
    ids::{Arch, Version},
    release::{Release, ReleaseState},
    stream::Stream,
};

/// Returns the newest release to which a node that runs a release of the base can be rebased: no barrier of the base lies between the two.
#[must_use]
pub fn release_to_rebase_to<'a>(stream: &'a Stream, arch: &Arch, from: &BaseRelease) -> Option<&'a Release> {
    let base = stream.base.as_ref()?;
    let barrier = base.barriers_on(arch).map(|barrier| barrier.release.age).find(|age| *age > from.age);
    let published = stream.aged().filter(|(_, release)| release.state == ReleaseState::Published);
    let is_reachable = |release: &Release| {
        let on = release.built_on.as_ref().and_then(|built_on| built_on.get(arch));
        on.is_some_and(|on| on.age >= from.age && barrier.is_none_or(|barrier| on.age <= barrier))
    };
    published.map(|(_, release)| release).rfind(|release| is_reachable(release))
}

/// Returns the barrier of the base that keeps the nodes of a release from newer ones, because no image is built on it: the first one after what the
/// release is built on, if a newer release is built on what came after it.
#[must_use]
pub fn barrier_after<'a>(stream: &'a Stream, arch: &Arch, age: usize) -> Option<&'a Version> {
    let base = stream.base.as_ref()?;
    let on = |release: &Release| Some(release.built_on.as_ref()?.get(arch)?.age);
    let from = on(stream.releases.get(age)?)?;
    let barrier = base.barriers_on(arch).find(|barrier| barrier.release.age > from)?;
    let mut newer = stream.aged().filter(|(other, release)| *other > age && release.state == ReleaseState::Published);
    newer.any(|(_, release)| on(release).is_some_and(|on| on > barrier.release.age)).then_some(&barrier.release.version)
}
