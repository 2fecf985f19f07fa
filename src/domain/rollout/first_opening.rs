//! The time at which each rollout first opened. The shortest rollout of a stream is counted from it. It is recorded with every change and
//! never taken from a document, because the author of a document could backdate it.

use super::{Rollout, RolloutClock, numbering::find_known};
use crate::domain::{
    changes::Changes,
    epoch::Epoch,
    release::{Release, ReleaseState},
    stream::Stream,
};
use std::collections::BTreeSet;

/// Returns the time at which a rollout first opened, or `None` if it has not opened yet. `known` is the published rollout for the same
/// nodes before the change at `now`.
#[must_use]
pub fn first_opened(known: Option<&Rollout>, rollout: &Rollout, now: Epoch) -> Option<Epoch> {
    // Versions before counted the time at a share of 0, and may have recorded the begin of a plan that has not opened yet.
    let known = known.filter(|known| !known.is_live() || known.has_opened(now));
    let recorded = known.and_then(|known| known.clock.first_opened);
    // It was not open at the previous change, therefore it opened as its plan says.
    let opened_before = known.filter(|known| known.has_opened(now));
    let since_last_change = opened_before.map(|known| known.first_opens_at().unwrap_or(now).min(now));
    recorded.or(since_last_change).or_else(|| rollout.has_opened(now).then_some(now))
}

/// Copies the recorded times of the rollouts that remain.
pub fn keep_first_openings(before: &Stream, after: &mut Stream) {
    let set = |known: Option<&Rollout>, _: &Rollout| known.and_then(|known| known.clock.first_opened);
    set_first_openings(before, after, set);
}

/// Records the rollouts that have opened since the previous change or open with this one.
pub fn record_first_openings(before: &Stream, after: &mut Stream, now: Epoch) {
    set_first_openings(before, after, |known, rollout| first_opened(known, rollout, now));
}

fn set_first_openings(before: &Stream, after: &mut Stream, set: impl Fn(Option<&Rollout>, &Rollout) -> Option<Epoch>) {
    let mut updates: Vec<(usize, Vec<Option<Epoch>>)> = Vec::new();
    let mut add = |index: usize, known: Option<&Release>, release: &Release| {
        let first_openings = first_openings(known, release, &set);
        // A release that is not written stays shared with the state before.
        if release.rollouts.iter().map(|rollout| &rollout.clock.first_opened).ne(&first_openings) {
            updates.push((index, first_openings));
        }
    };
    let changes = Changes::between(before, after);
    let compared: BTreeSet<usize> =
        changes.pairs().iter().filter_map(|pair| pair.after).map(|placed| placed.index).collect();
    for pair in changes.pairs() {
        if let Some(placed) = pair.after {
            add(placed.index, pair.old_release(), placed.release);
        }
    }
    for (index, release) in after.releases.iter().enumerate() {
        if !is_recorded(release) && !compared.contains(&index) {
            add(index, Some(release), release);
        }
    }
    for (index, first_openings) in updates {
        let Some(release) = after.releases.get_mut(index) else { continue };
        for (rollout, first_opened) in release.rollouts.iter_mut().zip(first_openings) {
            rollout.clock = RolloutClock { first_opened, ..rollout.clock };
        }
    }
}

/// Returns true if a release that a change does not touch keeps its recorded times.
fn is_recorded(release: &Release) -> bool {
    let is_published = release.state == ReleaseState::Published;
    release.rollouts.iter().all(|rollout| rollout.clock.first_opened.is_some() == is_published)
}

/// Returns the time at which each rollout of a release first opened.
fn first_openings(
    known: Option<&Release>,
    release: &Release,
    set: impl Fn(Option<&Rollout>, &Rollout) -> Option<Epoch>,
) -> Vec<Option<Epoch>> {
    let is_published = release.state == ReleaseState::Published;
    // A release that is published again starts again.
    let known = known.filter(|known| known.state == ReleaseState::Published);
    let first_opening = |rollout: &Rollout| {
        let known = known.and_then(|known| find_known(&known.rollouts, rollout));
        if is_published { set(known, rollout) } else { None }
    };
    release.rollouts.iter().map(first_opening).collect()
}
