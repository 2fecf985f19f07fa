//! The rollouts of a document.

use super::{
    read::{Reader, Strictness},
    shape::{RolloutDocument, SelectorDocument},
};
use crate::domain::{
    ramp::{Course, Ramp, Step},
    rollout::{Rollout, RolloutState},
    selector::Selector,
    share::Share,
};

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
        Some(Rollout { selector, ramp: Ramp { start, start_share, course }, state, origin })
    }

    fn selector(&mut self, path: &str, document: &SelectorDocument) -> Selector {
        Selector {
            arches: self.limit(&format!("{path}.arches"), document.arches.as_ref()),
            schemes: self.limit(&format!("{path}.schemes"), document.schemes.as_ref()),
            groups: self.limit(&format!("{path}.groups"), document.groups.as_ref()),
            platforms: self.limit(&format!("{path}.platforms"), document.platforms.as_ref()),
        }
    }

    fn course(&mut self, path: &str, document: &RolloutDocument, start_share: Share) -> Option<Course> {
        if document.end_share.is_some() && document.duration.is_none() {
            self.problem(format!("{path}.end_share"), "needs a duration");
        }
        match (&document.duration, &document.steps) {
            (None, None) => Some(Course::Constant),
            (Some(_), Some(_)) => {
                self.problem(format!("{path}.steps"), "goes with a duration as little as a line with steps");
                None
            }
            (Some(duration), None) => {
                let duration = self.minutes(&format!("{path}.duration"), duration);
                let end_path = format!("{path}.end_share");
                let end_share = document.end_share.map_or(Some(Share::ALL), |share| self.share(&end_path, share))?;
                if end_share < start_share && self.strictness == Strictness::Ours {
                    self.problem(end_path, "lies below the start share; a rollout never takes an offer back");
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
                        self.problem(format!("{path}.after"), "is not later than the step before it");
                    }
                    if share < course.last().map_or(start_share, |last| last.share) {
                        self.problem(
                            format!("{path}.share"),
                            "lies below the share before it; a rollout never takes an offer back",
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
                self.problem(paused_path, "is missing for a paused rollout");
                None
            }
            (_, Some(_)) => {
                self.problem(paused_path, "is for paused rollouts alone");
                None
            }
            ("active", None) => Some(RolloutState::Active),
            ("completed", None) => Some(RolloutState::Completed),
            ("aborted", None) => Some(RolloutState::Aborted),
            (other, None) => {
                let message = format!("is {other:?}, a rollout is active, paused, completed or aborted");
                self.problem(format!("{path}.state"), message);
                None
            }
        }
    }
}
