use super::*;
use crate::domain::{
    rollout::{
        preset::Preset,
        step::{Step, StepGate},
    },
    samples,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_pause_only_delays_the_plan(rollout in samples::rollout(), at in 0i64..400_000, waited in 0i64..100_000) {
        let Ok(paused) = rollout.pause(Epoch(at)) else { return Ok(()) };
        let resumed = paused.resume(Epoch(at + waited)).unwrap();
        let delay = (at + waited - at.max(rollout.begins_at().0)).max(0);
        for later in (0..400_000).step_by(1013) {
            let now = Epoch(at + waited + later);
            prop_assert_eq!(resumed.open_share(now), rollout.open_share(now.plus_seconds(-delay)));
        }
    }

    #[test]
    fn opens_further_after_finds_every_increase(rollout in samples::rollout(), at in 0i64..400_000) {
        let share = |now: i64| match rollout.open_share(Epoch(now)) {
            OpenShare::Open(share) => share,
            OpenShare::Closed => -1.0,
        };
        let opens = (at..700_000).step_by(61).any(|now| share(now) > share(at));
        prop_assert!(!opens || rollout.opens_further_after(Epoch(at)));
    }

    #[test]
    fn a_pause_keeps_the_share_and_opens_nothing(rollout in samples::rollout(), at in 0i64..400_000, later in 0i64..400_000) {
        let Ok(paused) = rollout.pause(Epoch(at)) else { return Ok(()) };
        prop_assert_eq!(paused.open_share(Epoch(at + later)), rollout.open_share(Epoch(at)));
    }

    #[test]
    fn an_advance_never_lowers_a_share(rollout in samples::rollout(), now in 0i64..400_000, to in 0.0..=1.0f64, over in prop::option::of(0u64..5000), later in 0i64..400_000) {
        let to = Share::new(to).unwrap();
        let before = rollout.open_share(Epoch(now));
        let Ok(advanced) = rollout.advance(Epoch(now), to, over.map(Minutes)) else { return Ok(()) };
        let [at_once, then] = [now, now + later].map(|at| advanced.open_share(Epoch(at)));
        let (OpenShare::Open(before), OpenShare::Open(at_once), OpenShare::Open(then)) = (before, at_once, then) else {
            return Err(TestCaseError::fail("it is closed"));
        };
        prop_assert!(before <= at_once && at_once <= then && then <= to.get());
        prop_assert!(over.is_some() || at_once.total_cmp(&to.get()).is_eq());
    }

    #[test]
    fn an_aborted_rollout_admits_no_node(rollout in samples::rollout(), now in 0i64..400_000) {
        if let Ok(aborted) = rollout.abort() {
            prop_assert!(aborted.open_share(Epoch(now)).holds_back(Wariness::new(0.0)));
        }
    }

    #[test]
    fn a_completed_rollout_admits_every_node(rollout in samples::rollout(), now in 0i64..400_000) {
        if let Ok(completed) = rollout.complete() {
            prop_assert!(!completed.open_share(Epoch(now)).holds_back(Wariness::new(1.0)));
        }
    }
}

