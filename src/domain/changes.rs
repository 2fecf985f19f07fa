//! The releases in which two states of a stream differ.
//!
//! Most changes touch a few of thousands of releases. Everything that compares two states looks only at those: releases that both states
//! share in memory are not read.

use super::{
    ids::Version,
    release::{Release, ReleaseState},
    shared::Shared,
    stream::Stream,
};
use std::{collections::HashMap, ops::Range};

/// A release of one state.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Its index in the stream, which is its age unless it is a draft.
    pub index: usize,
    /// The number of earlier releases with the same version. Only upstream lists a version more than once.
    pub occurrence: usize,
    /// The release.
    pub release: &'a Shared<Release>,
}

/// A release before and after a change; `None` on a side that does not have it.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The release before the change.
    pub before: Option<Placed<'a>>,
    /// The release after the change.
    pub after: Option<Placed<'a>>,
}

impl<'a> Pair<'a> {
    /// Returns true if the release was added, removed or changed. A release that only has another index did not change.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => before.release != after.release,
            _ => true,
        }
    }

    /// Returns the release before the change.
    #[must_use]
    pub fn old_release(&self) -> Option<&'a Release> {
        self.before.map(|placed| &**placed.release)
    }

    /// Returns the release after the change.
    #[must_use]
    pub fn new_release(&self) -> Option<&'a Release> {
        self.after.map(|placed| &**placed.release)
    }

    /// Returns the release before the change if it was published.
    #[must_use]
    pub fn old_published_release(&self) -> Option<&'a Release> {
        self.old_release().filter(|release| release.state == ReleaseState::Published)
    }
}

/// The releases in which two states of a stream may differ. All others are equal and have the same index in both.
#[derive(Debug, Clone)]
pub struct Changes<'a> {
    pairs: Vec<Pair<'a>>,
    /// The number of equal releases at the beginning of both states.
    equal_first: usize,
    /// The number of equal releases at the end of both states.
    equal_last: usize,
}

impl<'a> Changes<'a> {
    /// Compares two states. Releases are paired by their version and occurrence.
    #[must_use]
    pub fn between(before: &'a Stream, after: &'a Stream) -> Self {
        let (old, new) = (&before.releases, &after.releases);
        let equal_first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let mut equal_last = 0;
        if old.len() == new.len() {
            let rest = old.iter().zip(new).skip(equal_first);
            equal_last = rest.rev().take_while(|(old, new)| old == new).count();
        }
        let mut window = Window::new([old, new], equal_first, equal_last);
        if window.repeats_in_rest(old) {
            // The occurrence of a later release may have changed.
            equal_last = 0;
            window = Window::new([old, new], equal_first, equal_last);
        }
        Self { pairs: window.pairs(), equal_first, equal_last }
    }

    /// Pairs all releases of two states, also those that are equal.
    #[must_use]
    pub fn of_all(before: &'a Stream, after: &'a Stream) -> Self {
        let pairs = Window::new([&before.releases, &after.releases], 0, 0).pairs();
        Self { pairs, equal_first: 0, equal_last: 0 }
    }

    /// Returns the number of equal releases at the beginning of both states.
    #[must_use]
    pub fn equal_first(&self) -> usize {
        self.equal_first
    }

    /// Returns the number of equal releases at the end of both states.
    #[must_use]
    pub fn equal_last(&self) -> usize {
        self.equal_last
    }

    /// Returns the releases of the later state that may differ, in its order, and then those that it no longer has.
    #[must_use]
    pub fn pairs(&self) -> &[Pair<'a>] {
        &self.pairs
    }

