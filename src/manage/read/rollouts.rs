//! Rollouts: their phase, how far they are open, and what happens next if nothing is changed.

use super::{access::ReadError, releases::ReleaseAtRevision, streams::StreamReader};
use crate::domain::{
    epoch::Epoch,
    ids::Version,
    rollout::{Rollout, RolloutState, gate::Gate, id::RolloutId, share::OpenShare, wariness::Wariness},
    stream::{Revision, Stream},
};

/// The phase of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutPhase {
    /// It has not started.
    Scheduled,
    /// It follows its plan, whose end it may have reached.
    Running,
    /// It waits at a gate of its plan.
    Waiting,
    /// It keeps the share that it had when it was paused.
    Paused,
    /// It is open to all nodes that its selector matches.
    Completed,
    /// It is closed to all nodes.
    Aborted,
}

impl RolloutPhase {
    /// The phases of rollouts that have not ended.
    pub const IN_PROGRESS: [Self; 4] = [Self::Scheduled, Self::Running, Self::Waiting, Self::Paused];

    /// Returns the phase of a rollout at `now`.
    #[must_use]
    pub fn at(rollout: &Rollout, now: Epoch) -> Self {
        match rollout.state {
            RolloutState::Active if now < rollout.begins_at() => Self::Scheduled,
            RolloutState::Active if rollout.is_waiting(now) => Self::Waiting,
            RolloutState::Active => Self::Running,
            RolloutState::Paused { .. } => Self::Paused,
            RolloutState::Completed => Self::Completed,
            RolloutState::Aborted => Self::Aborted,
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Aborted => "aborted",
        }
    }
}

/// The next point of a plan: its start, a step, or its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NextStep {
    /// When it is reached.
    pub at: Epoch,
    /// The share of the matching nodes, 0 to 1, that the rollout admits then.
    pub share: f64,
}

/// A rollout at a time: its phase, how far it is open, and what happens next if nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RolloutStatus {
    /// The id of the rollout.
    pub id: RolloutId,
    /// Its phase.
    pub phase: RolloutPhase,
    /// The share of the matching nodes, 0 to 1, that it admits: 0 during an emergency stop, absent if it is closed to all nodes.
    pub share: Option<f64>,
    /// During an emergency stop: the share that it admits once the stop is lifted.
    pub share_if_lifted: Option<f64>,
    /// The next point of its plan. Absent if it has no such point, and in pauses and emergency stops, when plan time is frozen.
    pub next_step: Option<NextStep>,
    /// The gate at which it waits, or where it arrives next if it is not paused.
    pub gate: Option<Gate>,
    /// When it would admit all matching nodes if it had never been paused and waited at no gate. Absent if its plan never does.
    pub planned_fully_open_at: Option<Epoch>,
    /// When it will admit all matching nodes. Absent if it never will, if it does already, or during an emergency stop.
    pub fully_open_at: Option<Epoch>,
}

impl RolloutStatus {
    /// Returns the statuses of the rollouts of a release, in their order.
    #[must_use]
    pub fn all(stream: &Stream, rollouts: &[Rollout], now: Epoch) -> Vec<Self> {
        rollouts.iter().map(|rollout| Self::new(stream, rollout, now)).collect()
    }

    /// Returns the status of a rollout of a stream.
    #[must_use]
    pub fn new(stream: &Stream, rollout: &Rollout, now: Epoch) -> Self {
        let share = match rollout.open_share(stream.plan_time(now)) {
            OpenShare::Open(share) => Some(share),
            OpenShare::Closed => None,
        };
        let is_stopped = stream.active_stop().is_some();
        let fully_open_at = rollout.opens_at(Wariness::new(1.0), now).filter(|at| *at > now && !is_stopped);
        Self {
            id: rollout.id,
            phase: RolloutPhase::at(rollout, stream.plan_time(now)),
            share: share.map(|share| if is_stopped { 0.0 } else { share }),
            share_if_lifted: share.filter(|_| is_stopped),
            next_step: if is_stopped { None } else { next_step(rollout, now) },
            gate: rollout.next_gate(),
            planned_fully_open_at: rollout.ramp.without_gates().opens_at(Wariness::new(1.0), rollout.ramp.start()),
            fully_open_at,
        }
    }
}

