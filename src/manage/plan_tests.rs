//! Tests of plans: the checks that every command passes.

use super::*;
use crate::{
    domain::{
        document::shape::RolloutDocument,
        finding::Code,
        ids::StreamId,
        origin::Origin,
        policy::barrier::Barrier,
        release::{PolicyKind, Release, ReleaseState},
        rollout::{Rollout, RolloutState, id::RolloutId, preset::Preset},
    },
    manage::{
        commands::{
            documents::{PutDocument, StartStream},
            payloads::{AddAlias, SetPayload},
            policies::{RemoveBarrier, SetBarrier},
            releases::{CreateRelease, PublishRelease, RemoveRelease, SetNotes, WithdrawRelease},
            rollout_actions::{CompleteRollout, PauseRollout},
            rollouts::{CreateRollout, RolloutPlan},
            stops::{LiftStop, StopStream},
        },
        testing::{
            HOUR, NOW, at, found, found_mut, found_rollout, id, key, loaded, payload, payload_id, plan_as, plan_on,
            reason, release, rollout, stop, stopped, stream, timestamp, version, window, with_window,
        },
        upstream::UpstreamDocument,
    },
};

fn message(result: Result<Plan, CommandError>) -> String {
    result.unwrap_err().to_string()
}

/// Returns the next state of a plan that changes something.
fn planned(result: Result<Plan, CommandError>) -> Stream {
    Stream::clone(&result.unwrap().next.unwrap().stream)
}

fn is_plain(_: &mut Request<'_>) {}

fn acknowledge(request: &mut Request<'_>) {
    request.acknowledge = true;
}

fn dry_run(request: &mut Request<'_>) {
    request.dry_run = true;
}

/// An import of a state, which reports one finding.
struct Imported(Stream);

impl Command for Imported {
    fn action(&self) -> Action {
        Action::CHANGE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.0.id
    }

    fn provenance(&self) -> Provenance<'_> {
        const NONE: &[UpstreamDocument] = &[];
        Provenance::Upstream(NONE)
    }

    fn apply(&self, _: &Present<'_>) -> Result<Next, Refusal> {
        let findings = vec![Finding::drift(Code::LocalValueKept, "release 1", "was imported")];
        Ok(Next { findings, ..self.0.clone().into() })
    }
}

#[test]
fn a_stream_at_another_revision_is_refused_before_everything_else() {
    // It would be refused for its role, too.
    let put = PutDocument { written: stream() };
    for (expected, exists, text) in [
        (3, true, "the stream is at revision 7, expected revision 3"),
        (8, true, "the stream is at revision 7, expected revision 8"),
        (0, true, "the stream exists already, at revision 7"),
        (-1, true, "the stream is at revision 7, which If-Match does not name"),
        (7, false, "the stream does not exist"),
        (-1, false, "the stream does not exist"),
    ] {
        let loaded = loaded(&id(), Some(&stream()).filter(|_| exists));
        let refused = plan_on(&loaded, Role::Viewer, &put, |request| request.expected = Some(Revision(expected)));
        assert!(matches!(refused, Err(CommandError::RevisionMismatch { .. })));
        assert_eq!(message(refused), text);
    }
    let notes = SetNotes { release: release("4"), notes: None };
    for expected in [None, Some(Revision(7))] {
        assert!(plan_as(Role::Publisher, &notes, &stream(), |request| request.expected = expected).is_ok());
    }
}

#[test]
fn the_same_state_has_no_next_state() {
    let plan = plan_as(Role::Manager, &PutDocument { written: stream() }, &stream(), is_plain).unwrap();
    assert_eq!((plan.next, &*plan.before, plan.findings), (None, &stream(), Some(Vec::new())));
    // Also if only times have passed that the next change records.
    let notes = SetNotes { release: release("5"), notes: None };
    assert_eq!(plan_as(Role::Publisher, &notes, &stream(), is_plain).unwrap().next, None);
    let empty = PutDocument { written: Stream::empty(id()) };
    let created = plan_on(&loaded(&id(), None), Role::Admin, &empty, is_plain);
    assert_eq!(planned(created), Stream::empty(id()), "a new stream is a change");
}