    /// Returns the releases that were added, removed or changed, in the same order.
    pub fn changed(&self) -> impl Iterator<Item = &Pair<'a>> {
        self.pairs.iter().filter(|pair| pair.has_changed())
    }

    /// Returns the releases that the later state added or changed.
    pub fn added_or_changed(&self) -> impl Iterator<Item = (Placed<'a>, Option<&'a Release>)> {
        self.changed().filter_map(|pair| Some((pair.after?, pair.old_release())))
    }

    /// Returns true if every release that both states have has the same index in both, and no index belongs to different releases.
    #[must_use]
    pub fn keep_indices(&self) -> bool {
        let index = |placed: Option<Placed<'a>>| placed.map(|placed| placed.index);
        let [removed, added]: [Vec<usize>; 2] = [
            self.pairs.iter().filter(|pair| pair.after.is_none()).filter_map(|pair| index(pair.before)).collect(),
            self.pairs.iter().filter(|pair| pair.before.is_none()).filter_map(|pair| index(pair.after)).collect(),
        ];
        let has_moved =
            |pair: &Pair<'a>| pair.before.is_some() && pair.after.is_some() && index(pair.before) != index(pair.after);
        !self.pairs.iter().any(has_moved) && (removed.is_empty() || added.is_empty())
    }
}

impl Stream {
    /// Shares the releases that are equal to those of another state with that state, so that comparing the two reads none of them.
    pub fn share_equal(&mut self, other: &Self) {
        let changes = Changes::between(other, self);
        let length = self.releases.len();
        let mut shared: Vec<(usize, Shared<Release>)> = Vec::new();
        for index in (0..changes.equal_first).chain(length - changes.equal_last..length) {
            shared.extend(other.releases.get(index).map(|release| (index, release.clone())));
        }
        for pair in changes.pairs().iter().filter(|pair| !pair.has_changed()) {
            shared.extend(pair.after.zip(pair.before).map(|(after, before)| (after.index, before.release.clone())));
        }
        for (index, release) in shared {
            if let Some(own) = self.releases.get_mut(index) {
                *own = release;
            }
        }
    }
}

