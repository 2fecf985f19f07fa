//! Sets of ages as ranges, which stay small however many releases they contain.

use std::ops::Range;

/// A set of ages, as sorted ranges that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::domain) struct Ages(Vec<Range<usize>>);

impl Ages {
    /// Builds the set of the ages in a range.
    #[must_use]
    pub(in crate::domain) fn from_range(range: Range<usize>) -> Self {
        Self::from_ranges([range].into_iter().collect())
    }

    /// Builds the set of all ages in any of the ranges.
    #[must_use]
    pub(in crate::domain) fn from_ranges(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|later, earlier| {
            let is_joined = later.start <= earlier.end;
            if is_joined {
                earlier.end = earlier.end.max(later.end);
            }
            is_joined
        });
        Self(ranges)
    }

    /// Returns the ranges, in order.
    #[must_use]
    pub(in crate::domain) fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Returns the ranges, in order.
    #[must_use]
    pub(in crate::domain) fn into_ranges(self) -> Vec<Range<usize>> {
        self.0
    }

    /// Returns true if the set contains `age`.
    #[must_use]
    pub(in crate::domain) fn contains(&self, age: usize) -> bool {
        let after = self.0.partition_point(|range| range.start <= age);
        after.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|range| age < range.end)
    }

    /// Returns the ages that both sets contain.
    #[must_use]
    pub(in crate::domain) fn intersection(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(one), Some(two)) = (ours.peek(), theirs.peek()) {
            common.push(one.start.max(two.start)..one.end.min(two.end));
            if one.end <= two.end {
                ours.next()
            } else {
                theirs.next()
            };
        }
        Self::from_ranges(common)
    }

    /// Returns the ages that only this set contains.
    #[must_use]
    pub(in crate::domain) fn minus(&self, other: &Self) -> Self {
        let ends = other.0.iter().map(|range| range.end);
        let starts = other.0.iter().map(|range| range.start).chain([usize::MAX]);
        let gaps = [0].into_iter().chain(ends).zip(starts).map(|(from, to)| from..to);
        self.intersection(&Self(gaps.filter(|gap| !gap.is_empty()).collect()))
    }

    /// Returns the set after replacing each age by another. The order of ages must stay; between two of them there may be new ones, which
    /// join the set if it contains both.
    #[must_use]
    pub(in crate::domain) fn map(&self, position: impl Fn(usize) -> usize) -> Self {
        let ranges = self.0.iter().filter(|range| !range.is_empty());
        Self::from_ranges(ranges.map(|range| position(range.start)..position(range.end - 1) + 1).collect())
    }
}

/// Counts how many of some ages are in a set.
#[derive(Debug, Clone)]
pub(in crate::domain) struct AgeCounts {
    /// For each age, the number of counted ages below it.
    below: Vec<usize>,
}

impl AgeCounts {
    /// Counts the ages, from 0, for which `is_counted` has true.
    #[must_use]
    pub(in crate::domain) fn new(is_counted: impl Iterator<Item = bool>) -> Self {
        let counted = is_counted.scan(0, |count, is_counted| {
            *count += usize::from(is_counted);
            Some(*count)
        });
        Self { below: [0].into_iter().chain(counted).collect() }
    }

    /// Returns the number of counted ages in the set.
    #[must_use]
    pub(in crate::domain) fn in_set(&self, ages: &Ages) -> usize {
        let below = |age: usize| self.below.get(age).or(self.below.last()).copied().unwrap_or(0);
        ages.0.iter().map(|range| below(range.end) - below(range.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Vec<Range<usize>>> {
        vec((0usize..20, 0usize..6).prop_map(|(start, length)| start..start + length), 0..5)
    }

    fn members(ranges: &[Range<usize>]) -> BTreeSet<usize> {
        ranges.iter().cloned().flatten().collect()
    }

    proptest! {
        #[test]
        fn sets_of_ranges_equal_sets_of_ages(one in ranges(), two in ranges(), counted in vec(any::<bool>(), 30)) {
            let (ours, theirs) = (members(&one), members(&two));
            let [one, two] = [one, two].map(Ages::from_ranges);
            prop_assert_eq!(&members(one.ranges()), &ours);
            prop_assert!(one.ranges().windows(2).all(|pair| pair[0].end < pair[1].start), "{:?}", one);
            prop_assert_eq!(members(one.intersection(&two).ranges()), ours.intersection(&theirs).copied().collect());
            prop_assert_eq!(members(one.minus(&two).ranges()), ours.difference(&theirs).copied().collect());
            prop_assert!((0..30).all(|age| one.contains(age) == ours.contains(&age)));
            let counts = AgeCounts::new(counted.iter().copied());
            prop_assert_eq!(counts.in_set(&one), ours.iter().filter(|age| counted[**age]).count());
        }
    }
}
