//! Barriers of a base that updates would skip: which image has to be built before nodes go on.

use super::{Base, BasePolicy, BaseRelease};
use crate::domain::{
    finding::{Code, Finding},
    ids::{Arch, Version},
    release::{Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet};

/// A release on one arch.
#[derive(Clone, Copy)]
struct Build<'a> {
    age: usize,
    release: &'a Release,
    on: &'a BaseRelease,
}

impl Build<'_> {
    fn is_published(&self) -> bool {
        self.release.state == ReleaseState::Published
    }
}

/// A barrier that keeps nodes of some arches from newer releases.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Gap<'a> {
    /// The newest release that they wait for.
    newest: &'a Version,
    /// What their images are built on.
    from: &'a Version,
    barrier: &'a Version,
    /// The newest release that is built on the barrier, if nodes reach it and stay there.
    stays_on: Option<&'a Version>,
}

/// Returns a warning for each barrier of the base that keeps nodes from newer releases: no release is built on it, or none after it.
#[must_use]
pub fn skipped_barriers(stream: &Stream) -> Vec<Finding> {
    let Some(base) = &stream.base else { return Vec::new() };
    let mut gaps: BTreeMap<Gap<'_>, BTreeSet<&Arch>> = BTreeMap::new();
    let arches: BTreeSet<&Arch> = stream.payload_keys().into_iter().map(|key| &key.arch).collect();
    for arch in &arches {
        for gap in gaps_on(stream, base, arch) {
            gaps.entry(gap).or_default().insert(arch);
        }
    }
    gaps.into_iter().map(|(gap, on)| gap.finding(base, (on.len() < arches.len()).then_some(&on))).collect()
}

fn gaps_on<'a>(stream: &'a Stream, base: &'a Base, arch: &Arch) -> Vec<Gap<'a>> {
    let builds: Vec<Build<'_>> = stream
        .aged()
        .filter_map(|(age, release)| Some(Build { age, release, on: release.built_on.as_ref()?.get(arch)? }))
        .collect();
    base.barriers_on(arch).filter_map(|barrier| gap(&builds, barrier)).collect()
}

/// Returns the gap at a barrier: nodes from before it, releases from after it, and no way over a release that is built on it.
fn gap<'a>(builds: &[Build<'a>], barrier: &'a BasePolicy) -> Option<Gap<'a>> {
    let at = barrier.release.age;
    let newest = |is_it: &dyn Fn(&Build<'a>) -> bool| {
        builds.iter().filter(|build| is_it(build)).max_by_key(|build| build.age).copied()
    };
    let after = newest(&|build| build.on.age > at && build.is_published())?;
    let before = newest(&|build| build.on.age < at && build.age < after.age)?;
    let on = newest(&|build| build.on.age == at && build.is_published()).filter(|on| on.age > before.age);
    if on.is_some_and(|on| on.age < after.age) {
        return None;
    }
    Some(Gap {
        newest: &after.release.version,
        from: &before.on.version,
        barrier: &barrier.release.version,
        stays_on: on.map(|on| &on.release.version),
    })
}

impl Gap<'_> {
    fn finding(&self, base: &Base, arches: Option<&BTreeSet<&Arch>>) -> Finding {
        let Self { newest, from, barrier, stays_on } = self;
        let on = arches.map_or_else(String::new, |arches| {
            let names: Vec<&str> = arches.iter().map(|arch| arch.as_str()).collect();
            format!(" on {}", names.join(", "))
        });
        let message = match stays_on {
            None => format!(
                "nodes built on {from}{on} would skip barrier {barrier}: build and publish an image on it first; then \
                 {newest} has to be built again if it is published already"
            ),
            Some(stays_on) => format!(
                "nodes{on} stay on {stays_on}, which is built on barrier {barrier} of {}, because {newest} is older: rebuild {newest}",
                base.stream
            ),
        };
        Finding::warning(Code::BaseBarrierSkipped, format!("release {newest}"), message)
    }
}