#[test]
fn start_accelerate_and_hold_change_the_plan() {
    let hours = |hours: u64| Minutes(hours * 60);
    let at = |hours: i64| Epoch(hours * 3600);
    let share = |share| Share::new(share).unwrap();
    let rollout = Rollout {
        id: RolloutId::NEW,
        selector: BoxedSelector::default(),
        ramp: Ramp {
            start: Some(at(10)),
            start_share: None,
            course: Course::Linear { duration: hours(100), end_share: Share::ALL },
        },
        state: RolloutState::Active,
        clock: RolloutClock::default(),
        origin: Origin::Local,
    };
    let open = |rollout: &Rollout, hours| rollout.open_share(at(hours));
    let started = rollout.start(at(5)).unwrap();
    assert_eq!((open(&started, 5), open(&started, 105)), (OpenShare::Open(0.0), OpenShare::Open(1.0)));
    assert_eq!(rollout.start(at(10)), Err(TransitionError::Started));
    let faster = rollout.accelerate(at(60), hours(10)).unwrap();
    assert_eq!(
        (open(&faster, 60), open(&faster, 65), open(&faster, 70)),
        (OpenShare::Open(0.5), OpenShare::Open(0.75), OpenShare::Open(1.0))
    );
    for (now, within) in [(5, 10), (60, 50), (200, 1)] {
        assert_eq!(rollout.accelerate(at(now), hours(within)), Err(TransitionError::NotFaster), "{now} {within}");
    }
    let held = rollout.hold(at(60), share(0.6)).unwrap();
    assert_eq!(
        (open(&held, 60), open(&held, 70), open(&held, 900)),
        (OpenShare::Open(0.5), OpenShare::Open(0.6), OpenShare::Open(0.6))
    );
    for (now, to) in [(60, 0.4), (60, 1.0), (200, 0.5)] {
        assert_eq!(rollout.hold(at(now), share(to)), Err(TransitionError::NotAhead), "{now} {to}");
    }
    let advanced = held.advance(at(80), share(0.8), None).unwrap();
    assert_eq!((open(&advanced, 80), open(&advanced, 900)), (OpenShare::Open(0.8), OpenShare::Open(0.8)));
    let advanced = held.advance(at(80), Share::ALL, Some(hours(10))).unwrap();
    assert_eq!(
        (open(&advanced, 80), open(&advanced, 85), open(&advanced, 90)),
        (OpenShare::Open(0.6), OpenShare::Open(0.8), OpenShare::Open(1.0))
    );
    assert_eq!(held.advance(at(80), share(0.6), None), Err(TransitionError::NotHigher));
    assert!(
        held.pause(at(80)).unwrap().advance(at(90), Share::ALL, None).is_err(),
        "a pause is ended by resuming only"
    );
}

#[test]
fn errors_name_the_operation_and_the_state() {
    let rollout = Rollout {
        id: RolloutId::NEW,
        selector: BoxedSelector::default(),
        ramp: Ramp { start: None, start_share: Some(Share::ALL), course: Course::Constant },
        state: RolloutState::Aborted,
        clock: RolloutClock::default(),
        origin: Origin::Local,
    };
    assert_eq!(rollout.resume(Epoch(0)).unwrap_err().to_string(), "a rollout that is aborted cannot be resumed");
    assert!(rollout.pause(Epoch(0)).is_err() && rollout.complete().is_err() && rollout.abort().is_err());
}

/// To 10 % at once, to everyone after a gate an hour later.
fn gated(start: Epoch) -> Rollout {
    let gate = Step { gate: StepGate::Closed, ..Step::at_once(Minutes(60), Share::ALL) };
    let ramp = Ramp { start: Some(start), start_share: Share::new(0.1).ok(), course: Course::Steps(vec![gate]) };
    Preset::Week.rollout(start).with_plan(ramp)
}

#[test]
fn a_rollout_that_begins_again_waits_at_its_gates_again() {
    let hours = |hours: i64| Epoch(hours * 3600);
    let passed = gated(hours(0)).pass_gate(hours(2)).unwrap();
    assert_eq!(passed.open_share(hours(2)), OpenShare::Open(1.0));
    for again in [passed.not_before(hours(5)), passed.abort().unwrap().restart(hours(5)).unwrap()] {
        assert_eq!(again.open_share(hours(99)), OpenShare::Open(0.1));
        assert_eq!((again.begins_at(), again.is_waiting(hours(6)), again.clock.stood_still), (hours(5), true, 0));
    }
    // One that was paused far along does not open when its release is published: it waits before its start.
    let waiting = passed.pause(hours(3)).unwrap().not_before(hours(5));
    assert_eq!(waiting.open_share(hours(99)), OpenShare::Open(0.0));
    assert_eq!(waiting.resume(hours(7)).unwrap().open_share(hours(7)), OpenShare::Open(0.1));
    let ahead = gated(hours(9)).pause(hours(1)).unwrap();
    assert_eq!(ahead.not_before(hours(5)), ahead);
}

#[test]
fn a_rollout_that_waits_at_share_0_has_not_opened() {
    let hours = |hours: i64| Epoch(hours * 3600);
    let mut closed = gated(hours(0));
    closed.ramp.start_share = None;
    assert!(closed.is_open(hours(2)) && !closed.has_opened(hours(2)));
    assert!(closed.pass_gate(hours(2)).unwrap().has_opened(hours(2)));
    assert!(gated(hours(0)).has_opened(hours(0)) && !gated(hours(1)).has_opened(hours(0)));
}
