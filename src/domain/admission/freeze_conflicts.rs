//! Schedules and freeze windows: no rollout may begin or step inside a window, whenever it was planned.

use super::freeze_window::FreezeWindow;
use crate::domain::{
    changes::Changes,
    duration::Minutes,
    epoch::Epoch,
    ids::Version,
    release::{Release, ReleaseState},
    rollout::{
        Rollout, RolloutState,
        id::RolloutId,
        ramp::{Course, Ramp},
        step::{Step, before_gate},
    },
    stream::Stream,
};
use std::{collections::HashMap, fmt};

/// A rollout that would begin or step inside a freeze window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeConflict {
    /// The release.
    pub version: Version,
    /// The rollout.
    pub rollout: RolloutId,
    /// Its index among the rollouts of the release.
    pub index: usize,
    /// The time at which it would begin or step.
    pub at: Epoch,
    /// The reason for the window.
    pub reason: String,
}

impl fmt::Display for FreezeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, rollout, at, reason, .. } = self;
        write!(f, "rollout {rollout} of release {version} at {at} ({reason})")
    }
}

/// Returns the rollouts of published releases that begin or step inside a freeze window, if the change adds the rollout or the window. A
/// linear ramp that has begun may continue through a window.
#[must_use]
pub fn find_freeze_conflicts(before: &Stream, after: &Stream, now: Epoch) -> Vec<FreezeConflict> {
    let (old_windows, windows) = (&before.protection.freeze_windows, &after.protection.freeze_windows);
    if windows.is_empty() {
        return Vec::new();
    }
    // A new window is checked against the rollouts of all releases.
    let has_new_window = windows.iter().any(|window| !old_windows.contains(window));
    let changes = Changes::between(before, after);
    let known_releases: HashMap<usize, Option<&Release>> =
        changes.pairs().iter().filter_map(|pair| Some((pair.after?.index, pair.old_published_release()))).collect();
    let mut found = Vec::new();
    for (index, release) in after.releases.iter().enumerate() {
        let known = match known_releases.get(&index) {
            Some(known) => *known,
            None if has_new_window => Some(&**release),
            None => continue,
        };
        if release.state != ReleaseState::Published {
            continue;
        }
        for (index, rollout) in release.rollouts.iter().enumerate() {
            let is_known = known.is_some_and(|known| known.rollouts.contains(rollout));
            let relevant = windows.iter().filter(|window| !(is_known && old_windows.contains(window)));
            let conflicts = relevant.filter_map(|window| {
                let at = future_openings(rollout, now).find(|at| window.covers(*at))?;
                Some(FreezeConflict {
                    version: release.version.clone(),
                    rollout: rollout.id,
                    index,
                    at,
                    reason: window.reason.as_str().into(),
                })
            });
            found.extend(conflicts.min_by_key(|conflict| conflict.at));
        }
    }
    found
}

/// Returns the times after `now` at which an active rollout begins or steps.
fn future_openings(rollout: &Rollout, now: Epoch) -> impl Iterator<Item = Epoch> {
    let is_active = rollout.state == RolloutState::Active;
    planned_openings(rollout).filter(move |at| is_active && *at > now)
}

fn planned_openings(rollout: &Rollout) -> impl Iterator<Item = Epoch> {
    let start = rollout.begins_at();
    let steps: &[Step] = match &rollout.ramp.course {
        Course::Steps(steps) => before_gate(steps),
        Course::Constant | Course::Linear { .. } => &[],
    };
    std::iter::once(start).chain(steps.iter().map(move |step| start.plus_seconds(step.after.seconds())))
}

/// The maximum number of adjoining windows that a start or step is moved past.
const MAX_WINDOWS_IN_A_ROW: usize = 200;

impl Rollout {
    /// Returns this rollout with its start and its steps moved past the windows that they would fall into.
    #[must_use]
    pub fn delayed_past(&self, windows: &[FreezeWindow], now: Epoch) -> Self {
        let present = self.present_ramp();
        let delayed = present.delayed_past(windows, now);
        if delayed == present { self.clone() } else { self.with_plan(delayed) }
    }
}

