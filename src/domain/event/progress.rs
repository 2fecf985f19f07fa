//! Follows the rollouts of a stream through time and through changes of its state, and reports the shares and gates that they reach.

use super::{EventKind, EventRollout, StreamEvent, THRESHOLDS};
use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    epoch::Epoch,
    ids::Version,
    release::{Release, ReleaseState},
    rollout::{
        Rollout, RolloutState,
        gate::Gate,
        id::RolloutId,
        ramp::{Course, Ramp},
        step::StepGate,
        wariness::Wariness,
    },
    stream::Stream,
};
use std::{collections::HashMap, sync::Arc};

/// How far the events of a stream were reported: its state, and the time up to which that was followed.
#[derive(Debug, Clone)]
pub struct Progress {
    stream: Arc<Stream>,
    until: Epoch,
    /// When the next share or gate is reached without another change.
    next: Option<Epoch>,
}

/// Identifies a rollout of a stream. Only upstream lists a version more than once.
type RolloutKey<'a> = ((&'a Version, usize), RolloutId);

impl Progress {
    /// Starts from a state at a time, without events about what was before.
    #[must_use]
    pub fn new(stream: Arc<Stream>, at: Epoch) -> Self {
        let next = next_event(&stream, at);
        Self { stream, until: at, next }
    }

    /// Returns the state.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns when the next share or gate is reached without another change. Returns `None` if none is, or while a stop is in force.
    #[must_use]
    pub fn next_event(&self) -> Option<Epoch> {
        self.next
    }

    /// Follows the plans of the rollouts to `until`. Reports each share and gate with the time at which the plan reaches it, the earliest
    /// first.
    pub fn advance(&mut self, until: Epoch) -> Vec<StreamEvent> {
        let after = self.until;
        self.until = after.max(until);
        if self.next.is_none_or(|next| next > self.until) {
            return Vec::new();
        }
        let (from, to) = (self.stream.plan_time(after), self.stream.plan_time(self.until));
        let mut events = Vec::new();
        for ((identity, id), rollout) in published_rollouts(&self.stream) {
            let rollout_of_event = || EventRollout { release: identity.0.clone(), id };
            let reached = THRESHOLDS.into_iter().filter_map(|share| Some((share, reached_at(rollout, share, from)?)));
            let reached = reached.filter(|(_, at)| *at <= to);
            events.extend(reached.map(|(share, at)| StreamEvent::share(at, rollout_of_event(), share)));
            let gate = next_gate(rollout, from).filter(|gate| gate.at <= to);
            events.extend(gate.map(|gate| StreamEvent::gate(gate.at, rollout_of_event(), gate.share)));
        }
        events.sort_by_key(|event| event.at);
        self.next = next_event(&self.stream, self.until);
        events
    }

    /// Replaces the state at a time. Reports what is reached up to then, and then, at that time, the begin and the end of a stop of the stream, and
    /// the shares and gates that the change itself reaches. The stop of the product stays as it is.
    pub fn change(&mut self, next: Stream, at: Epoch) -> Vec<StreamEvent> {
        let next = Stream { product_stop: self.stream.product_stop.clone(), ..next };
        let mut events = self.advance(at);
        events.extend(self.replace(next));
        events
    }

    /// Begins a stop of the product, at `now` or before. What the plans reach before the stop is reported.
    pub fn begin_product_stop(&mut self, stop: EmergencyStop, now: Epoch) -> Vec<StreamEvent> {
        let events = self.advance(stop.since.min(now));
        let stopped = Stream { product_stop: Some(stop), ..Stream::clone(&self.stream) };
        self.stream = Arc::new(stopped);
        self.next = None;
        events
    }

    /// Ends the stop of the product at a time.
    pub fn end_product_stop(&mut self, at: Epoch) -> Vec<StreamEvent> {
        let mut events = self.advance(at);
        let next = Stream { product_stop: None, ..Stream::clone(&self.stream) };
        events.extend(self.replace(next));
        events
    }

    /// Returns true if no rollout opens further when the stop that is in force ends: they have ended, or are paused, as lifting a stop leaves
    /// them.
    #[must_use]
    pub fn stays_closed_after_stop(&self) -> bool {
        let reached = self.stream.plan_time(self.until);
        let rollouts = self.stream.releases.iter().flat_map(|release| &release.rollouts);
        !rollouts.into_iter().any(|rollout| rollout.opens_further_after(reached))
    }

