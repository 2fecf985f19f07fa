//! Tests of creating, replacing and deleting rollouts.

use super::*;
use crate::{
    domain::{
        rollout::{ramp::Ramp, share::Share},
        stream::Stream,
    },
    manage::{
        command::LoadedReads,
        commands::batch::Batch,
        testing::{
            NOW, apply, apply_to, at, found, found_mut, found_rollout, next, refusal, release, rollout, stopped,
            stream, with_window,
        },
    },
};

fn plan(document: &str) -> RolloutPlan {
    RolloutPlan { document: toml::from_str(document).unwrap(), preset: None, waits_for_windows: false }
}

fn create(version: &str, plan: RolloutPlan) -> CreateRollout {
    CreateRollout { release: release(version), plan, before: None }
}

/// Returns the only rollout of release 5 after a command that creates it.
fn created(plan: RolloutPlan, before: &Stream) -> Rollout {
    let after = next(&create("5", plan), before);
    let [rollout] = &found(&after, "5").rollouts[..] else { panic!("there is more than one rollout") };
    assert_eq!(rollout.id.number(), 1);
    Rollout { id: RolloutId::NEW, ..rollout.clone() }
}

fn id(number: u32) -> RolloutId {
    RolloutId::from_number(number).unwrap()
}

#[test]
fn a_rollout_starts_at_the_time_of_the_command_unless_it_has_a_start() {
    let linear = |start| Preset::Linear48h.rollout(start);
    let text = "start_share = 0.0\nduration = \"PT48H\"\norigin = \"upstream\"";
    assert_eq!(created(plan(text), &stream()), linear(NOW));
    assert_eq!(created(plan(&format!("start = \"{}\"\n{text}", at(-5))), &stream()), linear(at(-5)));
    let constant = linear(NOW).with_plan(Ramp::constant(NOW, Share::ALL));
    assert_eq!(created(plan("start_share = 1.0"), &stream()), constant);
}

#[test]
fn a_preset_replaces_the_ramp_and_keeps_the_start_and_the_selector() {
    for preset in Preset::ALL.iter().copied() {
        let document = plan(&format!("start = \"{}\"\nselector = {{ groups = [\"canary\"] }}", at(2)));
        let rollout = created(RolloutPlan { preset: Some(NamedPreset::Ramp(preset)), ..document.clone() }, &stream());
        let selector = created(document, &stream()).selector;
        assert!(selector.groups.is_some());
        assert_eq!(rollout, Rollout { selector, ..preset.rollout(at(2)) });
    }
}

