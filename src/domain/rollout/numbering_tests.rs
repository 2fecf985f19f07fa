use super::*;
use crate::domain::{
    epoch::Epoch,
    ids::Version,
    origin::Origin,
    rollout::{preset::Preset, selector::Label},
    samples,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: Epoch = Epoch(1000);

fn release(rollouts: &[Rollout]) -> Release {
    Release { rollouts: rollouts.to_vec(), ..Release::published(Version::parse("1").unwrap(), Origin::Local) }
}

fn stream(release: Release) -> Stream {
    Stream { releases: vec![release.into()], ..Stream::empty(samples::id()) }
}

fn rollout_for(group: &str, preset: Preset) -> Rollout {
    let mut rollout = preset.rollout(START);
    rollout.selector.groups = Some(BTreeSet::from([Label::parse(group).unwrap()]));
    rollout
}

fn ids(release: &Release) -> Vec<u32> {
    release.rollouts.iter().map(|rollout| rollout.id.number()).collect()
}

/// Writes `rollouts` as a document without ids would, over a release, and returns their ids and the last one.
fn written_over(before: &Release, rollouts: &[Rollout]) -> (Vec<u32>, u32) {
    let mut after = stream(release(rollouts));
    number_rollouts(&stream(before.clone()), &mut after);
    (ids(&after.releases[0]), after.releases[0].last_rollout_id.number())
}

fn without_ids(release: &Release) -> Vec<Rollout> {
    release.rollouts.iter().map(|rollout| Rollout { id: RolloutId::NEW, ..rollout.clone() }).collect()
}

#[test]
fn a_rollout_without_an_id_keeps_that_of_the_rollout_that_it_continues() {
    let [canary, all] = [rollout_for("canary", Preset::Week), Preset::Linear48h.rollout(START)];
    let before = release(&[canary.clone(), all.clone()]).with_numbered_rollouts();
    assert_eq!((ids(&before), before.last_rollout_id.number()), (vec![1, 2], 2));
    for (written, expected) in [
        (vec![all.clone(), canary.clone()], (vec![2, 1], 2)),
        (vec![rollout_for("beta", Preset::Week), canary.clone(), all.clone()], (vec![3, 1, 2], 3)),
        // Another plan for the same nodes.
        (vec![Rollout { ramp: Preset::Week.ramp(START), ..all.clone() }], (vec![2], 2)),
        (vec![all.clone(), all.clone(), canary.clone()], (vec![2, 3, 1], 3)),
        // The rollout with the same plan comes before the others for the same nodes.
        (vec![Rollout { ramp: Preset::Week.ramp(START), ..all.clone() }, all.clone()], (vec![3, 2], 3)),
        (vec![], (vec![], 2)),
    ] {
        assert_eq!(written_over(&before, &written), expected, "{written:?}");
    }
}

#[test]
fn an_id_is_never_given_again() {
    let all = Preset::Linear48h.rollout(START);
    let mut release = release(&[all.clone(), rollout_for("canary", Preset::Week)]).with_numbered_rollouts();
    release.rollouts.pop();
    assert_eq!(release.next_rollout_id().number(), 3);
    assert_eq!(written_over(&release, &[all, rollout_for("canary", Preset::Week)]), (vec![1, 4], 4));
    let none = Release { rollouts: Vec::new(), ..release };
    assert_eq!(written_over(&none, &[rollout_for("beta", Preset::Week)]), (vec![4], 4));
}

/// A process of the version before writes rollouts without ids: those of the places in the state before stay, as in the rows.
#[test]
fn what_the_version_before_wrote_keeps_the_ids_of_its_places() {
    let all = Preset::Linear48h.rollout(START);
    let mut earlier = release(&[all.clone(), all.clone()]).with_numbered_rollouts();
    earlier.rollouts.reverse();
    earlier.next_rollout_id();
    let written = release(&[all.clone(), all.clone(), all.clone()]);
    let numbered = written.clone().numbered_after(&earlier);
    assert_eq!((ids(&numbered), numbered.last_rollout_id.number()), (vec![2, 1, 4], 4));
    // Before anything had ids, nothing is known.
    let unknown = written.clone().numbered_after(&release(&[all]));
    assert_eq!(ids(&unknown), [0, 0, 0]);
    let stream = stream(unknown).numbered();
    assert_eq!(ids(&stream.releases[0]), [1, 2, 3]);
    assert_eq!(earlier.clone().numbered_after(&written), earlier);
}

proptest! {
    /// However a document orders, adds and leaves out rollouts, with or without their ids, those that stay keep their ids, and no id that was
    /// ever given comes back for another rollout.
    #[test]
    fn ids_are_stable(
        edits in prop::collection::vec((any::<bool>(), prop::collection::vec((0usize..8, any::<bool>()), 0..6)), 1..8),
    ) {
        // Each group has one rollout, so that a rollout is known by its selector.
        let groups = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut present = release(&[]);
        let mut group_of_id: BTreeMap<u32, &str> = BTreeMap::new();
        for (keeps_ids, chosen) in edits {
            let mut seen = BTreeSet::new();
            let rollouts: Vec<Rollout> = chosen
                .iter()
                .filter(|(group, _)| seen.insert(*group))
                .map(|(group, is_slow)| {
                    let preset = if *is_slow { Preset::Week } else { Preset::Emergency };
                    let written = rollout_for(groups[*group], preset);
                    let known = present.rollouts.iter().find(|known| known.selector == written.selector);
                    let id = known.filter(|_| keeps_ids).map_or(RolloutId::NEW, |known| known.id);
                    Rollout { id, ..written }
                })
                .collect();
            let mut after = stream(release(&rollouts));
            number_rollouts(&stream(present.clone()), &mut after);
            let after = Release::clone(&after.releases[0]);
            for rollout in &after.rollouts {
                let group = groups.iter().find(|group| rollout.selector == rollout_for(group, Preset::Week).selector).unwrap();
                if let Some(known) = present.rollouts.iter().find(|known| known.selector == rollout.selector) {
                    prop_assert_eq!(known.id, rollout.id);
                } else {
                    prop_assert!(rollout.id > present.last_rollout_id);
                }
                prop_assert_eq!(*group_of_id.entry(rollout.id.number()).or_insert(group), *group);
            }
            prop_assert!(after.last_rollout_id >= present.last_rollout_id);
            prop_assert_eq!(BTreeSet::from_iter(ids(&after)).len(), after.rollouts.len());
            prop_assert_eq!(&after.clone().with_numbered_rollouts(), &after);
            prop_assert_eq!(written_over(&after, &without_ids(&after)), (ids(&after), after.last_rollout_id.number()));
            present = after;
        }
    }
}
