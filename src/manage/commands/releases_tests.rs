//! Tests of releases: drafts, publishing, withdrawing, promoting and notes.

use super::*;
use crate::{
    domain::{
        ids::StreamName,
        rollout::{Rollout, RolloutState, preset::Preset, ramp::Ramp, share::Share},
        shared::Shared,
    },
    manage::{
        command::LoadedReads,
        testing::{
            NOW, apply, apply_to, at, found, found_mut, id, key, next, payload, refusal, release, stream, version,
        },
    },
};
use std::sync::Arc;

fn versions(stream: &Stream) -> Vec<&str> {
    stream.releases.iter().map(|release| release.version.as_str()).collect()
}

#[test]
fn a_new_release_is_the_last_draft_whatever_its_document_says() {
    for state in ReleaseState::ALL.iter().copied() {
        let draft = Release { state, ..Release::published(version("6"), Origin::Upstream) };
        let created = apply(
            &CreateRelease { stream: id(), draft: draft.clone(), rollouts: Vec::new(), is_published: false },
            &stream(),
        )
        .unwrap();
        assert_eq!((created.created.as_deref(), versions(&created.stream).last()), (Some("6"), Some(&"6")));
        let expected = Release { state: ReleaseState::Draft, origin: Origin::Local, ..draft };
        assert_eq!(found(&created.stream, "6"), &expected);
        assert_eq!(created.stream.releases[..5], stream().releases[..]);
    }
    for version in ["1", "2", "3", "4", "5"] {
        let draft = Release::clone(found(&stream(), version));
        let refused =
            refusal(&CreateRelease { stream: id(), draft, rollouts: Vec::new(), is_published: false }, &stream());
        assert_eq!(refused, format!("release {version} exists already"));
    }
}

#[test]
fn only_drafts_are_deleted() {
    let remove = |version| RemoveRelease { release: release(version) };
    for version in ["1", "2", "3"] {
        let refused = refusal(&remove(version), &stream());
        assert_eq!(refused, format!("release {version} was published: withdraw it instead"));
    }
    assert_eq!(versions(&next(&remove("4"), &stream())), ["1", "2", "3", "5"]);
    assert_eq!(refusal(&remove("9"), &stream()), "there is no release 9");
}

#[test]
fn a_published_draft_moves_before_the_other_drafts() {
    let publish = PublishRelease { release: release("4") };
    let mut last = stream();
    last.releases.swap(3, 4);
    for before in [stream(), last] {
        let published = next(&publish, &before);
        assert_eq!(versions(&published), ["1", "2", "3", "4", "5"]);
        assert_eq!(found(&published, "4").state, ReleaseState::Published);
        assert_eq!(refusal(&publish, &published), "release 4 is published already");
    }
    assert_eq!(refusal(&PublishRelease { release: release("5") }, &stream()), "release 5 has no payload yet");
}

#[test]
fn a_withdrawn_release_is_published_again_in_its_place() {
    let mut before = stream();
    found_mut(&mut before, "2").rollouts = vec![Preset::Linear48h.rollout(at(-24))];
    let published = next(&PublishRelease { release: release("2") }, &before);
    assert_eq!(versions(&published), versions(&before));
    let expected = Release {
        state: ReleaseState::Published,
        rollouts: vec![Preset::Linear48h.rollout(NOW)],
        ..Release::clone(found(&before, "2"))
    };
    assert_eq!(found(&published, "2"), &expected);
}

#[test]
fn publishing_moves_only_running_local_plans_to_the_present() {
    let past = Preset::Linear48h.rollout(at(-24));
    let constant = past.with_plan(Ramp::constant(at(-24), Share::ALL));
    let unmoved = [
        Preset::Linear48h.rollout(at(1)),
        Rollout { origin: Origin::Upstream, ..past.clone() },
        constant,
        past.complete().unwrap(),
        past.abort().unwrap(),
    ];
    let mut before = stream();
    // One that was paused far along would open that far: it waits before its start.
    let paused = past.pause(at(-12)).unwrap();
    found_mut(&mut before, "4").rollouts = [&[past, paused], &unmoved[..]].concat();
    let published = next(&PublishRelease { release: release("4") }, &before);
    let rollouts = &found(&published, "4").rollouts;
    assert_eq!(rollouts[0], Preset::Linear48h.rollout(NOW));
    let waiting = RolloutState::Paused { at: NOW.plus_seconds(-1) };
    assert_eq!(rollouts[1], Rollout { state: waiting, ..Preset::Linear48h.rollout(NOW) });
    assert_eq!(rollouts[2..], unmoved);
}

#[test]
fn only_published_releases_are_withdrawn() {
    let withdraw = |version| WithdrawRelease { release: release(version) };
    for version in ["1", "3"] {
        let mut expected = stream();
        found_mut(&mut expected, version).state = ReleaseState::Withdrawn;
        assert_eq!(next(&withdraw(version), &stream()), expected);
    }
    assert_eq!(refusal(&withdraw("2"), &stream()), "release 2 is withdrawn already");
    assert_eq!(refusal(&withdraw("4"), &stream()), "release 4 is a draft: delete it instead");
}

/// Returns the command that copies a release of the stream `testing`.
fn promote(from: &str) -> PromoteRelease {
    let from = Promotion { stream: StreamName::parse("testing").unwrap(), version: version(from) };
    PromoteRelease { stream: id(), from, version: Some(version("6")), payloads: None }
}

