//! Parsing of rollouts.

use super::{
    read::{Reader, Strictness},
    shape::{RolloutDocument, SelectorDocument},
};
use crate::domain::rollout::{
    Rollout, RolloutClock, RolloutState,
    ramp::{Course, Ramp, Step},
    selector::Selector,
    share::Share,
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
        Some(Rollout { selector: selector.into(), ramp: Ramp { start, start_share, course }, state, clock, origin })
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
                    let path = format!("{path}.steps[{index}]");
                    let after = self.minutes(&format!("{path}.after"), &step.after)?;
                    let share = self.share(&format!("{path}.share"), step.share)?;
                    if course.last().is_some_and(|last| last.after >= after) {
                        self.problem(format!("{path}.after"), "must be later than the step before it");
                    }
                    if share < course.last().map_or(start_share, |last| last.share) {
                        self.problem(
                            format!("{path}.share"),
                            "must not be below the share before it: a rollout never withdraws an offer",
                        );
                    }
                    course.push(Step { after, share });
                }
                Some(Course::Steps(course))
            }
        }
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
