//! Tests of the actions of rollouts, in each state, during a stop and before a freeze window.

use super::*;
use crate::{
    domain::{
        release::ReleaseState,
        rollout::{
            RolloutClock, RolloutState,
            preset::Preset,
            ramp::{Course, Ramp},
            share::OpenShare,
            step::{Step, StepGate},
        },
    },
    manage::testing::{
        HOUR, NOW, apply, at, found_mut, found_rollout, next, numbered, refusal, rollout, stopped, stream, with_window,
    },
};

type Transition = fn(&Rollout, Epoch) -> Result<Rollout, TransitionError>;

const WITHIN: Minutes = Minutes(60);

fn share() -> Share {
    Share::new(0.75).unwrap()
}

/// Returns the actions that may admit nodes sooner, on a rollout, each with the transition that it makes.
fn opening(rollout: &RolloutAddress) -> Vec<(Box<dyn Command>, Transition)> {
    let rollout = rollout.clone();
    vec![
        (Box::new(StartRollout { rollout: rollout.clone() }), Rollout::start),
        (Box::new(ResumeRollout { rollout: rollout.clone() }), Rollout::resume),
        (Box::new(AccelerateRollout { rollout: rollout.clone(), within: WITHIN }), |rollout, now| {
            rollout.accelerate(now, WITHIN)
        }),
        (Box::new(CompleteRollout { rollout }), |rollout, _| rollout.complete()),
    ]
}

/// Returns the restrictive actions on a rollout, each with the transition that it makes.
fn restrictive(rollout: &RolloutAddress) -> Vec<(Box<dyn Command>, Transition)> {
    let rollout = rollout.clone();
    vec![
        (Box::new(PauseRollout { rollout: rollout.clone() }), Rollout::pause),
        (Box::new(HoldRollout { rollout: rollout.clone(), share: share() }), |rollout, now| rollout.hold(now, share())),
        (Box::new(AbortRollout { rollout }), |rollout, _| rollout.abort()),
    ]
}

/// Checks that an action makes its transition at a time, or is refused for the reason that the transition has.
fn assert_makes(command: &dyn Command, transition: Transition, before: &Stream, id: u32, time: Epoch) {
    let mut expected = before.clone();
    let mut rollouts = found_mut(&mut expected, "3").rollouts.iter_mut();
    let rollout = rollouts.find(|rollout| rollout.id.number() == id).unwrap();
    let result = apply(command, before);
    let name = command.action().name;
    match transition(rollout, time) {
        Ok(after) => {
            *rollout = after;
            assert_eq!(result, Ok(Next::from(expected)), "{name} {id}");
        }
        Err(error) => assert_eq!(result, Err(Refusal::Verb(error)), "{name} {id}"),
    }
}

#[test]
fn actions_change_their_rollout_and_nothing_else_in_every_state() {
    for state in ReleaseState::ALL.iter().copied() {
        let mut before = stream();
        found_mut(&mut before, "3").state = state;
        for number in 1..=5 {
            let address = rollout("3", number);
            for (command, transition) in opening(&address).into_iter().chain(restrictive(&address)) {
                assert_makes(&*command, transition, &before, number, NOW);
            }
        }
    }
}

#[test]
fn during_a_stop_restrictive_actions_happen_at_its_start_and_others_are_refused() {
    let before = stopped(stream());
    for number in 1..=5 {
        let address = rollout("3", number);
        for (command, transition) in restrictive(&address) {
            assert_makes(&*command, transition, &before, number, at(-6));
        }
        for (command, _) in opening(&address) {
            let message =
                format!("os/stable has been stopped since {} (nodes do not boot); lift the stop first", at(-6));
            assert_eq!(refusal(&*command, &before), message, "{}", command.action().name);
        }
    }
    let of_product = Stream { product_stop: before.stop.clone(), ..stream() };
    let paused = next(&PauseRollout { rollout: rollout("3", 1) }, &of_product);
    assert_eq!(found_rollout(&paused, 1).state, RolloutState::Paused { at: at(-6) });
    let start = StartRollout { rollout: rollout("3", 2) };
    assert!(refusal(&start, &of_product).starts_with("os/stable has been stopped since"));
}

#[test]
fn actions_name_the_rollout_that_does_not_exist() {
    for (version, number, message) in [
        ("3", 0, "there is no rollout 0 of release 3"),
        ("3", 6, "there is no rollout 6 of release 3"),
        ("5", 1, "there is no rollout 1 of release 5"),
        ("9", 1, "there is no release 9"),
    ] {
        let address = rollout(version, number);
        for (command, _) in opening(&address).into_iter().chain(restrictive(&address)) {
            assert_eq!(refusal(&*command, &stream()), message);
        }
    }
}

