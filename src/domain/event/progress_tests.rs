use super::*;
use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    duration::Minutes,
    reason::Reason,
    release::{Release, ReleaseState},
    rollout::{
        Rollout, RolloutClock, RolloutState,
        ramp::{Course, Ramp},
        selector::Selector,
        step::{Step, StepGate},
        wariness::Wariness,
    },
    samples,
    stream::Stream,
};
use proptest::{collection, prelude::*, sample::select};
use std::{collections::BTreeSet, sync::Arc};

const HOUR: i64 = 3600;

fn stop(since: i64) -> EmergencyStop {
    EmergencyStop { since: Epoch(since), reason: Reason::new("fire").unwrap() }
}

fn stream_with(state: ReleaseState, rollout: Rollout) -> Stream {
    let mut release = Release::published(Version::parse("1.0").unwrap(), crate::domain::origin::Origin::Local);
    release.state = state;
    release.rollouts = vec![rollout];
    Stream { releases: vec![release.with_numbered_rollouts().into()], ..Stream::empty(samples::id()) }
}

fn rollout(ramp: Ramp) -> Rollout {
    Rollout {
        id: RolloutId::NEW,
        selector: Selector::default().into(),
        ramp,
        state: RolloutState::Active,
        clock: RolloutClock::default(),
        origin: crate::domain::origin::Origin::Local,
    }
}

/// A plan of steps, each with its share and whether it is a gate, one an hour from 0 on.
fn steps(shares: &[(f64, bool)]) -> Ramp {
    let step = |(number, (share, is_gate)): (usize, &(f64, bool))| {
        let gate = if *is_gate { StepGate::Closed } else { StepGate::None };
        Step { gate, ..Step::at_once(Minutes(60 * number as u64), Share::new(*share).unwrap()) }
    };
    Ramp {
        start: Some(Epoch(0)),
        start_share: None,
        course: Course::Steps(shares.iter().enumerate().map(step).collect()),
    }
}

fn shown(events: &[StreamEvent]) -> Vec<String> {
    let text = |event: &StreamEvent| match &event.kind {
        EventKind::RolloutShare { share, .. } => format!("{} share {share}", event.at.0),
        EventKind::GateWaiting { next_share, .. } => format!("{} gate {next_share}", event.at.0),
        EventKind::StopBegun { reason } => format!("{} stop: {reason}", event.at.0),
        EventKind::StopEnded => format!("{} lifted", event.at.0),
        EventKind::Revision { revision, .. } => format!("{} revision {revision}", event.at.0),
    };
    events.iter().map(text).collect()
}

fn only_rollout(stream: &Stream) -> &Rollout {
    &stream.releases[0].rollouts[0]
}

fn with_rollout(stream: &Stream, rollout: Rollout) -> Stream {
    let mut next = stream.clone();
    next.releases[0].rollouts[0] = rollout;
    next
}

#[test]
fn shares_and_gates_have_the_times_of_the_plan() {
    let plan = steps(&[(0.05, false), (0.3, false), (0.5, true), (1.0, false)]);
    let mut progress = Progress::new(Arc::new(stream_with(ReleaseState::Published, rollout(plan))), Epoch(-5));
    assert_eq!(progress.next_event(), Some(Epoch(0)));
    assert_eq!(shown(&progress.advance(Epoch(2 * HOUR - 1))), ["0 share 0.01", "3600 share 0.1", "3600 share 0.25"]);
    assert_eq!(progress.next_event(), Some(Epoch(2 * HOUR)));
    assert_eq!(shown(&progress.advance(Epoch(50 * HOUR))), ["7200 gate 0.5"]);
    assert_eq!(progress.next_event(), None, "a gate does not open by itself");
    // A pause does not end the wait, nor does it begin another one.
    let at = Epoch(50 * HOUR);
    let paused = with_rollout(progress.stream(), only_rollout(progress.stream()).pause(at).unwrap());
    assert!(progress.change(paused, at).is_empty());
    let resumed = with_rollout(progress.stream(), only_rollout(progress.stream()).resume(at).unwrap());
    assert!(progress.change(resumed, at).is_empty());
    let next = with_rollout(progress.stream(), only_rollout(progress.stream()).pass_gate(at).unwrap());
    assert_eq!(shown(&progress.change(next, at)), ["180000 share 0.5"]);
    assert_eq!(shown(&progress.advance(Epoch(60 * HOUR))), ["183600 share 0.75", "183600 share 1"]);
}