#[test]
fn stops_stay_unless_the_command_lifts_them() {
    let before = Stream { product_stop: Some(stop(-3)), ..stopped(stream()) };
    let written = |stop| {
        let mut written = Stream { stop, product_stop: None, ..stream() };
        found_mut(&mut written, "4").notes = None;
        PutDocument { written }
    };
    for stop in [None, Some(stop(-9))] {
        let next = planned(plan_as(Role::Manager, &written(stop), &before, is_plain));
        assert_eq!((next.stop, next.product_stop), (before.stop.clone(), before.product_stop.clone()));
    }
    let next = planned(plan_as(Role::Admin, &Imported(written(None).written), &before, is_plain));
    assert_eq!((next.stop, next.product_stop), (before.stop.clone(), before.product_stop.clone()));
    let next = planned(plan_as(Role::Manager, &LiftStop { stream: id() }, &before, is_plain));
    assert_eq!((next.stop, next.product_stop), (None, before.product_stop.clone()));
    // A new stream is stopped with its product.
    let loaded = Loaded { product_stop: before.product_stop.clone(), ..loaded(&id(), None) };
    let put = PutDocument { written: stream() };
    let refused = message(plan_on(&loaded, Role::Admin, &put, acknowledge));
    assert!(refused.starts_with("os/stable has been stopped since"), "{refused}");
    let put = PutDocument { written: Stream::empty(id()) };
    let next = planned(plan_on(&loaded, Role::Admin, &put, acknowledge));
    assert_eq!(next.product_stop, before.product_stop);
}

#[test]
fn a_new_stop_begins_now_at_the_latest() {
    for (hours, since) in [(-6, -6), (0, 0), (6, 0)] {
        let put = PutDocument { written: Stream { stop: Some(stop(hours)), ..stream() } };
        let next = planned(plan_as(Role::Manager, &put, &stream(), is_plain));
        assert_eq!(next.stop, Some(stop(since)));
    }
}

#[test]
fn a_revision_is_later_than_the_one_before() {
    let command = StopStream { stream: id(), reason: reason("nodes do not boot") };
    let just_after = |time| timestamp(time).checked_add(SignedDuration::from_micros(1)).unwrap();
    for (changed_at, expected, since) in [
        (at(-1), timestamp(NOW), NOW),
        (NOW, just_after(NOW), NOW),
        // The clock of the process that made the last revision was ahead.
        (at(1), just_after(at(1)), at(1)),
    ] {
        let mut loaded = loaded(&id(), Some(&stream()));
        loaded.head.changed_at = timestamp(changed_at);
        let plan = plan_on(&loaded, Role::Publisher, &command, is_plain).unwrap();
        assert_eq!((plan.now, plan.next.unwrap().stream.stop.as_ref().unwrap().since), (expected, since));
    }
}

#[test]
fn the_content_of_a_change_may_require_a_higher_role() {
    let barrier = Barrier { reason: reason("new keys"), arches: None, origin: Origin::Local };
    let mut with_barrier = stream();
    let draft = found_mut(&mut with_barrier, "4");
    (draft.barrier, draft.rollouts) = (Some(Box::new(barrier)), Vec::new());
    let set = |version, arch| SetPayload { release: release(version), key: key(arch), payload: payload(7) };
    let settings = PutDocument { written: Stream { arches: [key("x86_64").arch].into(), ..stream() } };
    let cases: [(&dyn Command, Stream, Role, &str); 5] = [
        (&set("3", "aarch64"), stream(), Role::Manager, ""),
        (
            &set("4", "aarch64"),
            stream(),
            Role::Manager,
            ": the change alters payloads of release 4, which has rollouts or a barrier",
        ),
        (
            &AddAlias { release: release("5"), key: key("x86_64"), alias: payload_id(12) },
            stream(),
            Role::Manager,
            ": the change adds an alias to release 5",
        ),
        (
            &PublishRelease { release: release("4") },
            with_barrier,
            Role::Manager,
            ": the change publishes release 4 as a barrier without rollouts",
        ),
        (&settings, stream(), Role::Admin, ""),
    ];
    for (command, before, role, why) in cases {
        let lower = if role == Role::Admin { Role::Manager } else { Role::Publisher };
        let refused = message(plan_as(lower, command, &before, acknowledge));
        assert_eq!(refused, format!("requires role `{role}` on `os/stable`{why}"));
        let result = plan_as(role, command, &before, acknowledge);
        assert!(result.is_ok(), "{}: {result:?}", command.action().name);
    }
    for command in [&set("5", "aarch64") as &dyn Command, &PublishRelease { release: release("4") }] {
        assert!(plan_as(Role::Publisher, command, &stream(), acknowledge).is_ok());
    }
}

