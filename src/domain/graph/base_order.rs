//! The updates that the base of a stream forbids: those to an image that is built on an older release of the base, and those over a barrier of
//! the base without an image that is built on it.

use super::ages::Ages;
use crate::domain::{ids::Arch, stream::Stream};
use std::{collections::BTreeMap, ops::Range};

/// What the images of one arch are built on.
pub(super) struct BaseOrder {
    /// The ages of the releases, and the ages in the base of what they are built on.
    builds: Vec<(usize, Option<u32>)>,
    /// The ages in the base of its barriers, oldest first.
    barriers: Vec<u32>,
}

impl BaseOrder {
    /// Returns `None` if the stream has no base.
    pub(super) fn new(stream: &Stream, arch: &Arch) -> Option<Self> {
        let base = stream.base.as_ref()?;
        let builds = stream.aged().filter(|(_, release)| release.payloads.keys().any(|key| key.arch == *arch));
        let built_on = |(age, release): (usize, &crate::domain::release::Release)| {
            (age, release.built_on.as_ref().and_then(|built_on| built_on.get(arch)).map(|on| on.age))
        };
        let barriers = base.barriers_on(arch).map(|barrier| barrier.release.age).collect();
        Some(Self { builds: builds.map(built_on).collect(), barriers })
    }

    /// Returns for the age of each target the ages of the older releases from which no update may lead to it. From a release of which it is not
    /// known on what it is built, and to it, none may.
    pub(super) fn forbidden(&self) -> BTreeMap<usize, Vec<Range<usize>>> {
        let chunks = self.ascending_chunks();
        let forbidden = |(target, on): &(usize, Option<u32>)| {
            let older = Ages::from_range(0..*target);
            let allowed = on.map(|on| self.allowed(&chunks, *target, on)).unwrap_or_default();
            (*target, older.minus(&allowed).into_ranges())
        };
        self.builds.iter().map(forbidden).filter(|(_, ranges)| !ranges.is_empty()).collect()
    }

    /// Returns the ages of releases whose images are built neither on a newer release than the target's, nor before the last barrier that is
    /// older than that.
    fn allowed(&self, chunks: &[&[(usize, Option<u32>)]], target: usize, on: u32) -> Ages {
        let older_barriers = self.barriers.partition_point(|barrier| *barrier < on);
        let first = older_barriers.checked_sub(1).and_then(|last| self.barriers.get(last)).copied().unwrap_or(0);
        let in_chunk = |chunk: &&[(usize, Option<u32>)]| {
            let start = chunk.partition_point(|(_, base)| *base < Some(first));
            let end = chunk.partition_point(|(age, base)| *base <= Some(on) && *age < target);
            let found = chunk.get(start..end)?;
            Some(found.first()?.0..found.last()?.0 + 1)
        };
        Ages::from_ranges(chunks.iter().filter_map(in_chunk).collect())
    }

    /// Splits the builds where the next one is built on an older release, or where it is not known on what it is built. Usually there are few.
    fn ascending_chunks(&self) -> Vec<&[(usize, Option<u32>)]> {
        let is_next = |one: &(usize, Option<u32>), next: &(usize, Option<u32>)| one.1.is_some() && one.1 <= next.1;
        self.builds.chunk_by(is_next).filter(|chunk| chunk.iter().all(|(_, base)| base.is_some())).collect()
    }
}