/// Returns the stream `testing`, whose releases have everything that a copy may take.
fn source() -> Stream {
    let mut source = stream();
    source.id.stream = StreamName::parse("testing").unwrap();
    let artifacts = found(&source, "4").artifacts.clone();
    let promoted = found_mut(&mut source, "1");
    promoted.rollouts = vec![Preset::Linear48h.rollout(NOW)];
    promoted.suppressed_upstream.insert(crate::domain::release::PolicyKind::DeadEnd);
    promoted.artifacts = artifacts;
    source
}

fn apply_promotion(command: &PromoteRelease, source: Option<Stream>) -> Result<Next, Refusal> {
    apply_to(command, Some(&stream()), &LoadedReads { stream: source.map(Arc::new), ..LoadedReads::default() })
}

#[test]
fn a_promoted_release_is_a_draft_without_rollouts() {
    let command = promote("1");
    assert_eq!(command.reads(), Reads { stream: Some(source().id), ..Reads::default() });
    let promoted = apply_promotion(&command, Some(source())).unwrap();
    let expected = Release {
        version: version("6"),
        state: ReleaseState::Draft,
        origin: Origin::Local,
        rollouts: Vec::new(),
        suppressed_upstream: BTreeSet::new(),
        promoted_from: Some(Box::new(command.from)),
        ..Release::clone(found(&source(), "1"))
    };
    assert!(expected.barrier.is_some() && !expected.aliases.is_empty() && !expected.artifacts.is_empty());
    assert_eq!((found(&promoted.stream, "6"), promoted.created.as_deref()), (&expected, Some("6")));
    assert_eq!(promoted.stream.releases.last(), Some(&Shared::from(expected)));
}

#[test]
fn a_promotion_leaves_out_predecessors_that_the_stream_does_not_have() {
    let promoted = |versions: &[&str]| {
        let mut source = source();
        let versions = versions.iter().map(|text| version(text)).collect();
        found_mut(&mut source, "4").predecessors = Some(Box::new(Predecessors { versions, origin: Origin::Git }));
        let Next { stream, findings, .. } = apply_promotion(&promote("4"), Some(source)).unwrap();
        let versions = found(&stream, "6").predecessors.clone().map(|predecessors| predecessors.versions);
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        (versions, findings)
    };
    let left_out = |names: &str| {
        vec![format!(
            "warning: release 6: its predecessors {names} are left out, because os/stable does not have them [LK1105]"
        )]
    };
    assert_eq!(promoted(&["1", "2"]), (Some([version("1"), version("2")].into()), Vec::new()));
    assert_eq!(promoted(&["1", "7", "8"]), (Some([version("1")].into()), left_out("7, 8")));
    assert_eq!(promoted(&["7"]), (None, left_out("7")));
}

#[test]
fn other_payloads_of_a_promoted_release_leave_its_aliases_and_artifacts_behind() {
    let payloads = LiteMap::from_iter([(key("aarch64"), payload(6))]);
    let command = PromoteRelease { payloads: Some(payloads.clone()), ..promote("1") };
    let promoted = apply_promotion(&command, Some(source())).unwrap().stream;
    let copy = found(&promoted, "6");
    assert_eq!((&copy.payloads, copy.aliases.len(), copy.artifacts.len()), (&payloads, 0, 0));
}

#[test]
fn a_promotion_is_refused_for_its_source_and_for_its_version() {
    let same = PromoteRelease { version: None, ..promote("3") };
    for (command, source, message) in [
        (promote("1"), None, "there is no stream os/testing"),
        (promote("9"), Some(source()), "there is no release 9"),
        (promote("2"), Some(source()), "release 2 of os/testing is withdrawn"),
        (same, Some(source()), "release 3 exists already"),
    ] {
        assert_eq!(apply_promotion(&command, source).unwrap_err().to_string(), message);
    }
}

#[test]
fn notes_are_set_and_removed_in_any_state() {
    for version in ["1", "2", "3", "4", "5"] {
        for notes in [Some(Notes::parse("what is new").unwrap()), None] {
            let mut expected = stream();
            found_mut(&mut expected, version).notes.clone_from(&notes);
            assert_eq!(next(&SetNotes { release: release(version), notes }, &stream()), expected);
        }
    }
}

#[test]
fn a_draft_without_rollouts_gets_the_default_rollout_of_its_stream() {
    let publish = PublishRelease { release: release("4") };
    let before = Stream { default_rollout: Some(Preset::Week), ..stream() };
    let own = found(&next(&publish, &before), "4").rollouts.clone();
    assert_eq!(own.len(), 1, "it has one of its own");
    let mut without = before.clone();
    found_mut(&mut without, "4").rollouts.clear();
    let published = next(&publish, &without);
    let rollouts = &found(&published, "4").rollouts;
    assert_eq!(
        (rollouts.len(), rollouts[0].id.number()),
        (1, 2),
        "the id of the one that was removed is not given again"
    );
    assert_eq!((&rollouts[0].ramp, rollouts[0].origin), (&Preset::Week.ramp(NOW), Origin::Local));
    let withdrawn =
        next(&WithdrawRelease { release: release("4") }, &next(&publish, &Stream { default_rollout: None, ..without }));
    let again = next(&publish, &Stream { default_rollout: Some(Preset::Week), ..withdrawn });
    assert!(found(&again, "4").rollouts.is_empty(), "only a draft gets it");
}