/// Returns the stream with a payload of release 2 on aarch64, on which release 3 has none.
fn on_two_arches() -> Stream {
    let mut stream = stream();
    found_mut(&mut stream, "2").payloads.insert(key("aarch64"), payload(7));
    stream
}

#[test]
fn warnings_are_acknowledged_and_errors_are_not() {
    let remove = RemoveBarrier { release: release("1") };
    let warning = Finding::warning(Code::BarrierRemoved, "release 1", "is no longer a barrier: nodes may skip it");
    let refused = plan_as(Role::Manager, &remove, &stream(), is_plain).unwrap_err();
    assert!(matches!(&refused, CommandError::Refused(Refusal::Unacknowledged(found)) if *found == [warning.clone()]));
    for change in [acknowledge, dry_run] {
        let plan = plan_as(Role::Manager, &remove, &stream(), change).unwrap();
        assert_eq!(plan.findings, Some(vec![warning.clone()]));
        let suppressed = found(&plan.next.unwrap().stream, "1").suppressed_upstream.clone();
        assert_eq!(suppressed, [PolicyKind::Barrier].into());
    }
    let barrier = Barrier { reason: reason("new keys"), arches: None, origin: Origin::Local };
    let set = SetBarrier { release: release("3"), barrier };
    let message = "is a barrier without a payload on aarch64: nodes on aarch64 can skip it";
    let error = Finding::error(Code::BarrierWithoutPayload, "release 3", message);
    for change in [is_plain, acknowledge] {
        let refused = plan_as(Role::Manager, &set, &on_two_arches(), change).unwrap_err();
        assert!(matches!(&refused, CommandError::Refused(Refusal::Dangerous(found)) if *found == [error.clone()]));
    }
    let plan = plan_as(Role::Manager, &set, &on_two_arches(), dry_run).unwrap();
    assert_eq!((plan.findings, plan.next.is_some()), (Some(vec![error]), true));
    // What was found before the change is not reported again.
    let notes = SetNotes { release: release("3"), notes: crate::domain::artifact::Notes::parse("x").ok() };
    let plan = plan_as(Role::Publisher, &notes, &on_two_arches(), is_plain).unwrap();
    assert_eq!((plan.findings, plan.next.is_some()), (Some(Vec::new()), true));
}

#[test]
fn errors_of_a_restrictive_command_do_not_refuse_it() {
    let mut before = stream();
    let barrier = Barrier { reason: reason("new keys"), arches: None, origin: Origin::Local };
    found_mut(&mut before, "3").barrier = Some(Box::new(barrier));
    let withdraw = WithdrawRelease { release: release("3") };
    let plan = plan_as(Role::Publisher, &withdraw, &before, is_plain).unwrap();
    assert_eq!(plan.findings, None, "it does not wait for them");
    assert_eq!(found(&plan.next.unwrap().stream, "3").state, ReleaseState::Withdrawn);
    let plan = plan_as(Role::Publisher, &withdraw, &before, dry_run).unwrap();
    let error = "error: release 3: is a withdrawn barrier: nodes on older releases cannot update [LK1009]";
    assert_eq!(plan.findings.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), [error]);
}

