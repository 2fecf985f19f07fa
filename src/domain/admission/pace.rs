//! The shortest rollout of a stream: a lower limit for the time after which a rollout may reach a share.

use super::{exposure::exposure_increases, freeze_conflicts::find_freeze_conflicts, protection::Protection};
use crate::domain::{
    changes::Changes,
    epoch::Epoch,
    finding::{Code, Finding},
    ids::Version,
    origin::Origin,
    policy::graph_rules::EdgeRule,
    release::{Release, ReleaseState},
    rollout::{Rollout, RolloutState, first_opening::first_opened, numbering::find_known, share::OpenShare},
    stream::Stream,
};
use std::collections::{HashMap, HashSet};

/// The share that may be open from the start, however long the shortest rollout is.
pub const FREE_SHARE: f64 = 0.05;
/// A tolerance of a minute, because ramps end on whole minutes.
const TOLERANCE_SECONDS: f64 = 60.0;
const ROUNDING: f64 = 1e-9;

/// A rollout that would reach a share sooner than the protection allows.
#[derive(Debug, Clone, PartialEq)]
struct TooFast {
    /// The index of the release.
    release: usize,
    /// The index of the rollout; `None` for a release without rollouts that is open to all nodes.
    rollout: Option<usize>,
    share: f64,
    at: Epoch,
}

/// Returns an error for each rollout that a change would open sooner than the stream's protection allows: a share `s` may be open no
/// sooner than `s` times the shortest rollout after the rollout first opened, except for the first 5 %. Rollouts whose groups are all
/// canaries are exempt. Shares that a previously accepted plan would have reached anyway are not checked again.
#[must_use]
pub fn too_fast(before: &Stream, after: &Stream, now: Epoch) -> Vec<Finding> {
    let Some(shortest) = after.protection.shortest_rollout else { return Vec::new() };
    let finding = |found: TooFast| {
        let version = after.releases.get(found.release).map(|release| release.version.to_string()).unwrap_or_default();
        let (share, at) = (found.share * 100.0, found.at);
        let message = format!(
            "would be open to {share:.1} % of the nodes at {at}, which is too fast: the shortest rollout of this stream is \
             {shortest}"
        );
        Finding::error(Code::TooFast, format!("release {version}"), message)
    };
    violations(before, after, now).into_iter().map(finding).collect()
}

/// Pauses the upstream rollouts that violate a protection of the stream, and returns a finding for each. An import is not rejected for
/// them.
pub fn pause_violating_rollouts(before: &Stream, after: &mut Stream, now: Epoch) -> Vec<Finding> {
    let violating = |stream: &Stream| {
        let fast = violations(before, stream, now)
            .into_iter()
            .map(|found| (found.release, found.rollout, "is faster than the shortest rollout of this stream"));
        let conflicting = find_freeze_conflicts(before, stream, now).into_iter().filter_map(|conflict| {
            let index = stream.releases.iter().position(|release| release.version == conflict.version)?;
            Some((index, Some(conflict.index), "begins or steps inside a freeze window"))
        });
        fast.chain(conflicting).collect::<Vec<_>>()
    };
    let mut findings = Vec::new();
    for (index, number, violation) in violating(after) {
        let Some(release) = after.releases.get_mut(index) else { continue };
        let version = release.version.clone();
        let rollout = number.and_then(|number| release.rollouts.get_mut(number));
        let message = match rollout.filter(|rollout| rollout.origin == Origin::Upstream) {
            Some(rollout) if rollout.state == RolloutState::Active => {
                let id = rollout.id;
                // It keeps the present share if that is allowed, otherwise the share before it began.
                let before_it_began = rollout.begins_at().plus_seconds(-1);
                rollout.state = RolloutState::Paused { at: now };
                let is_violating =
                    violating(after).into_iter().any(|(other, rollout, _)| (other, rollout) == (index, number));
                if is_violating
                    && let Some(rollout) = number.and_then(|n| after.releases.get_mut(index)?.rollouts.get_mut(n))
                {
                    rollout.state = RolloutState::Paused { at: before_it_began };
                }
                format!("upstream rollout {id} {violation} and is paused here")
            }
            Some(_) => continue,
            None => format!("{violation}, and it has no upstream rollout that could be paused"),
        };
        findings.push(Finding::drift(Code::RolloutPaused, format!("release {version}"), message));
    }
    findings
}