#[test]
fn a_new_rollout_counts_from_0_and_a_draft_has_no_events() {
    let plan = Ramp::constant(Epoch(0), Share::new(0.3).unwrap());
    let draft = stream_with(ReleaseState::Draft, rollout(plan.clone()));
    let mut progress = Progress::new(Arc::new(Stream::empty(samples::id())), Epoch(10));
    assert!(progress.change(draft, Epoch(20)).is_empty());
    assert!(progress.advance(Epoch(30)).is_empty());
    let published = stream_with(ReleaseState::Published, rollout(plan));
    let events = progress.change(published.clone(), Epoch(40));
    assert_eq!(shown(&events), ["40 share 0.01", "40 share 0.1", "40 share 0.25"]);
    assert!(Progress::new(Arc::new(published), Epoch(40)).advance(Epoch(1000)).is_empty(), "it begins at the present");
}

#[test]
fn nothing_is_reached_during_a_stop() {
    let plan = steps(&[(0.1, false), (0.5, false), (1.0, false)]);
    let running = stream_with(ReleaseState::Published, rollout(plan));
    let mut progress = Progress::new(Arc::new(running.clone()), Epoch(-1));
    let stopped = Stream { stop: Some(stop(HOUR / 2)), ..running };
    let events = progress.change(stopped.clone(), Epoch(HOUR / 2));
    assert_eq!(shown(&events), ["0 share 0.01", "0 share 0.1", "1800 stop: fire"]);
    assert!(progress.advance(Epoch(5 * HOUR)).is_empty());
    assert_eq!(shown(&progress.change(stopped.lifted(Epoch(5 * HOUR)), Epoch(5 * HOUR))), ["18000 lifted"]);
    assert!(progress.advance(Epoch(9 * HOUR)).is_empty(), "lifting leaves it paused");
    let resumed = with_rollout(progress.stream(), only_rollout(progress.stream()).resume(Epoch(9 * HOUR)).unwrap());
    assert!(progress.change(resumed, Epoch(9 * HOUR)).is_empty());
    assert_eq!(shown(&progress.advance(Epoch(10 * HOUR))), ["34200 share 0.25", "34200 share 0.5"]);
}

#[test]
fn the_stop_of_a_product_stops_its_plans() {
    let plan = steps(&[(0.1, false), (0.5, false)]);
    let running = stream_with(ReleaseState::Published, rollout(plan));
    let mut progress = Progress::new(Arc::new(running), Epoch(-1));
    let events = progress.begin_product_stop(stop(HOUR / 2), Epoch(2 * HOUR));
    assert_eq!(shown(&events), ["0 share 0.01", "0 share 0.1"]);
    assert!(progress.advance(Epoch(3 * HOUR)).is_empty());
    assert!(!progress.stays_closed_after_stop());
    let paused = Stream { product_stop: None, ..progress.stream().lifted(Epoch(3 * HOUR)) };
    assert!(progress.change(paused, Epoch(3 * HOUR)).is_empty());
    assert!(progress.stays_closed_after_stop());
    assert!(progress.end_product_stop(Epoch(3 * HOUR)).is_empty());
    assert!(progress.advance(Epoch(9 * HOUR)).is_empty());
}

/// Returns the shares that the rollouts of a stream have reached, each with its release and rollout.
fn reached(stream: &Stream, now: Epoch) -> BTreeSet<(Version, RolloutId, u64)> {
    let now = stream.plan_time(now);
    let mut reached = BTreeSet::new();
    for release in stream.releases.iter().filter(|release| release.state == ReleaseState::Published) {
        for rollout in &release.rollouts {
            let shares = THRESHOLDS.into_iter();
            let shares = shares.filter(|share| !rollout.open_share(now).holds_back(Wariness::new(*share)));
            reached.extend(shares.map(|share| (release.version.clone(), rollout.id, share.to_bits())));
        }
    }
    reached
}

fn share_of(event: &StreamEvent) -> Option<(Version, RolloutId, u64)> {
    match &event.kind {
        EventKind::RolloutShare { rollout, share } => Some((rollout.release.clone(), rollout.id, share.to_bits())),
        _ => None,
    }
}

/// Returns true if the rollout is at the gate of an event, or the event is of another kind.
fn is_at_gate(event: &StreamEvent, stream: &Stream, now: Epoch) -> bool {
    let EventKind::GateWaiting { next_share, .. } = event.kind else { return true };
    let gate = only_rollout(stream).next_gate().filter(|gate| gate.at <= now);
    gate.is_some_and(|gate| gate.share.get().total_cmp(&next_share).is_eq())
}