#[test]
fn only_local_changes_get_the_origin_local_and_are_linted() {
    let mut dangerous = on_two_arches();
    let barrier = Barrier { reason: reason("new keys"), arches: None, origin: Origin::Upstream };
    found_mut(&mut dangerous, "3").barrier = Some(Box::new(barrier));
    let create = |command: &dyn Command, change: fn(&mut Request<'_>)| {
        plan_on(&loaded(&id(), None), Role::Admin, command, change)
    };
    let refused = create(&PutDocument { written: dangerous.clone() }, acknowledge);
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::Dangerous(_)))));
    let local = create(&PutDocument { written: dangerous.clone() }, dry_run);
    let barrier_origin = |stream: &Stream| found(stream, "3").barrier.as_ref().map(|barrier| barrier.origin);
    assert_eq!(barrier_origin(&planned(local)), Some(Origin::Local));
    let recorded = create(&StartStream { written: dangerous.clone() }, is_plain).unwrap();
    assert_eq!(recorded.findings, Some(Vec::new()));
    assert_eq!(barrier_origin(&recorded.next.unwrap().stream), Some(Origin::Upstream));
    let imported = create(&Imported(dangerous), is_plain).unwrap();
    assert_eq!(imported.findings, Some(vec![Finding::drift(Code::LocalValueKept, "release 1", "was imported")]));
    assert_eq!(barrier_origin(&imported.next.unwrap().stream), Some(Origin::Upstream));
}

#[test]
fn limits_and_references_are_checked_unless_upstream_breaks_them() {
    let mut many = stream();
    let rollouts = vec![Preset::Week.rollout(at(24)); 33];
    found_mut(&mut many, "4").rollouts.clone_from(&rollouts);
    let too_many = "releases[3].rollouts: has 33 rollouts, at most 32 are allowed";
    let mut unknown = stream();
    found_mut(&mut unknown, "1").barrier.as_mut().unwrap().arches = Some([key("s390x").arch].into());
    let no_arch = "releases[0].barrier.arches: names arch `s390x`";
    for (written, text) in [(many, too_many), (unknown, no_arch)] {
        for command in
            [&PutDocument { written: written.clone() } as &dyn Command, &StartStream { written: written.clone() }]
        {
            let refused = message(plan_as(Role::Admin, command, &stream(), acknowledge));
            assert!(refused.contains(text), "{refused}");
        }
        assert!(plan_as(Role::Admin, &Imported(written), &stream(), is_plain).is_ok());
    }
}

#[test]
fn a_payload_identifies_one_release_and_is_real_in_a_stream_of_real_ones() {
    let draft = |payload| Release {
        payloads: [(key("x86_64"), payload)].into_iter().collect(),
        ..Release::published(version("6"), Origin::Local)
    };
    let create = CreateRelease { stream: id(), draft: draft(payload(3)), rollouts: Vec::new(), is_published: false };
    let refused = message(plan_as(Role::Publisher, &create, &stream(), is_plain));
    let text = format!("releases[5].payloads: {} already identifies releases[2] on x86_64 oci", payload_id(3));
    assert_eq!(refused, text);
    let mut written = stream();
    found_mut(&mut written, "4").payloads.get_mut(&key("x86_64")).unwrap().synthetic = true;
    found_mut(&mut written, "4").state = ReleaseState::Published;
    let refused = message(plan_as(Role::Manager, &PutDocument { written }, &stream(), acknowledge));
    assert!(
        refused.starts_with("a stream with real payloads cannot have placeholder (synthetic) payloads"),
        "{refused}"
    );
}

#[test]
fn a_next_state_that_could_not_be_loaded_is_refused() {
    let mut before = stream();
    (before.blocked_updates[0].last, before.blocked_updates[0].target) = (version("3"), version("4"));
    let refused = message(plan_as(Role::Publisher, &RemoveRelease { release: release("4") }, &before, is_plain));
    let text = "the change would make the stream invalid: blocked_updates[0].target: 4 is not a release of this stream";
    assert_eq!(refused, text);
}