fn violations(before: &Stream, after: &Stream, now: Epoch) -> Vec<TooFast> {
    let protection = &after.protection;
    let Some(shortest) = protection.shortest_rollout else { return Vec::new() };
    // The first releases of a stream without protections are those that nodes run already.
    if before.releases.is_empty() && before.protection == Protection::default() {
        return Vec::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of minutes is exact")]
    let shortest_seconds = shortest.seconds() as f64;
    let increases = exposure_increases(before, after, now);
    let more_exposed: HashSet<&Version> = increases.iter().map(|increase| &increase.version).collect();
    let changes = Changes::between(before, after);
    let known_releases: HashMap<usize, Option<&Release>> =
        changes.pairs().iter().filter_map(|pair| Some((pair.after?.index, pair.old_release()))).collect();
    let mut found = Vec::new();
    for (index, release) in
        after.releases.iter().enumerate().filter(|(_, release)| more_exposed.contains(&release.version))
    {
        let known = known_releases.get(&index).copied().unwrap_or(Some(release));
        let known = known.filter(|known| known.state == ReleaseState::Published);
        if release.rollouts.is_empty() {
            let was_open = known.is_some_and(|known| {
                is_open_to_all(known, before.rules.edge_rule) && !has_new_predecessors(known, release)
            });
            if is_open_to_all(release, after.rules.edge_rule) && !was_open {
                found.push(TooFast { release: index, rollout: None, share: 1.0, at: now });
            }
            continue;
        }
        for (number, rollout) in release.rollouts.iter().enumerate() {
            let known = known.and_then(|known| find_known(&known.rollouts, rollout));
            if is_exempt(rollout, protection) {
                continue;
            }
            let pace = Pace { rollout, known, now, shortest: shortest_seconds };
            if let Some((share, at)) = pace.first_violation() {
                found.push(TooFast { release: index, rollout: Some(number), share, at });
            }
        }
    }
    found
}

/// Returns true if no rollout holds the release back from the nodes that have an update to it.
fn is_open_to_all(release: &Release, edge_rule: EdgeRule) -> bool {
    release.rollouts.is_empty() && (edge_rule.opens_without_rollouts() || release.barrier.is_some())
}

/// Returns true if a release lists predecessors that it did not list before: nodes on them could not update to it.
fn has_new_predecessors(before: &Release, after: &Release) -> bool {
    let versions = |release: &Release| release.predecessors.as_ref().map(|listed| listed.versions.clone());
    !versions(after).unwrap_or_default().is_subset(&versions(before).unwrap_or_default())
}

fn is_exempt(rollout: &Rollout, protection: &Protection) -> bool {
    let groups = rollout.selector.groups.as_ref();
    groups.is_some_and(|groups| groups.iter().all(|group| protection.canaries.contains(group)))
}

/// A changed rollout, compared with the plan that was accepted before.
struct Pace<'a> {
    rollout: &'a Rollout,
    /// The rollout before the change.
    known: Option<&'a Rollout>,
    now: Epoch,
    /// The shortest rollout in seconds.
    shortest: f64,
}

impl Pace<'_> {
    fn first_violation(&self) -> Option<(f64, Epoch)> {
        self.times_to_check().into_iter().find_map(|at| {
            let OpenShare::Open(share) = self.rollout.open_share(at) else { return None };
            (share > self.allowed(at) + ROUNDING).then_some((share, at))
        })
    }

    /// Returns the times at which the share can exceed the allowed share most: the breakpoints of the ramp, and the time until which only
    /// the free share is allowed.
    fn times_to_check(&self) -> Vec<Epoch> {
        let free_until = whole_seconds(FREE_SHARE * self.shortest + TOLERANCE_SECONDS);
        let mut times = self.rollout.breakpoints();
        times.extend([self.now, self.first_opened().plus_seconds(free_until)]);
        times.retain(|time| *time >= self.now);
        times.sort();
        times
    }

    fn allowed(&self, at: Epoch) -> f64 {
        let pace = (seconds(at.since(self.first_opened())) + TOLERANCE_SECONDS) / self.shortest;
        FREE_SHARE.max(pace).max(self.accepted(at))
    }

    /// Returns the share that the rollout would have reached by its previously accepted plan. The present pause does not reduce it; past ones and
    /// waits at gates do, because what they delayed was never checked for an earlier time.
    fn accepted(&self, at: Epoch) -> f64 {
        let Some(known) = self.known else { return 0.0 };
        match known.state {
            RolloutState::Aborted => 0.0,
            RolloutState::Completed => 1.0,
            // It was paused before it opened to any node.
            RolloutState::Paused { .. } if !known.has_opened(self.now) => 0.0,
            RolloutState::Active | RolloutState::Paused { .. } => known.planned_share(at),
        }
    }

    fn first_opened(&self) -> Epoch {
        let planned = || self.now.max(self.rollout.first_opens_at().unwrap_or(self.now));
        first_opened(self.known, self.rollout, self.now).unwrap_or_else(planned)
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds are exact for millions of years")]
fn seconds(seconds: i64) -> f64 {
    seconds as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a fraction of a number of minutes, rounded up")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.ceil() as i64
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
