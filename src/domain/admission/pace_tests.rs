use super::*;
use crate::domain::{
    document::{StreamDocument, Strictness},
    duration::Minutes,
    policy::{graph_rules::EdgeRule, predecessors::Predecessors},
    rollout::{first_opening::record_first_openings, preset::Preset, selector::Label, share::Share},
};
use std::collections::BTreeSet;

const NOW: Epoch = Epoch(1_000_000);
const DAY: i64 = 24 * 3600;

/// Builds a stream of two releases, whose second release has these rollouts, with a shortest rollout of so many hours.
fn stream(hours: u64, rollouts: Vec<Rollout>) -> Stream {
    let release = |n: usize| {
        format!(
            "[[releases]]\nversion = \"{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n"
        )
    };
    let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{}{}", release(0), release(1));
    let document: StreamDocument = toml::from_str(&text).unwrap();
    let mut stream = Stream::from_document(&document, Strictness::Strict).unwrap();
    stream.protection.shortest_rollout = Some(Minutes(hours * 60));
    stream.releases[1].rollouts = rollouts;
    stream
}

fn rollout(text: &str) -> Rollout {
    let document = toml::from_str(text).unwrap();
    crate::domain::document::parts::rollout(&document).unwrap()
}

fn is_too_fast(hours: u64, before: &[Rollout], after: &[Rollout], now: Epoch) -> bool {
    !too_fast(&stream(hours, before.to_vec()), &stream(hours, after.to_vec()), now).is_empty()
}

fn is_new_rollout_too_fast(hours: u64, text: &str) -> bool {
    is_too_fast(hours, &[], &[rollout(&format!("start = \"{NOW}\"\n{text}"))], NOW)
}

/// Regression test: only the time at which a ramp reaches all nodes was checked, and rollouts for groups were not checked at all.
#[test]
fn every_form_of_a_too_fast_rollout_is_rejected() {
    for text in [
        "start_share = 1.0",
        "start_share = 0.999999",
        "start_share = 0.06",
        "duration = \"PT47H\"",
        "duration = \"PT1M\"\nend_share = 0.999999",
        "duration = \"PT2H\"\nend_share = 0.07",
        "start_share = 0.05\nduration = \"PT48H\"\nend_share = 0.9",
        "start_share = 1.0\nselector = { groups = [\"default\"] }",
        "start_share = 1.0\nselector = { groups = [\"canary\", \"default\"] }",
        "start_share = 1.0\nselector = { platforms = [\"aws\"] }",
        "steps = [{ after = \"PT1H\", share = 0.5 }, { after = \"PT48H\", share = 1.0 }]",
        "start_share = 0.05\nsteps = [{ after = \"PT47H\", share = 1.0 }]",
    ] {
        assert!(is_new_rollout_too_fast(48, text), "{text}");
    }
    for text in [
        "start_share = 0.05",
        "duration = \"PT48H\"",
        "duration = \"PT24H\"\nend_share = 0.5",
        "start_share = 0.05\nsteps = [{ after = \"PT24H\", share = 0.5 }, { after = \"PT48H\", share = 1.0 }]",
    ] {
        assert!(!is_new_rollout_too_fast(48, text), "{text}");
    }
}

#[test]
fn presets_pass_if_they_are_slow_enough() {
    for (preset, slow_enough, too_fast) in
        [(Preset::Linear48h, 48, 49), (Preset::Week, 133, 135), (Preset::Emergency, 3, 4)]
    {
        let rollouts = [preset.rollout(NOW)];
        assert!(!is_too_fast(slow_enough, &[], &rollouts, NOW), "{preset:?}");
        assert!(is_too_fast(too_fast, &[], &rollouts, NOW), "{preset:?}");
    }
}

#[test]
fn groups_listed_as_canaries_are_exempt() {
    let canary = rollout("start_share = 1.0\nselector = { groups = [\"canary\"] }");
    let (before, mut after) = (stream(48, Vec::new()), stream(48, vec![canary]));
    assert!(!too_fast(&before, &after, NOW).is_empty());
    after.protection.canaries = BTreeSet::from([Label::parse("canary").unwrap()]);
    assert!(too_fast(&before, &after, NOW).is_empty());
}

#[test]
fn pauses_count_as_time_and_resuming_is_never_too_fast() {
    for preset in [Preset::Linear48h, Preset::Week] {
        let plan = preset.rollout(NOW);
        let shortest = if preset == Preset::Week { 133 } else { 48 };
        for hours in [1, 13, 26, 47, 80, 130] {
            let (at, later) = (NOW.plus_seconds(hours * 3600), NOW.plus_seconds((hours + 30) * 3600));
            let paused = plan.pause(at).unwrap();
            let resumed = paused.resume(later).unwrap();
            assert!(!is_too_fast(shortest, &[paused], &[resumed], later), "{preset:?} {hours}");
        }
    }
    let plan = Preset::Linear48h.rollout(NOW);
    let halfway = NOW.plus_seconds(DAY);
    assert!(is_too_fast(48, std::slice::from_ref(&plan), &[plan.complete().unwrap()], halfway));
    assert!(is_too_fast(48, std::slice::from_ref(&plan), &[plan.accelerate(halfway, Minutes(60)).unwrap()], halfway));
    let held = plan.hold(halfway, Share::new(0.6).unwrap()).unwrap();
    assert!(!is_too_fast(48, &[plan], &[held], halfway));
}

