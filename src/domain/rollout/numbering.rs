//! The numbering of rollouts: which id each rollout of a release has.

use super::{Rollout, id::RolloutId};
use crate::domain::{changes::Changes, release::Release, shared::Shared, stream::Stream};

impl Release {
    /// Returns an id that no rollout of the release has had.
    pub fn next_rollout_id(&mut self) -> RolloutId {
        let highest = self.rollouts.iter().map(|rollout| rollout.id).max().unwrap_or_default();
        self.last_rollout_id = self.last_rollout_id.max(highest).next();
        self.last_rollout_id
    }

    /// Gives the new rollouts the next ids, in their order, and raises the last id to the highest one.
    #[must_use]
    pub fn with_numbered_rollouts(mut self) -> Self {
        let ids = Ids::new(None, &self);
        ids.assign(&mut self);
        self
    }

    /// Gives rollouts without ids those that the rollouts at their places had in an earlier state: a process of the version before, which knows no
    /// ids, has written them.
    #[must_use]
    pub fn numbered_after(mut self, earlier: &Release) -> Self {
        let is_new = self.rollouts.iter().all(|rollout| rollout.id.is_new()) && self.last_rollout_id.is_new();
        let is_numbered = !earlier.rollouts.iter().any(|rollout| rollout.id.is_new());
        if is_new && is_numbered {
            for (rollout, known) in self.rollouts.iter_mut().zip(&earlier.rollouts) {
                rollout.id = known.id;
            }
            self.last_rollout_id = earlier.last_rollout_id;
            return self.with_numbered_rollouts();
        }
        self
    }
}

impl Stream {
    /// Numbers the rollouts of every release that have no ids, by their order: before rollouts had ids, that was how they were called.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        let is_new = |release: &&mut Shared<Release>| release.rollouts.iter().any(|rollout| rollout.id.is_new());
        for release in self.releases.iter_mut().filter(is_new) {
            let ids = Ids::new(None, release);
            ids.assign(release);
        }
        self
    }
}

/// Finds what a rollout was before a change: the rollout with its id, unless that was for other nodes.
#[must_use]
pub fn find_known<'a>(known: &'a [Rollout], rollout: &Rollout) -> Option<&'a Rollout> {
    known.iter().find(|known| (known.id, &known.selector) == (rollout.id, &rollout.selector))
}

/// Gives new rollouts their ids. A rollout that was written without an id keeps that of the rollout that it continues: of one with the same
/// plan and in the same state, otherwise of one with the same plan, or of one for the same nodes.
pub fn number_rollouts(before: &Stream, after: &mut Stream) {
    let changes = Changes::between(before, after);
    let numbered: Vec<(usize, Ids)> = changes
        .added_or_changed()
        .map(|(placed, known)| (placed.index, Ids::new(known, placed.release)))
        .filter(|(index, ids)| after.releases.get(*index).is_some_and(|release| !ids.are_those_of(release)))
        .collect();
    for (index, ids) in numbered {
        if let Some(release) = after.releases.get_mut(index) {
            ids.assign(release);
        }
    }
}

/// The ids of the rollouts of a release, in their order, and the last id that was given.
struct Ids {
    ids: Vec<RolloutId>,
    last: RolloutId,
}

impl Ids {
    fn new(known: Option<&Release>, release: &Release) -> Self {
        let mut ids: Vec<RolloutId> = release.rollouts.iter().map(|rollout| rollout.id).collect();
        let known_rollouts = known.map_or(&[][..], |known| &known.rollouts);
        let same_nodes = |known: &Rollout, rollout: &Rollout| known.selector == rollout.selector;
        let same_state = |known: &Rollout, rollout: &Rollout| {
            let clocks = [known, rollout].map(|rollout| (rollout.state, rollout.clock.stood_still));
            clocks[0] == clocks[1] && known.has_plan_of(rollout)
        };
        claim(&mut ids, known_rollouts, &release.rollouts, same_state);
        claim(&mut ids, known_rollouts, &release.rollouts, Rollout::has_plan_of);
        claim(&mut ids, known_rollouts, &release.rollouts, same_nodes);
        let highest = ids.iter().chain(known_rollouts.iter().map(|rollout| &rollout.id)).max().copied();
        let counted = known.map_or(RolloutId::NEW, |known| known.last_rollout_id).max(release.last_rollout_id);
        let mut last = counted.max(highest.unwrap_or_default());
        for id in ids.iter_mut().filter(|id| id.is_new()) {
            last = last.next();
            *id = last;
        }
        Self { ids, last }
    }

    fn are_those_of(&self, release: &Release) -> bool {
        self.last == release.last_rollout_id && release.rollouts.iter().map(|rollout| &rollout.id).eq(&self.ids)
    }

    fn assign(self, release: &mut Release) {
        for (rollout, id) in release.rollouts.iter_mut().zip(self.ids) {
            rollout.id = id;
        }
        release.last_rollout_id = self.last;
    }
}

/// Gives rollouts without an id those of known rollouts that they continue, each to one.
fn claim(
    ids: &mut [RolloutId],
    known: &[Rollout],
    rollouts: &[Rollout],
    continues: impl Fn(&Rollout, &Rollout) -> bool,
) {
    for index in 0..ids.len() {
        let free = |known: &&Rollout| !ids.contains(&known.id);
        let Some(rollout) = rollouts.get(index).filter(|_| ids.get(index).is_some_and(|id| id.is_new())) else {
            continue;
        };
        let claimed = known.iter().filter(free).find(|known| continues(known, rollout)).map(|known| known.id);
        if let (Some(id), Some(claimed)) = (ids.get_mut(index), claimed) {
            *id = claimed;
        }
    }
}

#[cfg(test)]
#[path = "numbering_tests.rs"]
mod tests;
