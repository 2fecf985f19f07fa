//! Limits on the size of a stream. They apply to local changes; imports and stored streams are never rejected for them.

use crate::domain::{
    changes::{Changes, Placed},
    document::Problem,
    finding::{Code, Finding},
    product_preset::ProductPreset,
    release::{Release, ReleaseState},
    rollout::Rollout,
    stream::Stream,
};
use std::{collections::BTreeSet, fmt};

/// The maximum number of names in each list of a selector.
pub const MAX_LABELS: usize = 64;
/// The maximum number of rollouts of a release.
pub const MAX_ROLLOUTS: usize = 32;
/// The highest id that a document may give to rollouts of any release.
const MAX_FREE_ID: u32 = 1000;
/// How much higher than the last id of the release those of a document may be.
const ID_STEP: u32 = 100;
/// The maximum number of releases of a stream, drafts included.
pub const MAX_RELEASES: usize = 20_000;
/// The maximum number of predecessors of a release.
pub const MAX_PREDECESSORS: usize = 1000;
/// The maximum number of drafts of a stream.
pub const MAX_DRAFTS: usize = 200;

/// Returns a problem for each limit that a change exceeds, or exceeds by more than before.
#[must_use]
pub fn exceeded(before: &Stream, after: &Stream) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |path: fmt::Arguments<'_>, what: &str, max: usize, before: usize, after: usize| {
        if after > max && after > before {
            let message = format!("has {after} {what}, at most {max} are allowed");
            problems.push(Problem { path: path.to_string(), message });
        }
    };
    let drafts =
        |stream: &Stream| stream.releases.iter().filter(|release| release.state == ReleaseState::Draft).count();
    check(format_args!("releases"), "releases", MAX_RELEASES, before.releases.len(), after.releases.len());
    check(format_args!("releases"), "drafts", MAX_DRAFTS, drafts(before), drafts(after));
    let mut high_ids = Vec::new();
    for (Placed { index, release, .. }, known) in Changes::between(before, after).added_or_changed() {
        let rollouts = known.map_or(0, |known| known.rollouts.len());
        check(format_args!("releases[{index}].rollouts"), "rollouts", MAX_ROLLOUTS, rollouts, release.rollouts.len());
        let known_id = known.map_or(0, |known| known.last_rollout_id.number());
        let (id, max_id) = (release.last_rollout_id.number(), known_id.saturating_add(ID_STEP).max(MAX_FREE_ID));
        if id > max_id {
            let message = format!("has the last rollout id {id}, at most {max_id} is allowed");
            high_ids.push(Problem { path: format!("releases[{index}].rollouts"), message });
        }
        let predecessors = [known.map_or(0, count_predecessors), count_predecessors(release)];
        let path = format_args!("releases[{index}].predecessors.versions");
        check(path, "predecessors", MAX_PREDECESSORS, predecessors[0], predecessors[1]);
        for (number, rollout) in release.rollouts.iter().enumerate() {
            if known.is_some_and(|known| known.rollouts.iter().any(|known| known.selector == rollout.selector)) {
                continue;
            }
            for (list, count) in lists(rollout) {
                let path = format_args!("releases[{index}].rollouts[{number}].selector.{list}");
                check(path, "names", MAX_LABELS, 0, count);
            }
        }
    }
    problems.extend(high_ids);
    problems
}

/// Returns a problem for each limit that the rollouts of a preset exceed: no release could have them.
#[must_use]
pub fn preset_problems(preset: &ProductPreset) -> Vec<Problem> {
    let mut problems = Vec::new();
    let count = preset.rollouts.len();
    if !(1..=MAX_ROLLOUTS).contains(&count) {
        let message = format!("must be 1 to {MAX_ROLLOUTS} rollouts, are {count}");
        problems.push(Problem { path: "rollouts".into(), message });
    }
    for (index, rollout) in preset.rollouts.iter().enumerate() {
        for (list, count) in lists(&rollout.rollout).into_iter().filter(|(_, count)| *count > MAX_LABELS) {
            let message = format!("has {count} names, at most {MAX_LABELS} are allowed");
            problems.push(Problem { path: format!("rollouts[{index}].selector.{list}"), message });
        }
    }
    problems
}

/// Returns the same problems as warnings, for imported and stored streams, which are never rejected.
#[must_use]
pub fn findings(before: &Stream, after: &Stream) -> Vec<Finding> {
    let problems = exceeded(before, after).into_iter();
    problems.map(|problem| Finding::warning(Code::TooMany, problem.path, problem.message)).collect()
}

fn count_predecessors(release: &Release) -> usize {
    release.predecessors.as_ref().map_or(0, |predecessors| predecessors.versions.len())
}

fn lists(rollout: &Rollout) -> [(&'static str, usize); 4] {
    fn count<T>(set: Option<&BTreeSet<T>>) -> usize {
        set.map_or(0, BTreeSet::len)
    }
    let selector = &rollout.selector;
    [
        ("arches", count(selector.arches.as_ref())),
        ("schemes", count(selector.schemes.as_ref())),
        ("groups", count(selector.groups.as_ref())),
        ("platforms", count(selector.platforms.as_ref())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::Version,
        origin::Origin,
        policy::predecessors::Predecessors,
        rollout::{preset::Preset, selector::Label},
        samples,
    };

    fn stream(releases: Vec<Release>) -> Stream {
        Stream { releases: releases.into_iter().map(Into::into).collect(), ..Stream::empty(samples::id()) }
    }

    fn release(n: usize) -> Release {
        Release::published(Version::parse(&n.to_string()).unwrap(), Origin::Local)
    }

    fn labelled(labels: usize) -> Rollout {
        let mut rollout = Preset::Linear48h.rollout(crate::domain::epoch::Epoch(0));
        rollout.selector.platforms = Some((0..labels).map(|n| Label::parse(&n.to_string()).unwrap()).collect());
        rollout
    }

    fn preceded(count: usize) -> Stream {
        let versions = (0..count).map(|n| Version::parse(&n.to_string()).unwrap()).collect();
        let predecessors = Some(Box::new(Predecessors { versions, origin: Origin::Local }));
        stream(vec![Release { predecessors, ..release(0) }])
    }

    #[test]
    fn each_limit_applies_to_additions_only() {
        let none = stream(Vec::new());
        let with = |rollouts: Vec<Rollout>| stream(vec![Release { rollouts, ..release(0) }]);
        let drafts =
            |count: usize| stream((0..count).map(|n| Release { state: ReleaseState::Draft, ..release(n) }).collect());
        for (at_limit, over_limit, path) in [
            (with(vec![labelled(64)]), with(vec![labelled(65)]), "releases[0].rollouts[0].selector.platforms"),
            (with(vec![labelled(1); 32]), with(vec![labelled(1); 33]), "releases[0].rollouts"),
            (drafts(200), drafts(201), "releases"),
            (preceded(1000), preceded(1001), "releases[0].predecessors.versions"),
            (stream((0..20_000).map(release).collect()), stream((0..20_001).map(release).collect()), "releases"),
        ] {
            assert_eq!(exceeded(&none, &at_limit), []);
            let found = exceeded(&none, &over_limit);
            assert_eq!(found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
            // A stored stream over the limit is accepted as long as it does not grow.
            assert_eq!(exceeded(&over_limit, &over_limit), []);
        }
    }
}