/// Regression test: time at a share of 0 counted, so all nodes could be admitted at the same time after two days without any.
#[test]
fn time_at_a_share_of_0_does_not_count() {
    for text in [
        "steps = [{ after = \"PT48H\", share = 1.0 }]",
        "steps = [{ after = \"PT24H\", share = 0.05 }, { after = \"PT48H\", share = 1.0 }]",
        "steps = [{ after = \"PT48H\", share = 1.0, over = \"PT47H\" }]",
    ] {
        assert!(is_new_rollout_too_fast(48, text), "{text}");
    }
    assert!(!is_new_rollout_too_fast(48, "steps = [{ after = \"PT48H\", share = 1.0, over = \"PT48H\" }]"));
    assert!(!is_new_rollout_too_fast(
        48,
        "steps = [{ after = \"PT48H\", share = 0.05 }, { after = \"PT96H\", share = 1.0 }]"
    ));

    // Nothing has opened when the plan is changed two days later.
    let closed = rollout(&format!("start = \"{NOW}\"\nstart_share = 0.0"));
    let opened = closed.advance(NOW.plus_seconds(2 * DAY), Share::ALL, None).unwrap();
    assert!(is_too_fast(48, &[closed], &[opened], NOW.plus_seconds(2 * DAY)));
}

/// Regression test: a wait at a gate counted as time of the accepted plan, so all nodes could be admitted at the same time after it.
#[test]
fn a_wait_at_a_gate_accepts_no_later_step_sooner() {
    let days = |days: i64| NOW.plus_seconds(days * DAY);
    let closed = rollout(&format!(
        "start = \"{NOW}\"\nsteps = [{{ after = \"PT24H\", share = 0.05, gate = true }}, {{ after = \"PT27H\", share = 1.0, over = \"PT48H\" }}]"
    ));
    let passed = closed.pass_gate(days(11)).unwrap();
    assert!(!is_too_fast(48, &[closed], std::slice::from_ref(&passed), days(11)));
    let soon = days(11).plus_seconds(60);
    assert!(is_too_fast(48, std::slice::from_ref(&passed), &[passed.advance(soon, Share::ALL, None).unwrap()], soon));

    let open = rollout(&format!(
        "start = \"{NOW}\"\nstart_share = 0.05\nsteps = [{{ after = \"PT1H\", share = 0.1, gate = true }}, {{ after = \"PT121H\", share = 1.0 }}]"
    ));
    let passed = open.pass_gate(days(5)).unwrap();
    assert!(!is_too_fast(240, &[open], std::slice::from_ref(&passed), days(5)));
    assert!(is_too_fast(240, std::slice::from_ref(&passed), &[passed.complete().unwrap()], days(5)));
}

/// Regression test: a pause after the start, before the first step, accepted what the plan would have reached without it.
#[test]
fn a_pause_at_a_share_of_0_accepts_nothing() {
    let plan = rollout(&format!(
        "start = \"{NOW}\"\nsteps = [{{ after = \"PT48H\", share = 0.05 }}, {{ after = \"PT96H\", share = 1.0 }}]"
    ));
    let (paused, later) = (plan.pause(NOW.plus_seconds(3600)).unwrap(), NOW.plus_seconds(10 * DAY));
    assert!(is_too_fast(48, std::slice::from_ref(&paused), &[paused.complete().unwrap()], later));
    assert!(!is_too_fast(48, std::slice::from_ref(&paused), &[paused.resume(later).unwrap()], later));
}

/// The version before recorded the begin of the plan as the time at which a rollout opened.
#[test]
fn a_recorded_opening_at_a_share_of_0_does_not_count() {
    let mut closed = rollout(&format!("start = \"{NOW}\"\nsteps = [{{ after = \"PT48H\", share = 0.05 }}]"));
    closed.clock.first_opened = Some(NOW);
    let later = NOW.plus_seconds(DAY + 3600);
    let opened = closed.advance(later, Share::new(0.5).unwrap(), None).unwrap();
    assert!(is_too_fast(48, std::slice::from_ref(&closed), &[opened], later));
}

