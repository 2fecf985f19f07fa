//! When a rollout stood still, and because of whom: in pauses, and at gates.

use super::{access::ReadError, rollout_history::RolloutStates, streams::StreamReader};
use crate::{
    domain::{
        actor::Actor,
        epoch::Epoch,
        ids::Version,
        rollout::{Rollout, RolloutState, id::RolloutId},
        stream::Revision,
    },
    manage::request::Action,
    store::audit::AuditEntry,
};

/// The maximum number of changes of a rollout that are looked at, from the newest back.
const MAX_CHANGES: usize = 100;
/// The maximum number of revisions that are loaded to find these changes, and again to compare them.
const MAX_LOADED: usize = 30;

/// Why a rollout stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseKind {
    /// It was paused.
    Pause,
    /// It waits at a gate.
    Gate,
}

impl PauseKind {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Gate => "gate",
        }
    }
}

/// Who changed a rollout, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The actor.
    pub actor: Actor,
    /// The reason that the actor gave.
    pub reason: String,
}

/// A time in which a rollout stood still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub kind: PauseKind,
    /// Its beginning.
    pub from: Epoch,
    /// Its end; `None` if the rollout still stands still.
    pub until: Option<Epoch>,
    /// What began it. A rollout arrives at a gate by itself; one that a lifted stop left paused was paused by the stop.
    pub begun: Option<Cause>,
    /// What ended it.
    pub ended: Option<Cause>,
}

impl StreamReader<'_> {
    /// Returns when a rollout stood still, oldest first. Only the newest changes of the rollout are read: earlier pauses can be missing.
    ///
    /// # Errors
    /// The rollout does not exist, or the database failed.
    pub async fn pauses(&self, version: &Version, id: RolloutId) -> Result<Vec<Pause>, ReadError> {
        let present = self.rollout(version, id).await?;
        let mut transaction = self.manage.reading("pauses").await?;
        let mut states = RolloutStates::new(self, version, id);
        let history = states.history(&mut transaction, None, MAX_CHANGES, MAX_LOADED).await?;
        let mut changes = Vec::new();
        for (_, entry) in history.entries {
            if states.count() >= 2 * MAX_LOADED {
                break;
            }
            let Some(revision) = entry.revision else { continue };
            let old = states.load(&mut transaction, Revision(revision.saturating_sub(1))).await?;
            let new = states.load(&mut transaction, Revision(revision)).await?;
            changes.push((old, new, entry));
        }
        let mut pauses = Pauses::default();
        for (old, new, entry) in changes.iter().rev() {
            pauses.add(old.as_ref(), new.as_ref(), entry);
        }
        Ok(pauses.until_now(&present.rollout, present.status.phase == super::RolloutPhase::Waiting))
    }
}

#[derive(Default)]
struct Pauses(Vec<Pause>);