fn next_step(rollout: &Rollout, now: Epoch) -> Option<NextStep> {
    if rollout.state != RolloutState::Active {
        return None;
    }
    let at = rollout.breakpoints().into_iter().find(|at| *at > now)?;
    Some(NextStep { at, share: rollout.planned_share(at) })
}

/// Returns true if a rollout has not ended and does not yet admit all nodes that its selector matches.
#[must_use]
pub(super) fn is_in_progress(stream: &Stream, rollout: &Rollout, now: Epoch) -> bool {
    rollout.is_live() && rollout.open_share(stream.plan_time(now)).holds_back(Wariness::new(1.0))
}

/// A rollout in the present state of its stream.
#[derive(Debug, Clone)]
pub struct RolloutAtRevision {
    /// The revision of the stream.
    pub revision: Revision,
    /// Its status now.
    pub status: RolloutStatus,
    /// The rollout.
    pub rollout: Rollout,
    /// Its position among the rollouts of its release, from 1.
    pub position: usize,
}

impl StreamReader<'_> {
    /// Returns a rollout of a release.
    ///
    /// # Errors
    /// The stream, the release or the rollout does not exist, or the database failed.
    pub async fn rollout(&self, version: &Version, id: RolloutId) -> Result<RolloutAtRevision, ReadError> {
        let ReleaseAtRevision { revision, stream, release, .. } = self.release(version).await?;
        let found = (1..).zip(&release.rollouts).find(|(_, rollout)| rollout.id == id);
        let none = || ReadError::NotFound(format!("there is no rollout {id} of release {version}"));
        let (position, rollout) = found.map(|(position, rollout)| (position, rollout.clone())).ok_or_else(none)?;
        let status = RolloutStatus::new(&stream, &rollout, self.manage.now());
        Ok(RolloutAtRevision { revision, status, rollout, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        admission::emergency_stop::EmergencyStop,
        duration::Minutes,
        origin::Origin,
        reason::Reason,
        rollout::{
            RolloutClock,
            ramp::{Course, Ramp},
            selector::BoxedSelector,
            share::Share,
            step::{Step, StepGate},
        },
        samples,
    };
    use proptest::prelude::*;

    const HOUR: i64 = 3600;

    /// Builds a rollout that starts after 10 hours.
    fn rollout(course: Course) -> Rollout {
        Rollout {
            id: RolloutId::NEW,
            selector: BoxedSelector::default(),
            ramp: Ramp { start: Some(Epoch(10 * HOUR)), start_share: Share::new(0.1).ok(), course },
            state: RolloutState::Active,
            clock: RolloutClock::default(),
            origin: Origin::Local,
        }
    }

    fn linear() -> Rollout {
        rollout(Course::Linear { duration: Minutes(9 * 60), end_share: Share::ALL })
    }

    fn stepped() -> Rollout {
        let step = |hours: u64, share| Step::at_once(Minutes(hours * 60), Share::new(share).unwrap());
        rollout(Course::Steps(vec![step(2, 0.5), step(4, 1.0)]))
    }

    /// Describes the status at an hour: phase, share, next step and its share, time of completion.
    fn at(rollout: &Rollout, hour: i64) -> String {
        let status = RolloutStatus::new(&Stream::empty(samples::id()), rollout, Epoch(hour * HOUR));
        describe(status)
    }

    fn describe(status: RolloutStatus) -> String {
        let share = |share: Option<f64>| share.map_or("closed".into(), |share| share.to_string());
        let hours = |at: Epoch| at.0 / HOUR;
        let next = status.next_step.map_or("-".into(), |next| format!("{} h: {}", hours(next.at), next.share));
        let end = status.fully_open_at.map_or("-".into(), |end| format!("{} h", hours(end)));
        format!("{}, {}, next {next}, all {end}", status.phase.as_str(), share(status.share))
    }

    #[test]
    fn a_linear_rollout_has_a_start_and_an_end() {
        let rollout = linear();
        assert_eq!(at(&rollout, 9), "scheduled, 0, next 10 h: 0.1, all 19 h");
        assert_eq!(at(&rollout, 10), "running, 0.1, next 19 h: 1, all 19 h");
        assert_eq!(at(&rollout, 15), "running, 0.6, next 19 h: 1, all 19 h");
        assert_eq!(at(&rollout, 19), "running, 1, next -, all -");
    }

    #[test]
    fn a_stepped_rollout_has_its_next_step() {
        let rollout = stepped();
        assert_eq!(at(&rollout, 0), "scheduled, 0, next 10 h: 0.1, all 14 h");
        assert_eq!(at(&rollout, 11), "running, 0.1, next 12 h: 0.5, all 14 h");
        assert_eq!(at(&rollout, 12), "running, 0.5, next 14 h: 1, all 14 h");
        assert_eq!(at(&rollout, 14), "running, 1, next -, all -");
    }

    #[test]
    fn a_rollout_waits_at_its_gate() {
        let step = |hours: u64, share| Step::at_once(Minutes(hours * 60), Share::new(share).unwrap());
        let gated = rollout(Course::Steps(vec![Step { gate: StepGate::Closed, ..step(2, 0.5) }, step(4, 1.0)]));
        assert_eq!(at(&gated, 11), "running, 0.1, next -, all -");
        assert_eq!(at(&gated, 40), "waiting, 0.1, next -, all -");
        let status = |rollout: &Rollout| RolloutStatus::new(&Stream::empty(samples::id()), rollout, Epoch(40 * HOUR));
        let gate = Gate { at: Epoch(12 * HOUR), share: Share::new(0.5).unwrap() };
        assert_eq!((status(&gated).gate, status(&gated).planned_fully_open_at), (Some(gate), Some(Epoch(14 * HOUR))));
        let passed = gated.pass_gate(Epoch(40 * HOUR)).unwrap();
        assert_eq!(at(&passed, 40), "running, 0.5, next 42 h: 1, all 42 h");
        assert_eq!((status(&passed).gate, status(&passed).planned_fully_open_at), (None, Some(Epoch(14 * HOUR))));
    }

    #[test]
    fn a_paused_rollout_has_no_next_step_and_a_resumed_one_a_later_one() {
        let paused = stepped().pause(Epoch(11 * HOUR)).unwrap();
        assert_eq!(at(&paused, 30), "paused, 0.1, next -, all -");
        assert_eq!(at(&paused.resume(Epoch(31 * HOUR)).unwrap(), 31), "running, 0.1, next 32 h: 0.5, all 34 h");
        assert_eq!(at(&paused.complete().unwrap(), 30), "completed, 1, next -, all -");
        assert_eq!(at(&paused.abort().unwrap(), 30), "aborted, closed, next -, all -");
    }

    #[test]
    fn an_emergency_stop_closes_a_rollout_and_keeps_its_share() {
        let stop = EmergencyStop { since: Epoch(15 * HOUR), reason: Reason::new("fire").unwrap() };
        let stream = Stream { stop: Some(stop), ..Stream::empty(samples::id()) };
        let status = RolloutStatus::new(&stream, &linear(), Epoch(18 * HOUR));
        assert_eq!(describe(status), "running, 0, next -, all -");
        assert_eq!(status.share_if_lifted, Some(0.6));
        assert!(is_in_progress(&stream, &linear(), Epoch(30 * HOUR)), "plan time is frozen");
    }

    proptest! {
        #[test]
        fn the_next_step_is_what_happens_then(rollout in samples::rollout(), now in 0i64..400_000) {
            let stream = Stream::empty(samples::id());
            let status = RolloutStatus::new(&stream, &rollout, Epoch(now));
            if let Some(NextStep { at, share }) = status.next_step {
                prop_assert!(at > Epoch(now));
                prop_assert_eq!(RolloutStatus::new(&stream, &rollout, at).share, Some(share));
            }
            if let Some(at) = status.fully_open_at {
                prop_assert!(!is_in_progress(&stream, &rollout, at));
                prop_assert!(is_in_progress(&stream, &rollout, at.plus_seconds(-1)));
            }
        }
    }
}