#[test]
fn each_action_changes_the_share_as_its_name_says() {
    let share_of = |command: &dyn Command, number: u32, hours: i64| {
        let OpenShare::Open(share) = found_rollout(&next(command, &stream()), number).open_share(at(hours)) else {
            return None;
        };
        Some((share * 100.0).round())
    };
    let [running, scheduled, paused] = [1, 2, 3].map(|number| rollout("3", number));
    let start = StartRollout { rollout: scheduled };
    assert_eq!([0, 12, 24].map(|hours| share_of(&start, 2, hours)), [Some(0.0), Some(25.0), Some(50.0)]);
    let pause = PauseRollout { rollout: running.clone() };
    assert_eq!([0, 12, 24].map(|hours| share_of(&pause, 1, hours)), [Some(50.0); 3]);
    let resume = ResumeRollout { rollout: paused };
    assert_eq!([0, 12, 36].map(|hours| share_of(&resume, 3, hours)), [Some(25.0), Some(50.0), Some(100.0)]);
    let accelerate = AccelerateRollout { rollout: running.clone(), within: WITHIN };
    assert_eq!([0, 1].map(|hours| share_of(&accelerate, 1, hours)), [Some(50.0), Some(100.0)]);
    let hold = HoldRollout { rollout: running.clone(), share: share() };
    assert_eq!([0, 12, 99].map(|hours| share_of(&hold, 1, hours)), [Some(50.0), Some(75.0), Some(75.0)]);
    let complete = CompleteRollout { rollout: running.clone() };
    assert_eq!(share_of(&complete, 1, 0), Some(100.0));
    assert_eq!(share_of(&AbortRollout { rollout: running }, 1, 0), None);
}

#[test]
fn the_steps_of_a_resumed_rollout_wait_for_the_end_of_a_freeze_window() {
    let resume = ResumeRollout { rollout: rollout("3", 1) };
    let mut before = with_window(stream(), 12, 30);
    found_mut(&mut before, "3").rollouts = vec![Preset::Week.rollout(at(-12)).pause(at(-6)).unwrap()];
    let mut before = numbered(before);
    let hours = |stream: &Stream| -> Vec<i64> {
        let breakpoints = found_rollout(stream, 1).breakpoints();
        breakpoints.into_iter().map(|time| time.since(NOW) / HOUR).collect()
    };
    // The step of hour 18 would be inside, and the later ones keep their distance to it.
    assert_eq!(hours(&next(&resume, &before))[..4], [-6, 30, 54, 78]);
    before.protection.freeze_windows.clear();
    assert_eq!(hours(&next(&resume, &before))[..4], [-6, 18, 42, 66]);
}

/// Returns the stream with a rollout of release 3 that arrived at its gate 6 hours ago and opens to everyone in the 48 hours after it.
fn at_gate() -> Stream {
    let mut stream = stream();
    let gate = Step { gate: StepGate::Closed, ..Step::at_once(Minutes(24 * 60), Share::new(0.05).unwrap()) };
    let rest = Step { over: Minutes(48 * 60), ..Step::at_once(Minutes(24 * 60), Share::ALL) };
    let ramp = Ramp { start: Some(at(-30)), start_share: None, course: Course::Steps(vec![gate, rest]) };
    found_mut(&mut stream, "3").rollouts = vec![Preset::Week.rollout(at(-30)).with_plan(ramp)];
    numbered(stream)
}

#[test]
fn a_rollout_passes_its_gate_only_when_it_is_advanced() {
    let share_at = |stream: &Stream, hours| format!("{:.3}", found_rollout(stream, 1).planned_share(at(hours)));
    let shares = |stream: &Stream| [0, 24, 48, 99].map(|hours| share_at(stream, hours));
    let advance = |further| AdvanceRollout { rollout: rollout("3", 1), further };
    assert_eq!(shares(&at_gate()), ["0.000"; 4]);
    let passed = next(&advance(Further::PastGate), &at_gate());
    assert_eq!(shares(&passed), ["0.050", "0.525", "1.000", "1.000"]);
    assert_eq!(found_rollout(&passed, 1).clock.stood_still, 6 * HOUR);
    let message = "the rollout does not wait at a gate; to open it further, give a share";
    assert_eq!(refusal(&advance(Further::PastGate), &passed), message);
    assert_eq!(refusal(&advance(Further::PastGate), &stream()), message);
    let to = Further::To { share: share(), over: None };
    assert_eq!(shares(&next(&advance(to), &at_gate())), ["0.750"; 4]);
    // The rest of the plan waits for the end of a window, like that of a rollout that is resumed.
    let mut late = at_gate();
    let Course::Steps(steps) = &mut found_mut(&mut late, "3").rollouts[0].ramp.course else { panic!("it has steps") };
    steps[1].after = Minutes(36 * 60);
    let passed = next(&advance(Further::PastGate), &with_window(late, 10, 20));
    assert_eq!([0, 12, 20, 44].map(|hours| share_at(&passed, hours)), ["0.050", "0.050", "0.050", "0.525"]);
}

#[test]
fn an_aborted_rollout_is_restarted_in_its_place() {
    let restarted = apply(&RestartRollout { rollout: rollout("3", 5) }, &stream()).unwrap();
    assert_eq!(restarted.created.as_deref(), Some("6"));
    let ids = |stream: &Stream| -> Vec<u32> {
        crate::manage::testing::found(stream, "3").rollouts.iter().map(|rollout| rollout.id.number()).collect()
    };
    assert_eq!(ids(&restarted.stream), [1, 2, 3, 4, 6, 5]);
    let [new, old] = [6, 5].map(|id| found_rollout(&restarted.stream, id));
    assert_eq!(old, found_rollout(&stream(), 5));
    assert_eq!((&new.selector, new.state, new.begins_at()), (&old.selector, RolloutState::Active, NOW));
    assert_eq!((&new.ramp.course, new.clock), (&old.ramp.course, RolloutClock::default()));
    let refused = refusal(&RestartRollout { rollout: rollout("3", 1) }, &stream());
    assert_eq!(refused, "a rollout that is active cannot be restarted");
    assert!(refusal(&RestartRollout { rollout: rollout("3", 5) }, &stopped(stream())).contains("lift the stop first"));
}