impl Pauses {
    /// Adds what a change of the rollout began or ended.
    fn add(&mut self, old: Option<&Rollout>, new: Option<&Rollout>, entry: &AuditEntry) {
        let cause = || Some(Cause { actor: entry.actor.clone(), reason: entry.reason.clone() });
        // A lift pauses rollouts as of the beginning of the stop, which others may have begun.
        let is_lift = entry.action == Action::LIFT_STOP.name;
        let now = Epoch::from(entry.at);
        let paused_at = |rollout: Option<&Rollout>| match rollout?.state {
            RolloutState::Paused { at } => Some(at),
            RolloutState::Active | RolloutState::Completed | RolloutState::Aborted => None,
        };
        let gate = old.filter(|old| old.is_waiting(now)).and_then(Rollout::next_gate);
        let still_waits = new.is_some_and(|new| new.next_gate() == gate && new.is_live());
        if let Some(gate) = gate.filter(|_| !still_waits) {
            self.0.push(Pause { kind: PauseKind::Gate, from: gate.at, until: Some(now), begun: None, ended: cause() });
        }
        match (paused_at(old), paused_at(new)) {
            (None, Some(at)) => {
                let begun = cause().filter(|_| !is_lift);
                self.0.push(Pause { kind: PauseKind::Pause, from: at, until: None, begun, ended: None });
            }
            (Some(at), None) => {
                let open = self.0.iter_mut().rfind(|pause| pause.kind == PauseKind::Pause && pause.until.is_none());
                if let Some(pause) = open {
                    (pause.until, pause.ended) = (Some(now), cause());
                } else {
                    // It began before the changes that are looked at.
                    let kind = PauseKind::Pause;
                    self.0.push(Pause { kind, from: at, until: Some(now), begun: None, ended: cause() });
                }
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Adds the gate at which the rollout waits now, and the present pause if its beginning was not found.
    fn until_now(mut self, rollout: &Rollout, is_waiting: bool) -> Vec<Pause> {
        let open = |kind, from| Pause { kind, from, until: None, begun: None, ended: None };
        if let Some(gate) = rollout.next_gate().filter(|_| is_waiting) {
            self.0.push(open(PauseKind::Gate, gate.at));
        }
        let is_found = self.0.iter().any(|pause| pause.kind == PauseKind::Pause && pause.until.is_none());
        if let RolloutState::Paused { at } = rollout.state
            && !is_found
        {
            self.0.push(open(PauseKind::Pause, at));
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            duration::Minutes,
            rollout::{
                preset::Preset,
                ramp::{Course, Ramp},
                share::Share,
                step::{Step, StepGate},
            },
        },
        manage::testing::{NOW, at, timestamp},
    };

    fn entry(hours: i64, actor: &str) -> AuditEntry {
        AuditEntry {
            at: timestamp(at(hours)),
            actor: Actor::from_id(actor),
            action: "rollout.pause".into(),
            product: None,
            stream: None,
            revision: Some(2),
            subject: None,
            reason: format!("{actor} says so"),
            request_id: None,
        }
    }

    fn describe(pauses: &[Pause]) -> Vec<String> {
        let hours = |time: Epoch| time.since(NOW) / 3600;
        let name = |cause: &Option<Cause>| cause.as_ref().map_or("-", |cause| cause.actor.id.as_str()).to_owned();
        let text = |pause: &Pause| {
            let until = pause.until.map_or("-".into(), |until| hours(until).to_string());
            format!(
                "{} {} {until} {} {}",
                pause.kind.as_str(),
                hours(pause.from),
                name(&pause.begun),
                name(&pause.ended)
            )
        };
        pauses.iter().map(text).collect()
    }

    #[test]
    fn pauses_and_gates_have_their_times_and_causes() {
        let hours = |hours: u64| Minutes(hours * 60);
        let gate = |after| Step { gate: StepGate::Closed, ..Step::at_once(hours(after), Share::ALL) };
        let ramp = Ramp { start: Some(NOW), start_share: None, course: Course::Steps(vec![gate(10), gate(20)]) };
        let begun = Preset::Week.rollout(NOW).with_plan(ramp);
        let mut found = Pauses::default();
        let paused = begun.pause(at(4)).unwrap();
        found.add(Some(&begun), Some(&paused), &entry(4, "one"));
        let resumed = paused.resume(at(6)).unwrap();
        found.add(Some(&paused), Some(&resumed), &entry(6, "two"));
        // It arrives at its gate two hours later than planned.
        let beyond = resumed.pass_gate(at(15)).unwrap();
        found.add(Some(&resumed), Some(&beyond), &entry(15, "three"));
        // A change that touches neither.
        found.add(Some(&beyond), Some(&beyond), &entry(16, "four"));
        let expected = ["pause 4 6 one two", "gate 12 15 - three"];
        assert_eq!(describe(&found.0), expected);
        let now = found.until_now(&beyond, true);
        assert_eq!(describe(&now), [&expected[..], &["gate 25 - - -"]].concat());
    }

    #[test]
    fn a_pause_whose_beginning_is_not_known_has_its_end() {
        let paused = Preset::Week.rollout(NOW).pause(at(1)).unwrap();
        let mut found = Pauses::default();
        found.add(Some(&paused), Some(&paused.abort().unwrap()), &entry(3, "one"));
        assert_eq!(describe(&found.0), ["pause 1 3 - one"]);
        assert_eq!(describe(&Pauses::default().until_now(&paused, false)), ["pause 1 - - -"]);
    }
}
