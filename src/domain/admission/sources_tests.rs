//! Tests of the comparison of sources.

use super::*;
use crate::domain::samples;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Returns the updates of a graph, by the versions of their targets, computed pair by pair.
fn naive(graph: &Graph) -> BTreeMap<Version, BTreeSet<Version>> {
    let mut updates: BTreeMap<Version, BTreeSet<Version>> = BTreeMap::new();
    for edge in graph.edges() {
        let [from, to] = [edge.from, edge.to].map(|index| graph.node(index).unwrap().version.clone());
        updates.entry(to).or_default().insert(from);
    }
    updates
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_comparison_of_ranges_equals_one_of_pairs(
        before in samples::stream(), other in samples::stream(), arch in samples::arch(), scheme in samples::scheme(),
        only_rules in any::<bool>(),
    ) {
        let after = if only_rules { Stream { rules: other.rules, ..before.clone() } } else { other };
        let timeline = Timeline::new(&before, &after).unwrap();
        let graphs = [&before, &after].map(|stream| Graph::new(stream, &arch, &scheme));
        let comparison = Comparison::new([&graphs[0], &graphs[1]], &timeline);
        let expected = graphs.each_ref().map(naive);
        let mut found = [BTreeMap::new(), BTreeMap::new()];
        let mut targets = BTreeSet::new();
        for target in comparison.targets() {
            let version = target.version().unwrap().clone();
            for side in [0, 1] {
                let sources: BTreeSet<Version> = comparison.sources_only_in(side, &target).cloned().collect();
                prop_assert_eq!(sources.len(), target.only_in(side));
                let all = expected[side].get(&version).map_or(0, BTreeSet::len);
                prop_assert_eq!(all, target.sources_in(side));
                if !sources.is_empty() {
                    found[side].insert(version.clone(), sources);
                }
            }
            prop_assert!(targets.insert(version));
        }
        prop_assert_eq!(targets, expected.iter().flat_map(BTreeMap::keys).cloned().collect());
        for side in [0, 1] {
            let mut only_here = expected[side].clone();
            for (to, sources) in &mut only_here {
                sources.retain(|from| !expected[1 - side].get(to).is_some_and(|others| others.contains(from)));
            }
            only_here.retain(|_, sources| !sources.is_empty());
            prop_assert_eq!(&found[side], &only_here);
        }
    }
}

#[test]
fn states_with_another_order_of_known_releases_are_not_compared() {
    use crate::domain::{origin::Origin, release::Release};
    let with = |versions: &[&str]| {
        let release = |version: &&str| Release::published(Version::parse(version).unwrap(), Origin::Upstream).into();
        Stream { releases: versions.iter().map(release).collect(), ..Stream::empty(samples::id()) }
    };
    let positions =
        |before: &[&str], after: &[&str]| Timeline::new(&with(before), &with(after)).map(|line| line.positions);
    assert_eq!(positions(&["1", "2", "3"], &["1", "3", "2"]), None);
    assert_eq!(positions(&["1", "3"], &["1", "2", "3", "4"]), Some([vec![0, 2], vec![0, 1, 2, 3]]));
    assert_eq!(positions(&["1", "2"], &["2"]), Some([vec![0, 1], vec![1]]));
}
