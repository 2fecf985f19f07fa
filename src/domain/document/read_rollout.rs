//! Parsing of rollouts.

use super::{
    read::{Reader, Strictness},
    shape::{ReleaseDocument, RolloutDocument, SelectorDocument, StepDocument},
};
use crate::domain::{
    duration::Minutes,
    rollout::{
        Rollout, RolloutClock, RolloutState,
        id::RolloutId,
        preset::Preset,
        ramp::{Course, Ramp},
        selector::Selector,
        share::Share,
        step::{Step, StepGate},
    },
};

/// The maximum total length of pauses: a thousand years in seconds.
const MAX_STOOD_STILL: i64 = 1000 * 366 * 24 * 3600;

impl Reader {
    pub(super) fn rollout(&mut self, path: &str, document: &RolloutDocument) -> Option<Rollout> {
        let selector = document
            .selector
            .as_ref()
            .map(|selector| self.selector(&format!("{path}.selector"), selector))
            .unwrap_or_default();
        let start = document.start.as_ref().and_then(|text| self.epoch(&format!("{path}.start"), text));
        let start_share = document.start_share.and_then(|share| self.share(&format!("{path}.start_share"), share));
        let course = self.course(path, document, start_share.unwrap_or(Share::NONE))?;
        let state = self.rollout_state(path, document)?;
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let clock = self.rollout_clock(path, document)?;
        let id = self.rollout_id(&format!("{path}.id"), document.id)?;
        Some(Rollout { id, selector: selector.into(), ramp: Ramp { start, start_share, course }, state, clock, origin })
    }

    /// Parses the rollouts of a release, and the last id that one of them was given.
    pub(super) fn rollouts(&mut self, path: &str, document: &ReleaseDocument) -> (Vec<Rollout>, RolloutId) {
        let mut rollouts: Vec<Rollout> = Vec::with_capacity(document.rollouts.len());
        for (index, rollout) in document.rollouts.iter().enumerate() {
            let path = format!("{path}.rollouts[{index}]");
            let Some(rollout) = self.rollout(&path, rollout) else { continue };
            let id = rollout.id;
            if !id.is_new() && rollouts.iter().any(|other| other.id == id) {
                self.problem(format!("{path}.id"), format!("{id} is the id of another rollout of the release"));
            }
            rollouts.push(rollout);
        }
        let last = self.rollout_id(&format!("{path}.last_rollout_id"), document.last_rollout_id);
        let highest = rollouts.iter().map(|rollout| rollout.id).max().unwrap_or_default();
        (rollouts, last.unwrap_or_default().max(highest))
    }