/// The part of two lists of releases between the equal ones.
struct Window<'a> {
    ranges: [Range<usize>; 2],
    releases: [&'a [Shared<Release>]; 2],
    /// The versions in the window, sorted, each with the number of earlier releases that have it.
    earlier: Vec<(&'a Version, usize)>,
}

impl<'a> Window<'a> {
    fn new(lists: [&'a [Shared<Release>]; 2], equal_first: usize, equal_last: usize) -> Self {
        let ranges = lists.map(|list| equal_first..list.len() - equal_last);
        let [old, new] = &ranges;
        let [old, new] =
            [(lists[0], old), (lists[1], new)].map(|(list, range)| list.get(range.clone()).unwrap_or_default());
        let mut earlier: Vec<(&Version, usize)> = old.iter().chain(new).map(|release| (&release.version, 0)).collect();
        earlier.sort_unstable();
        earlier.dedup();
        let mut window = Self { ranges, releases: [old, new], earlier };
        if !window.earlier.is_empty() {
            for release in lists[0].get(..equal_first).unwrap_or_default() {
                if let Some((_, count)) = window.find(&release.version).and_then(|at| window.earlier.get_mut(at)) {
                    *count += 1;
                }
            }
        }
        window
    }

    fn find(&self, version: &Version) -> Option<usize> {
        self.earlier.binary_search_by(|(known, _)| (*known).cmp(version)).ok()
    }

    /// Returns true if a version in the window also occurs after it.
    fn repeats_in_rest(&self, list: &[Shared<Release>]) -> bool {
        let rest = list.get(self.ranges[0].end..).unwrap_or_default();
        !self.earlier.is_empty() && rest.iter().any(|release| self.find(&release.version).is_some())
    }

    fn placed(&self, side: usize) -> Vec<Placed<'a>> {
        let mut counts: Vec<usize> = self.earlier.iter().map(|(_, count)| *count).collect();
        let start = self.ranges.get(side).map_or(0, |range| range.start);
        let releases = self.releases.get(side).copied().unwrap_or_default();
        let mut place = |(offset, release): (usize, &'a Shared<Release>)| {
            let count = self.find(&release.version).and_then(|at| counts.get_mut(at));
            let occurrence = count.map_or(0, |count| std::mem::replace(count, *count + 1));
            Placed { index: start + offset, occurrence, release }
        };
        releases.iter().enumerate().map(&mut place).collect()
    }

    fn pairs(&self) -> Vec<Pair<'a>> {
        let [old, new] = [0, 1].map(|side| self.placed(side));
        let identity = |placed: &Placed<'a>| (&placed.release.version, placed.occurrence);
        let mut unpaired: HashMap<(&Version, usize), Placed<'a>> =
            old.iter().map(|placed| (identity(placed), *placed)).collect();
        let kept = new.iter().map(|after| Pair { before: unpaired.remove(&identity(after)), after: Some(*after) });
        let mut pairs: Vec<Pair<'a>> = kept.collect();
        let removed = old.iter().filter(|placed| unpaired.contains_key(&identity(placed)));
        pairs.extend(removed.map(|before| Pair { before: Some(*before), after: None }));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Identified<'a> = BTreeMap<(&'a Version, usize), (usize, &'a Release)>;

    fn identified(stream: &Stream) -> Identified<'_> {
        let indexed = stream.identified().into_iter().enumerate();
        indexed.map(|(index, (identity, release))| (identity, (index, release))).collect()
    }

    /// Changes a state by removing, adding, repeating and changing releases.
    fn edited(stream: &Stream, edits: &[(u8, usize)], other: &Stream) -> Stream {
        let mut edited = stream.clone();
        for (edit, at) in edits {
            let at = at % (edited.releases.len() + 1);
            match (edit, other.releases.get(*edit as usize)) {
                (0, _) if at < edited.releases.len() => drop(edited.releases.remove(at)),
                (1, _) if at < edited.releases.len() => edited.releases.insert(at, edited.releases[at].clone()),
                (2, _) if at < edited.releases.len() => {
                    edited.releases[at].notes = crate::domain::artifact::Notes::parse("new").ok();
                }
                (_, Some(release)) => edited.releases.insert(at, release.clone()),
                _ => {}
            }
        }
        edited
    }

    proptest! {
        #[test]
        fn changes_are_those_of_all_releases_by_version_and_occurrence(
            before in samples::stream(), other in samples::stream(), edits in prop::collection::vec((0u8..6, 0usize..20), 0..4), is_edited: bool,
        ) {
            let after = if is_edited { edited(&before, &edits, &other) } else { other };
            let changes = Changes::between(&before, &after);
            let (old, new) = (identified(&before), identified(&after));
            let mut expected: Vec<_> = new.iter().filter(|(identity, (_, release))| old.get(*identity).is_none_or(|(_, old)| old != release)).map(|(identity, (index, _))| (*index, *identity)).collect();
            expected.sort_unstable();
            let found: Vec<_> = changes.added_or_changed().map(|(after, _)| (after.index, (&after.release.version, after.occurrence))).collect();
            prop_assert_eq!(found, expected);
            let removed: Vec<_> = old.keys().filter(|identity| !new.contains_key(*identity)).copied().collect();
            let mut gone: Vec<_> = changes.pairs().iter().filter(|pair| pair.after.is_none()).filter_map(|pair| pair.before).map(|before| (&before.release.version, before.occurrence)).collect();
            gone.sort_unstable();
            prop_assert_eq!(gone, removed);
            for pair in changes.pairs() {
                if let (Some(before), Some(after)) = (pair.before, pair.after) {
                    prop_assert_eq!((&before.release.version, before.occurrence), (&after.release.version, after.occurrence));
                    prop_assert_eq!(old[&(&before.release.version, before.occurrence)].0, before.index);
                }
            }
            let in_pairs: Vec<usize> = changes.pairs().iter().filter_map(|pair| pair.after).map(|after| after.index).collect();
            for (identity, (index, _)) in &new {
                prop_assert!(in_pairs.contains(index) || old.get(identity).map(|(index, _)| index) == Some(index));
            }
        }

        #[test]
        fn sharing_changes_no_value(before in samples::stream(), edits in prop::collection::vec((0u8..3, 0usize..20), 0..4)) {
            let mut after = edited(&before, &edits, &before);
            let expected = after.clone();
            // As read from a document: nothing is shared.
            for release in &mut after.releases {
                *release = Release::clone(release).into();
            }
            after.share_equal(&before);
            prop_assert_eq!(&after, &expected);
            let shared = after.releases.iter().filter(|own| before.releases.iter().any(|other| other.is_same(own))).count();
            prop_assert!(shared >= after.releases.len().saturating_sub(edits.len()));
        }
    }
}