/// Returns the command that adds a rollout for a group that no other rollout admits, with a start.
fn create(hours: i64, waits_for_windows: bool) -> CreateRollout {
    let document = RolloutDocument {
        start: Some(at(hours).to_string()),
        duration: Some("PT48H".into()),
        ..toml::from_str("selector = { groups = [\"canary\"] }").unwrap()
    };
    CreateRollout {
        release: release("3"),
        plan: RolloutPlan { document, preset: None, waits_for_windows },
        before: RolloutId::from_number(1),
    }
}

#[test]
fn a_stop_and_a_freeze_window_refuse_what_offers_more() {
    let (publish, complete) = (PublishRelease { release: release("4") }, CompleteRollout { rollout: rollout("3", 1) });
    let frozen = with_window(stream(), -1, 1);
    for (command, before, text) in [
        (&publish as &dyn Command, stopped(stream()), "4 is published; lift the stop first"),
        (&publish, frozen.clone(), "4 is published"),
        (&complete, frozen.clone(), "3 opens further"),
    ] {
        let refused = plan_as(Role::Manager, command, &before, acknowledge).unwrap_err();
        assert!(matches!(refused, CommandError::Admission(_)));
        assert!(refused.to_string().ends_with(text), "{refused}");
    }
    let pause = PauseRollout { rollout: rollout("3", 1) };
    for before in [stopped(stream()), frozen] {
        let next = planned(plan_as(Role::Publisher, &pause, &before, is_plain));
        let paused_at = before.plan_time(NOW);
        assert_eq!(found_rollout(&next, 1).state, RolloutState::Paused { at: paused_at });
    }
}

#[test]
fn a_rollout_that_would_start_in_a_freeze_window_is_refused_or_waits() {
    let before = with_window(stream(), 30, 40);
    let refused = message(plan_as(Role::Manager, &create(35, false), &before, acknowledge));
    let text = format!(
        "os/stable has freeze windows, and these rollouts begin or step inside one: rollout 6 of release 3 at {} (a holiday); \
         plan them outside",
        at(35)
    );
    assert_eq!(refused, text);
    let next = planned(plan_as(Role::Manager, &create(35, true), &before, acknowledge));
    assert_eq!(found_rollout(&next, 6).begins_at(), at(40));
    assert_eq!(next.protection.freeze_windows, [window(30, 40)]);
    // A restrictive command may touch a plan inside a window.
    let mut inside = before;
    found_mut(&mut inside, "3").rollouts[1].ramp.start = Some(at(35));
    let pause = PauseRollout { rollout: rollout("3", 2) };
    assert!(plan_as(Role::Publisher, &pause, &inside, is_plain).is_ok());
}

#[test]
fn the_first_opening_of_each_rollout_is_recorded() {
    let first_opened = |stream: &Stream| -> Vec<Option<i64>> {
        let hours = |rollout: &Rollout| rollout.clock.first_opened.map(|time| time.since(NOW) / HOUR);
        found(stream, "3").rollouts.iter().map(hours).collect()
    };
    let next = planned(plan_as(Role::Manager, &create(-1, false), &stream(), acknowledge));
    let known = [Some(-24), None, Some(-24), Some(-24), None];
    assert_eq!(first_opened(&next), [&[Some(0)], &known[..]].concat());
    let put = PutDocument { written: stream() };
    let next = planned(plan_as(Role::Manager, &put, &next, acknowledge));
    assert_eq!(first_opened(&next), known, "a document cannot change it");
    // Plan time is frozen: nothing opens during a stop.
    let mut before = stream();
    found_mut(&mut before, "3").rollouts[1].ramp.start = Some(at(-3));
    let remove = RemoveRelease { release: release("5") };
    for (before, expected) in [(before.clone(), Some(-3)), (stopped(before), None)] {
        let next = planned(plan_as(Role::Publisher, &remove, &before, is_plain));
        assert_eq!(first_opened(&next)[1], expected);
    }
}