proptest! {
    #[test]
    fn the_events_of_an_interval_are_those_of_its_parts(
        stream in samples::stream(), from in -10i64..400_000, parts in collection::vec(1i64..100_000, 1..5),
    ) {
        let stream = Arc::new(stream);
        let mut in_parts = Progress::new(stream.clone(), Epoch(from));
        let mut now = Epoch(from);
        let mut events = Vec::new();
        for part in parts {
            now = now.plus_seconds(part);
            events.extend(in_parts.advance(now));
        }
        let at_once = Progress::new(stream.clone(), Epoch(from)).advance(now);
        prop_assert_eq!(&at_once, &events);
        // They are the shares that were reached in the meantime, each once.
        let found: Vec<_> = at_once.iter().filter_map(share_of).collect();
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        prop_assert_eq!(found.len(), distinct.len());
        let (before, after) = (reached(&stream, Epoch(from)), reached(&stream, now));
        prop_assert_eq!(distinct, after.difference(&before).cloned().collect());
        for event in &at_once {
            prop_assert!(Epoch(from) < event.at && event.at <= now);
            if let Some(share) = share_of(event) {
                prop_assert!(reached(&stream, event.at).contains(&share));
                prop_assert!(!reached(&stream, event.at.plus_seconds(-1)).contains(&share), "at the first second");
            }
        }
    }

    #[test]
    fn the_next_event_is_when_something_happens_first(stream in samples::stream(), from in -10i64..400_000) {
        let mut progress = Progress::new(Arc::new(stream), Epoch(from));
        match progress.next_event() {
            None => prop_assert!(progress.advance(Epoch(1_000_000)).is_empty()),
            Some(at) => {
                prop_assert!(progress.advance(at.plus_seconds(-1)).is_empty());
                let is_stopped_before = progress.stream().plan_time(at) < at;
                prop_assert!(is_stopped_before || progress.advance(at).iter().any(|event| event.at == at));
            }
        }
    }

    #[test]
    fn a_share_is_reported_once_until_it_falls_and_a_gate_not_before_it(
        ramp in samples::ramp(), verbs in collection::vec((select(&VERBS), 0i64..60_000), 1..25),
    ) {
        let start = Epoch(-1);
        let stream = stream_with(ReleaseState::Published, rollout(ramp));
        let mut now = start;
        let mut held: BTreeSet<_> = reached(&stream, now);
        let mut progress = Progress::new(Arc::new(stream), start);
        for (verb, wait) in verbs {
            now = now.plus_seconds(wait);
            let mut events = progress.advance(now);
            prop_assert!(events.iter().all(|event| is_at_gate(event, progress.stream(), now)), "{events:?}");
            if let Some(next) = verb.apply(progress.stream(), now) {
                let at_once = progress.change(next, now);
                prop_assert!(at_once.iter().all(|event| is_at_gate(event, progress.stream(), now)), "{at_once:?}");
                events.extend(at_once);
            }
            for event in &events {
                if let Some(share) = share_of(event) {
                    prop_assert!(held.insert(share), "{verb:?} {event:?}");
                }
            }
            let present = reached(progress.stream(), now);
            prop_assert!(present.is_subset(&held), "{verb:?}: every share that is reached was reported");
            held = present;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Wait,
    Pause,
    Resume,
    Hold,
    Advance,
    PassGate,
    Accelerate,
    Complete,
    Stop,
    Lift,
}

const VERBS: [Verb; 10] = [
    Verb::Wait,
    Verb::Pause,
    Verb::Resume,
    Verb::Hold,
    Verb::Advance,
    Verb::PassGate,
    Verb::Accelerate,
    Verb::Complete,
    Verb::Stop,
    Verb::Lift,
];

impl Verb {
    fn apply(self, stream: &Stream, now: Epoch) -> Option<Stream> {
        let rollout = only_rollout(stream);
        let share = |share| Share::new(share).unwrap();
        let next = match self {
            Self::Wait => return None,
            Self::Stop if stream.stop.is_none() => return Some(Stream { stop: Some(stop(now.0)), ..stream.clone() }),
            Self::Lift if stream.stop.is_some() => return Some(stream.lifted(now)),
            // What increases a share is refused during a stop.
            _ if stream.stop.is_some() => return None,
            Self::Stop | Self::Lift => return None,
            Self::Pause => rollout.pause(now),
            Self::Resume => rollout.resume(now),
            Self::Hold => rollout.hold(now, share(0.6)),
            Self::Advance => rollout.advance(now, share(0.4), Some(Minutes(300))),
            Self::PassGate => rollout.pass_gate(now),
            Self::Accelerate => rollout.accelerate(now, Minutes(100)),
            Self::Complete => rollout.complete(),
        };
        next.ok().map(|rollout| with_rollout(stream, rollout))
    }
}
