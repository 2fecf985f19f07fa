//! Tests of the actions of rollouts, in each state, during a stop and before a freeze window.

use super::*;
use crate::{
    domain::{
        release::ReleaseState,
        rollout::{RolloutState, preset::Preset, share::OpenShare},
    },
    manage::testing::{
        HOUR, NOW, apply, at, found_mut, found_rollout, next, refusal, rollout, stopped, stream, with_window,
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
fn assert_makes(command: &dyn Command, transition: Transition, before: &Stream, number: usize, time: Epoch) {
    let mut expected = before.clone();
    let rollout = &mut found_mut(&mut expected, "3").rollouts[number - 1];
    let result = apply(command, before);
    let name = command.action().name;
    match transition(rollout, time) {
        Ok(after) => {
            *rollout = after;
            assert_eq!(result, Ok(Next::from(expected)), "{name} {number}");
        }
        Err(error) => assert_eq!(result, Err(Refusal::Verb(error)), "{name} {number}"),
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
    let share_of = |command: &dyn Command, number: usize, hours: i64| {
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
    let hours = |stream: &Stream| -> Vec<i64> {
        let breakpoints = found_rollout(stream, 1).breakpoints();
        breakpoints.into_iter().map(|time| time.since(NOW) / HOUR).collect()
    };
    // The step of hour 18 would be inside, and the later ones keep their distance to it.
    assert_eq!(hours(&next(&resume, &before))[..4], [-6, 30, 54, 78]);
    before.protection.freeze_windows.clear();
    assert_eq!(hours(&next(&resume, &before))[..4], [-6, 18, 42, 66]);
}