impl Ramp {
    /// Returns this ramp with its start and its steps moved past the windows that they would fall into. Moving a step moves all later steps
    /// by the same time. When a step after a gate comes is not known yet.
    #[must_use]
    pub fn delayed_past(&self, windows: &[FreezeWindow], now: Epoch) -> Self {
        let start = self.start();
        let moved = if start > now { first_outside(start, windows) } else { start };
        let Course::Steps(steps) = &self.course else {
            return Self { start: self.start.map(|_| moved), ..self.clone() };
        };
        // The total delay in seconds so far.
        let (mut delay, known) = (0, before_gate(steps).len());
        let steps = steps.iter().enumerate().map(|(index, step)| {
            let planned = moved.plus_seconds(step.after.seconds()).plus_seconds(delay);
            let is_ahead = index < known && planned > now;
            let delayed = if is_ahead { first_outside(planned, windows) } else { planned };
            delay += delayed.since(planned);
            Step { after: Minutes::from_seconds_up(delayed.since(moved)), ..*step }
        });
        let steps = steps.collect();
        Self { start: self.start.map(|_| moved), course: Course::Steps(steps), ..self.clone() }
    }
}

/// Returns the first time, `at` or later, that is outside all windows.
fn first_outside(at: Epoch, windows: &[FreezeWindow]) -> Epoch {
    let mut at = at;
    for _ in 0..MAX_WINDOWS_IN_A_ROW {
        match windows.iter().filter_map(|window| window.ends_after(at)).max() {
            Some(end) => at = end,
            None => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{document::shape::FreezeWindowDocument, rollout::preset::Preset, samples};
    use proptest::prelude::*;

    const HOUR: i64 = 3600;

    fn window(from: i64, until: i64) -> FreezeWindow {
        FreezeWindow::from_document(&FreezeWindowDocument {
            from: Epoch(from).to_string(),
            until: Epoch(until).to_string(),
            zone: None,
            reason: "a holiday".into(),
        })
        .unwrap()
    }

    fn stream(windows: &[FreezeWindow], rollouts: Vec<Rollout>) -> Stream {
        let version = Version::parse("1").unwrap();
        let release = crate::domain::release::Release {
            rollouts,
            ..crate::domain::release::Release::published(version, crate::domain::origin::Origin::Local)
        };
        let mut stream =
            Stream { releases: vec![release.with_numbered_rollouts().into()], ..Stream::empty(samples::id()) };
        stream.protection.freeze_windows = windows.to_vec();
        stream
    }

    /// Regression test: a rollout that was created before a window and starts inside it was opened.
    #[test]
    fn conflicts_of_new_rollouts_and_new_windows_are_found() {
        let windows = [window(100 * HOUR, 148 * HOUR)];
        let none = stream(&windows, Vec::new());
        for (hours, has_conflict) in [(99, false), (100, true), (147, true), (148, false)] {
            let planned = stream(&windows, vec![Preset::Linear48h.rollout(Epoch(hours * HOUR))]);
            assert_eq!(!find_freeze_conflicts(&none, &planned, Epoch(0)).is_empty(), has_conflict, "{hours}");
            let open = stream(&[], planned.releases[0].rollouts.clone());
            assert_eq!(!find_freeze_conflicts(&open, &planned, Epoch(0)).is_empty(), has_conflict, "{hours}");
            assert!(
                find_freeze_conflicts(&planned, &planned, Epoch(0)).is_empty(),
                "an unchanged rollout and window are not checked again"
            );
        }
        // A step inside a window is a conflict too; a linear ramp that has begun may continue.
        let week = stream(&windows, vec![Preset::Week.rollout(Epoch(60 * HOUR))]);
        let found = find_freeze_conflicts(&none, &week, Epoch(0));
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["rollout 1 of release 1 at 1970-01-05T12:00:00Z (a holiday)"]
        );
        let line = stream(&windows, vec![Preset::Linear48h.rollout(Epoch(90 * HOUR))]);
        assert!(
            find_freeze_conflicts(&stream(&[], line.releases[0].rollouts.clone()), &line, Epoch(95 * HOUR)).is_empty()
        );
    }

    proptest! {
        #[test]
        fn a_delayed_plan_has_no_conflict_and_opens_no_sooner(
            rollout in samples::rollout(), from in 1i64..300_000, length in 60i64..100_000, now in 0i64..100_000, later in 0i64..500_000,
        ) {
            let windows = [window(from, from + length), window(from + length + 3600, from + length + 7200)];
            let delayed = rollout.delayed_past(&windows, Epoch(now));
            let after = stream(&windows, vec![delayed.clone()]);
            prop_assert!(find_freeze_conflicts(&stream(&windows, Vec::new()), &after, Epoch(now)).is_empty());
            let at = Epoch(now + later);
            prop_assert!(delayed.planned_share(at) <= rollout.planned_share(at) + 1e-9);
        }
    }
}