/// Returns the presets of a product: `one` has a rollout, `two` have rollouts of canaries and of all others, which waits for the end of a
/// freeze window.
fn presets() -> LoadedReads {
    let canaries = r#"{"selector": {"groups": ["canary"]}, "start_share": 1}"#;
    let all = r#"{"steps": [{"after": "PT24H", "share": 0.05, "gate": true}], "freeze": "wait"}"#;
    let preset = |rollouts: &[&str]| {
        let text = format!(r#"{{"rollouts": [{}]}}"#, rollouts.join(","));
        parts::product_preset(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let name = |text| PresetName::parse(text).unwrap();
    let presets = [(name("one"), preset(&[canaries])), (name("two"), preset(&[canaries, all]))].into();
    LoadedReads { presets, ..LoadedReads::default() }
}

fn named(name: &str, document: &str) -> RolloutPlan {
    RolloutPlan { preset: NamedPreset::from_name(name), ..plan(document) }
}

/// Returns the message of a command that is refused, for the product with [`presets`].
fn refused_with_presets(command: &dyn Command) -> String {
    apply_to(command, Some(&stream()), &presets()).unwrap_err().to_string()
}

#[test]
fn a_preset_of_the_product_stands_for_its_rollouts() {
    let two = presets().presets[&PresetName::parse("two").unwrap()].clone();
    for (document, start) in [("", NOW), (&*format!("start = \"{}\"", at(5)), at(5))] {
        let rollouts: Vec<Rollout> = two.rollouts.iter().map(|planned| planned.starting_at(start)).collect();
        let command = CreateRollout { before: Some(id(3)), ..create("3", named("two", document)) };
        assert!(command.uses_presets());
        let Next { stream: after, created, .. } = apply_to(&command, Some(&stream()), &presets()).unwrap();
        assert_eq!(created.as_deref(), Some("6"), "the first one");
        let mut all = found(&after, "3").rollouts.clone();
        let inserted: Vec<Rollout> = all.splice(2..4, []).collect();
        let numbered = [6, 7].map(id).into_iter().zip(rollouts).map(|(id, rollout)| Rollout { id, ..rollout });
        assert_eq!(inserted, numbered.collect::<Vec<_>>());
        assert_eq!(all, found(&stream(), "3").rollouts);
        assert!(after.id == stream().id && inserted[1].next_gate().is_some());
    }
}

#[test]
fn each_rollout_of_a_preset_waits_for_windows_as_it_says_or_as_the_request_says() {
    let before = with_window(stream(), -10, 10);
    for (waits_for_windows, begins) in [(false, [NOW, at(10)]), (true, [at(10), at(10)])] {
        let command = create("5", RolloutPlan { waits_for_windows, ..named("two", "") });
        let after = apply_to(&command, Some(&before), &presets()).unwrap().stream;
        let begin: Vec<_> = found(&after, "5").rollouts.iter().map(Rollout::begins_at).collect();
        assert_eq!(begin, begins);
    }
}

#[test]
fn a_preset_of_one_rollout_replaces_a_rollout() {
    let replace = |name| ReplaceRollout { rollout: rollout("3", 2), plan: named(name, "") };
    let after = apply_to(&replace("one"), Some(&stream()), &presets()).unwrap().stream;
    assert_eq!(found_rollout(&after, 2).ramp, Ramp::constant(NOW, Share::ALL));
    assert_eq!(refused_with_presets(&replace("two")), "preset: has 2 rollouts, but replaces a single one");
}

#[test]
fn a_preset_that_the_product_has_not_is_refused_and_the_others_are_named() {
    let known = "linear-48h, week, emergency-3h";
    let fast = || create("5", named("fast", ""));
    assert_eq!(refusal(&fast(), &stream()), format!("preset: must be one of {known}, is \"fast\""));
    let message = format!("preset: must be one of {known}, one, two, is \"fast\"");
    assert_eq!(refused_with_presets(&fast()), message);
    let batch =
        Batch { stream: stream().id, commands: vec![Box::new(create("5", named("one", ""))), Box::new(fast())] };
    assert!(batch.uses_presets());
    assert_eq!(refused_with_presets(&batch), format!("commands[1].rollout.{message}"));
    let selected = create("5", named("two", "selector = { groups = [\"beta\"] }"));
    let message = "selector: cannot be combined with a preset of the product, whose rollouts have their own selectors";
    assert_eq!(refused_with_presets(&selected), message);
    for name in ["week", "Fast", "a/b"] {
        assert!(!matches!(NamedPreset::from_name(name), Some(NamedPreset::OfProduct(_))), "{name}");
    }
    assert!(!create("5", named("week", "")).uses_presets());
}

#[test]
fn a_rollout_is_inserted_before_another_one() {
    let command = |before| CreateRollout { before, ..create("3", plan("start_share = 0.5")) };
    for (before, index) in [(None, 5), (Some(id(1)), 0), (Some(id(3)), 2)] {
        let Next { stream: after, created, .. } = apply(&command(before), &stream()).unwrap();
        assert_eq!(created.as_deref(), Some("6"), "the next id, wherever it is inserted");
        let mut rollouts = found(&after, "3").rollouts.clone();
        let inserted = rollouts.remove(index);
        assert_eq!((inserted.id, inserted.ramp), (id(6), Ramp::constant(NOW, Share::new(0.5).unwrap())));
        assert_eq!(rollouts, found(&stream(), "3").rollouts);
    }
    let message = "before: is 7, which the release does not have";
    assert_eq!(refusal(&command(Some(id(7))), &stream()), message);
}

#[test]
fn a_new_rollout_ends_the_suppression_of_upstream_ones() {
    for version in ["1", "2", "4"] {
        let mut before = stream();
        found_mut(&mut before, version).suppressed_upstream.extend(PolicyKind::ALL);
        let after = next(&create(version, plan("start_share = 0.5")), &before);
        let suppressed: Vec<_> = found(&after, version).suppressed_upstream.iter().copied().collect();
        assert_eq!(suppressed, [PolicyKind::Barrier, PolicyKind::DeadEnd]);
    }
}

#[test]
fn invalid_fields_are_named() {
    for (document, message) in [
        ("end_share = 0.5", "end_share: requires a duration"),
        ("start_share = 2.0", "start_share: is 2, expected a share between 0 and 1"),
    ] {
        assert_eq!(refusal(&create("3", plan(document)), &stream()), message);
        let replace = ReplaceRollout { rollout: rollout("3", 2), plan: plan(document) };
        assert_eq!(refusal(&replace, &stream()), message);
    }
}

#[test]
fn a_rollout_that_waits_starts_after_the_freeze_window() {
    let waits = |start: Option<i64>| {
        let start = start.map(|hours| format!("start = \"{}\"", at(hours))).unwrap_or_default();
        RolloutPlan { preset: Some(NamedPreset::Ramp(Preset::Linear48h)), waits_for_windows: true, ..plan(&start) }
    };
    for ((from, until), start, begins) in [
        ((10, 20), Some(15), 20),
        ((10, 20), Some(9), 9),
        ((10, 20), Some(20), 20),
        ((10, 20), None, 0),
        // The window is in force.
        ((-10, 10), Some(1), 10),
        ((-10, 10), None, 10),
    ] {
        let before = with_window(stream(), from, until);
        let expected = Preset::Linear48h.rollout(at(begins));
        assert_eq!(created(waits(start), &before), expected, "{from} {until} {start:?}");
        let replace = ReplaceRollout { rollout: rollout("4", 1), plan: waits(start) };
        assert_eq!(found(&next(&replace, &before), "4").rollouts, [Rollout { id: id(1), ..expected }]);
        let does_not_wait = RolloutPlan { waits_for_windows: false, ..waits(start) };
        assert_eq!(created(does_not_wait, &before).begins_at(), at(start.unwrap_or(0)));
    }
}

/// Returns the stream with another rollout 1 of release 3.
fn with_first(rollout: Rollout) -> Stream {
    let mut stream = stream();
    found_mut(&mut stream, "3").rollouts[0] = Rollout { id: id(1), ..rollout };
    stream
}

#[test]
fn a_rollout_is_replaced_until_it_starts() {
    let plan = || plan("start_share = 0.5");
    for number in [1, 3, 4, 5] {
        let message = format!(
            "rollout {number} of release 3 has started or ended: pause, hold, advance, accelerate, complete or abort it instead"
        );
        let replace = ReplaceRollout { rollout: rollout("3", number), plan: plan() };
        assert_eq!(refusal(&replace, &stream()), message);
    }
    let linear = |hours| Preset::Linear48h.rollout(at(hours));
    for (before, is_replaced) in [
        (with_first(linear(1)), true),
        (with_first(linear(0)), false),
        (with_first(linear(1).pause(NOW).unwrap()), true),
        // It was paused before its start.
        (with_first(linear(-6).pause(at(-12)).unwrap()), true),
        (with_first(linear(-6).pause(at(-6)).unwrap()), false),
        // Completed and aborted rollouts stay so, even before their start.
        (with_first(linear(1).complete().unwrap()), false),
        (with_first(linear(1).abort().unwrap()), false),
        // Plan time is frozen since hour -6.
        (stopped(with_first(linear(-3))), true),
        (stopped(with_first(linear(-6))), false),
    ] {
        let replace = ReplaceRollout { rollout: rollout("3", 1), plan: plan() };
        let result = apply(&replace, &before);
        assert_eq!(result.is_ok(), is_replaced, "{:?}", found_rollout(&before, 1));
        let Ok(Next { stream: after, created, .. }) = result else { continue };
        assert_eq!((created, found_rollout(&after, 1).begins_at()), (None, NOW));
        assert_eq!(found(&after, "3").rollouts[1..], found(&before, "3").rollouts[1..]);
    }
}

#[test]
fn a_rollout_of_a_draft_is_replaced_and_deleted_at_any_time() {
    let mut before = stream();
    let rollouts = found(&before, "3").rollouts.clone();
    found_mut(&mut before, "4").rollouts = rollouts;
    for (index, number) in (1..=5).enumerate() {
        let replace = ReplaceRollout { rollout: rollout("4", number), plan: plan("start_share = 0.5") };
        let replaced = next(&replace, &before);
        let replaced = &found(&replaced, "4").rollouts[index];
        assert_eq!((replaced.begins_at(), replaced.id), (NOW, id(number)));
        let remove = RemoveRollout { rollout: rollout("4", number) };
        let mut expected = found(&before, "4").rollouts.clone();
        expected.remove(index);
        assert_eq!(found(&next(&remove, &before), "4").rollouts, expected);
    }
}

#[test]
fn the_order_of_rollouts_changes_and_their_ids_stay() {
    let order = |ids: &[u32]| OrderRollouts { release: release("3"), ids: ids.iter().copied().map(id).collect() };
    let ordered = next(&order(&[5, 1, 4, 2, 3]), &stream());
    for rollout in &found(&ordered, "3").rollouts {
        assert_eq!(rollout, found_rollout(&stream(), rollout.id.number()));
    }
    let ids: Vec<u32> = found(&ordered, "3").rollouts.iter().map(|rollout| rollout.id.number()).collect();
    assert_eq!(ids, [5, 1, 4, 2, 3]);
    assert_eq!(next(&order(&[1, 2, 3, 4, 5]), &ordered), stream());
    for wrong in [&[][..], &[1, 2, 3, 4], &[1, 2, 3, 4, 5, 5], &[1, 2, 3, 4, 6], &[1, 2, 3, 4, 5, 6]] {
        let message = "ids: must list every rollout of the release once: 1, 2, 3, 4, 5";
        assert_eq!(refusal(&order(wrong), &stream()), message);
    }
}

#[test]
fn a_rollout_of_a_release_that_was_published_is_not_deleted() {
    let remove = RemoveRollout { rollout: rollout("3", 2) };
    for state in [ReleaseState::Published, ReleaseState::Withdrawn] {
        let mut before = stream();
        found_mut(&mut before, "3").state = state;
        assert_eq!(refusal(&remove, &before), "release 3 was published: abort the rollout instead");
    }
    for (version, number) in [("3", 0), ("3", 6), ("5", 1)] {
        let message = format!("there is no rollout {number} of release {version}");
        assert_eq!(refusal(&RemoveRollout { rollout: rollout(version, number) }, &stream()), message);
        let replace = ReplaceRollout { rollout: rollout(version, number), plan: plan("") };
        assert_eq!(refusal(&replace, &stream()), message);
    }
}