    fn replace(&mut self, next: Stream) -> Vec<StreamEvent> {
        let at = self.until;
        let mut events: Vec<StreamEvent> = stop_event(self.stream.stop.as_ref(), next.stop.as_ref())
            .map(|kind| StreamEvent { at, kind })
            .into_iter()
            .collect();
        let (time_before, time) = (self.stream.plan_time(at), next.plan_time(at));
        let before: HashMap<RolloutKey<'_>, &Rollout> = published_rollouts(&self.stream).collect();
        for (key, rollout) in published_rollouts(&next) {
            let before = before.get(&key).copied();
            let rollout_of_event = || EventRollout { release: key.0.0.clone(), id: key.1 };
            let is_new = |share: &f64| {
                has_reached(rollout, *share, time)
                    && !before.is_some_and(|before| has_reached(before, *share, time_before))
            };
            let shares = THRESHOLDS.into_iter().filter(is_new);
            events.extend(shares.map(|share| StreamEvent::share(at, rollout_of_event(), share)));
            let waited_at = before.and_then(|before| gate_reached(before, time_before));
            let gate =
                gate_reached(rollout, time).filter(|(number, _)| waited_at.is_none_or(|(before, _)| before != *number));
            events.extend(gate.map(|(_, gate)| StreamEvent::gate(at, rollout_of_event(), gate.share)));
        }
        self.next = next_event(&next, at);
        self.stream = Arc::new(next);
        events
    }
}

/// Returns the rollouts of published releases.
fn published_rollouts(stream: &Stream) -> impl Iterator<Item = (RolloutKey<'_>, &Rollout)> {
    let is_published = |(_, release): &((&Version, usize), &Release)| release.state == ReleaseState::Published;
    let rollouts = |(identity, release)| {
        let release: &Release = release;
        release.rollouts.iter().map(move |rollout| ((identity, rollout.id), rollout))
    };
    stream.identified().into_iter().filter(is_published).flat_map(rollouts)
}

/// Returns true if a node of this wariness is admitted: the rollout has reached that share.
fn has_reached(rollout: &Rollout, share: f64, plan_time: Epoch) -> bool {
    !rollout.open_share(plan_time).holds_back(Wariness::new(share))
}

/// Returns when a rollout reaches a share after `from` without another change.
fn reached_at(rollout: &Rollout, share: f64, from: Epoch) -> Option<Epoch> {
    if rollout.state != RolloutState::Active || has_reached(rollout, share, from) {
        return None;
    }
    rollout.opens_at(Wariness::new(share), from)
}

/// Returns the gate that a rollout reaches after `from` without another change.
fn next_gate(rollout: &Rollout, from: Epoch) -> Option<Gate> {
    rollout.next_gate().filter(|gate| rollout.state == RolloutState::Active && gate.at > from)
}

/// Returns the gate that a rollout has reached, with the number of gates that it has not passed. A pause does not end the wait.
fn gate_reached(rollout: &Rollout, plan_time: Epoch) -> Option<(usize, Gate)> {
    let time = match rollout.state {
        RolloutState::Paused { at } => at,
        _ => plan_time,
    };
    let gate = rollout.next_gate().filter(|gate| gate.at <= time)?;
    Some((closed_gates(&rollout.ramp), gate))
}

fn closed_gates(ramp: &Ramp) -> usize {
    match &ramp.course {
        Course::Steps(steps) => steps.iter().filter(|step| step.gate == StepGate::Closed).count(),
        Course::Constant | Course::Linear { .. } => 0,
    }
}

/// Returns when the next share or gate is reached after `after`.
fn next_event(stream: &Stream, after: Epoch) -> Option<Epoch> {
    if stream.active_stop().is_some_and(|stop| stop.since <= after) {
        return None;
    }
    let times = published_rollouts(stream).flat_map(|(_, rollout)| {
        let shares = THRESHOLDS.into_iter().filter_map(|share| reached_at(rollout, share, after));
        shares.chain(next_gate(rollout, after).map(|gate| gate.at))
    });
    times.min()
}

fn stop_event(before: Option<&EmergencyStop>, after: Option<&EmergencyStop>) -> Option<EventKind> {
    match (before, after) {
        (None, Some(stop)) => Some(EventKind::StopBegun { reason: stop.reason.as_str().to_owned() }),
        (Some(_), None) => Some(EventKind::StopEnded),
        (None, None) | (Some(_), Some(_)) => None,
    }
}