/// Regression test: a start in the past was taken for the time at which the rollout opened.
#[test]
fn a_backdated_start_does_not_count_as_time() {
    let open = |rollout: &Rollout| stream(48, vec![rollout.clone()]);
    for start in ["start = \"1970-01-02T00:00:00Z\"\n", ""] {
        let backdated = rollout(&format!("{start}start_share = 0.05"));
        let mut created = open(&backdated);
        assert!(too_fast(&stream(48, Vec::new()), &created, NOW).is_empty());
        record_first_openings(&stream(48, Vec::new()), &mut created, NOW);
        let later = NOW.plus_seconds(DAY);
        let complete = created.releases[1].rollouts[0].complete().unwrap();
        assert_eq!(too_fast(&created, &open(&complete), later).len(), 1, "{start}");
        assert!(too_fast(&created, &open(&complete), NOW.plus_seconds(2 * DAY)).is_empty());
    }
    let waiting = Preset::Linear48h.rollout(NOW.plus_seconds(60)).pause(NOW).unwrap();
    let much_later = NOW.plus_seconds(30 * DAY);
    assert_eq!(too_fast(&open(&waiting), &open(&waiting.complete().unwrap()), much_later).len(), 1);
}

#[test]
fn a_pause_at_a_small_share_loses_no_time() {
    let plan = rollout(&format!("start = \"{NOW}\"\nstart_share = 0.04\nduration = \"PT960H\"\nend_share = 0.05"));
    let paused = plan.pause(NOW.plus_seconds(3600)).unwrap();
    let resumed = paused.resume(NOW.plus_seconds(2 * DAY)).unwrap();
    let held = resumed.hold(NOW.plus_seconds(2 * DAY), Share::new(0.045).unwrap()).unwrap();
    let mut before = stream(48, vec![plan]);
    for (next, at) in [(paused, 3600), (resumed, 2 * DAY), (held, 2 * DAY)] {
        let mut after = stream(48, vec![next]);
        record_first_openings(&before, &mut after, NOW.plus_seconds(at));
        before = after;
    }
    let complete = before.releases[1].rollouts[0].complete().unwrap();
    assert!(too_fast(&before, &stream(48, vec![complete]), NOW.plus_seconds(2 * DAY)).is_empty());
}

#[test]
fn a_too_fast_upstream_rollout_is_paused_before_it_opens() {
    let upstream = |text: &str| Rollout { origin: Origin::Upstream, ..rollout(text) };
    let (before, soon) = (stream(48, Vec::new()), NOW.plus_seconds(3600));
    for text in ["start_share = 1.0".to_owned(), format!("start = \"{soon}\"\nduration = \"PT1H\"")] {
        let mut after = stream(48, vec![upstream(&text)]);
        let findings = pause_violating_rollouts(&before, &mut after, NOW);
        assert_eq!((findings.len(), too_fast(&before, &after, NOW).len()), (1, 0), "{text}");
        assert_eq!(after.releases[1].rollouts[0].open_share(NOW.plus_seconds(30 * DAY)), OpenShare::Open(0.0));
    }
    let mut slow = stream(48, vec![upstream(&format!("start = \"{NOW}\"\nduration = \"PT48H\""))]);
    assert_eq!(pause_violating_rollouts(&before, &mut slow, NOW), []);
    assert_eq!(slow.releases[1].rollouts[0].state, RolloutState::Active);
}

#[test]
fn a_republished_release_starts_again() {
    let open = rollout("start_share = 1.0");
    let (mut before, after) = (stream(48, vec![open.clone()]), stream(48, vec![open]));
    assert!(too_fast(&after, &after, NOW).is_empty());
    before.releases[1].state = ReleaseState::Withdrawn;
    assert_eq!(too_fast(&before, &after, NOW).len(), 1);
}

/// Regression test: only barriers without rollouts were checked, which is enough for the edge rule `derived` only.
#[test]
fn releases_that_open_to_all_nodes_without_a_rollout_are_too_fast() {
    let with = |edge_rule, rollouts| {
        let mut stream = stream(48, rollouts);
        stream.rules.edge_rule = edge_rule;
        stream
    };
    let list = |stream: &Stream| {
        let mut stream = stream.clone();
        let versions = BTreeSet::from([stream.releases[0].version.clone()]);
        stream.releases[1].predecessors = Some(Box::new(Predecessors { versions, origin: Origin::Local }));
        stream
    };
    let slow = || vec![Preset::Week.rollout(NOW)];
    let [derived, open, explicit] =
        [EdgeRule::Derived, EdgeRule::Open, EdgeRule::Explicit].map(|rule| with(rule, Vec::new()));
    let mut draft = open.clone();
    draft.releases[1].state = ReleaseState::Draft;
    for (before, after) in [
        (&draft, &open),
        (&with(EdgeRule::Open, slow()), &open),
        (&derived, &open),
        (&explicit, &list(&explicit)),
        (&derived, &list(&explicit)),
    ] {
        assert!(!too_fast(before, after, NOW).is_empty(), "{before:?}\n{after:?}");
    }
    let known = list(&explicit);
    for (before, after) in [(&open, &open), (&open, &derived), (&known, &known), (&known, &explicit)] {
        assert_eq!(too_fast(before, after, NOW), [], "{before:?}\n{after:?}");
    }
}
