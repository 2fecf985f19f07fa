//! The time at which each rollout first opened. The shortest rollout of a stream is counted from it. It is recorded with every change and
//! never taken from a document, because the author of a document could backdate it.

use super::{Rollout, RolloutClock};
use crate::domain::{
    epoch::Epoch,
    release::{Release, ReleaseState},
    stream::Stream,
};
use std::collections::BTreeMap;

/// Returns the time at which a rollout first opened, or `None` if it has not opened yet. `known` is the published rollout for the same
/// nodes before the change at `now`.
#[must_use]
pub fn first_opened(known: Option<&Rollout>, rollout: &Rollout, now: Epoch) -> Option<Epoch> {
    let recorded = known.and_then(|known| known.clock.first_opened);
    // It was not open at the previous change, therefore it opened when its plan began.
    let since_last_change = known.filter(|known| known.is_open(now)).map(|known| known.begins_at().min(now));
    recorded.or(since_last_change).or_else(|| rollout.is_open(now).then_some(now))
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
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let known: Vec<Option<&Release>> =
        after.identified().into_iter().map(|(identity, _)| known.get(&identity).copied()).collect();
    for (release, known) in after.releases.iter_mut().zip(known) {
        let is_published = release.state == ReleaseState::Published;
        // A release that is published again starts again.
        let known = known.filter(|known| known.state == ReleaseState::Published);
        let mut unpaired: Vec<&Rollout> = known.map(|known| known.rollouts.iter().collect()).unwrap_or_default();
        for rollout in &mut release.rollouts {
            let same_nodes = unpaired.iter().position(|known| known.selector == rollout.selector);
            let known = same_nodes.map(|index| unpaired.remove(index));
            let first_opened = if is_published { set(known, rollout) } else { None };
            rollout.clock = RolloutClock { first_opened, ..rollout.clock };
        }
    }
}