    /// Parses the name of a preset.
    pub(super) fn preset(&mut self, path: &str, name: &str) -> Option<Preset> {
        let preset = Preset::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.as_str()).collect();
            format!("is {name:?}, expected one of {}", names.join(", "))
        });
        self.check(path, preset)
    }

    fn rollout_id(&mut self, path: &str, number: Option<u32>) -> Option<RolloutId> {
        let Some(number) = number else { return Some(RolloutId::NEW) };
        let id = RolloutId::from_number(number);
        if id.is_none() {
            self.problem(path, format!("is {number}, expected a number between 1 and {}", RolloutId::MAX));
        }
        id
    }

    fn rollout_clock(&mut self, path: &str, document: &RolloutDocument) -> Option<RolloutClock> {
        let seconds = document.stood_still_seconds.unwrap_or_default();
        let Some(stood_still) = i64::try_from(seconds).ok().filter(|seconds| *seconds <= MAX_STOOD_STILL) else {
            self.problem(
                format!("{path}.stood_still_seconds"),
                format!("is {seconds}, must be at most {MAX_STOOD_STILL}"),
            );
            return None;
        };
        let first_opened = match &document.first_opened {
            Some(text) => Some(self.epoch(&format!("{path}.first_opened"), text)?),
            None => None,
        };
        Some(RolloutClock { stood_still, first_opened })
    }

    fn selector(&mut self, path: &str, document: &SelectorDocument) -> Selector {
        Selector {
            arches: self.optional_set(&format!("{path}.arches"), document.arches.as_ref()),
            schemes: self.optional_set(&format!("{path}.schemes"), document.schemes.as_ref()),
            groups: self.optional_set(&format!("{path}.groups"), document.groups.as_ref()),
            platforms: self.optional_set(&format!("{path}.platforms"), document.platforms.as_ref()),
        }
    }

    fn course(&mut self, path: &str, document: &RolloutDocument, start_share: Share) -> Option<Course> {
        if document.end_share.is_some() && document.duration.is_none() {
            self.problem(format!("{path}.end_share"), "requires a duration");
        }
        match (&document.duration, &document.steps) {
            (None, None) => Some(Course::Constant),
            (Some(_), Some(_)) => {
                self.problem(format!("{path}.steps"), "cannot be combined with a duration");
                None
            }
            (Some(duration), None) => {
                let duration = self.minutes(&format!("{path}.duration"), duration);
                let end_path = format!("{path}.end_share");
                let end_share = document.end_share.map_or(Some(Share::ALL), |share| self.share(&end_path, share))?;
                if end_share < start_share && self.strictness == Strictness::Strict {
                    self.problem(end_path, "must not be below the start share: a rollout never withdraws an offer");
                }
                Some(Course::Linear { duration: duration?, end_share })
            }
            (None, Some(steps)) => {
                let mut course: Vec<Step> = Vec::with_capacity(steps.len());
                for (index, step) in steps.iter().enumerate() {
                    course.push(self.step(&format!("{path}.steps[{index}]"), step, course.last(), start_share)?);
                }
                Some(Course::Steps(course))
            }
        }
    }

    fn step(&mut self, path: &str, document: &StepDocument, before: Option<&Step>, start_share: Share) -> Option<Step> {
        let after = self.minutes(&format!("{path}.after"), &document.after)?;
        let over = match &document.over {
            Some(over) => self.minutes(&format!("{path}.over"), over)?,
            None => Minutes(0),
        };
        let share = self.share(&format!("{path}.share"), document.share)?;
        let gate = match (document.gate, document.passed) {
            (true, true) => StepGate::Passed,
            (true, false) => StepGate::Closed,
            (false, is_passed) => {
                if is_passed {
                    self.problem(format!("{path}.passed"), "requires a gate");
                }
                StepGate::None
            }
        };
        let step = Step { after, share, over, gate };
        if let Some(before) = before {
            // A step that opens at once would leave nothing of one at the same time.
            let earliest = Minutes(before.end().0.saturating_add(u64::from(step.is_plain() && before.over.0 == 0)));
            if after < earliest {
                let message = "must be later than the step before it, and not before that step has reached its share";
                self.problem(format!("{path}.after"), message);
            }
        }
        if share < before.map_or(start_share, |before| before.share) {
            let message = "must not be below the share before it: a rollout never withdraws an offer";
            self.problem(format!("{path}.share"), message);
        }
        Some(step)
    }

    fn rollout_state(&mut self, path: &str, document: &RolloutDocument) -> Option<RolloutState> {
        let paused_path = format!("{path}.paused_at");
        let state = document.state.as_deref().unwrap_or("active");
        match (state, &document.paused_at) {
            ("paused", Some(at)) => Some(RolloutState::Paused { at: self.epoch(&paused_path, at)? }),
            ("paused", None) => {
                self.problem(paused_path, "is required for a paused rollout");
                None
            }
            (_, Some(_)) => {
                self.problem(paused_path, "is only allowed for a paused rollout");
                None
            }
            ("active", None) => Some(RolloutState::Active),
            ("completed", None) => Some(RolloutState::Completed),
            ("aborted", None) => Some(RolloutState::Aborted),
            (other, None) => {
                let message = format!("is {other:?}, expected active, paused, completed or aborted");
                self.problem(format!("{path}.state"), message);
                None
            }
        }
    }
}
