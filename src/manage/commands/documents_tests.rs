//! Tests of documents that replace or create streams.

use super::*;
use crate::{
    domain::{
        admission::protection::Protection,
        duration::Minutes,
        ids::Arch,
        payload::Repository,
        policy::graph_rules::{EdgeRule, GraphRules, Identity, NewestTargets},
        rollout::{id::RolloutId, share::Share, step::Step},
    },
    manage::{
        command::LoadedReads,
        testing::{NOW, apply_to, found, found_mut, id, key, next, payload, payload_id, refusal, stream},
    },
};

fn need(present: Option<&Stream>, written: Stream) -> Option<Need> {
    let present =
        Present { id: &id(), stream: present, read: &LoadedReads::default(), rules: GraphRules::default(), now: NOW };
    PutDocument { written }.needs(&present)
}

#[test]
fn a_document_that_creates_a_stream_or_changes_its_settings_needs_an_admin() {
    let admin = Some(Need { role: crate::auth::Role::Admin, why: None });
    let protection = Protection { shortest_rollout: Some(Minutes(60)), ..Protection::default() };
    assert_eq!(need(None, stream()), admin);
    for settings in [
        Stream { arches: [Arch::parse("x86_64").unwrap()].into(), ..stream() },
        Stream { mirrors: [Repository::parse("mirror.example/os").unwrap()].into(), ..stream() },
        Stream { protection, ..stream() },
        Stream { rules: GraphRules { edge_rule: EdgeRule::Open, ..GraphRules::default() }, ..stream() },
        Stream { rules: GraphRules { identity: Identity::Version, ..GraphRules::default() }, ..stream() },
        Stream { rules: GraphRules { targets: NewestTargets::new(2).into(), ..GraphRules::default() }, ..stream() },
    ] {
        assert_eq!(need(Some(&stream()), settings), admin);
    }
    let content = Stream { releases: Vec::new(), blocked_updates: Vec::new(), ..stream() };
    assert_eq!(need(Some(&stream()), content), None);
    assert_eq!(need(Some(&stream()), stream()), None);
}

#[test]
fn a_document_replaces_the_stream_or_creates_it() {
    let mut written = stream();
    found_mut(&mut written, "4").notes = None;
    written.blocked_updates.clear();
    let put = PutDocument { written: written.clone() };
    assert_eq!(next(&put, &stream()), written);
    let created = apply_to(&put, None, &LoadedReads::default()).unwrap();
    assert_eq!((created.stream, created.created), (written, None));
}

#[test]
fn a_document_keeps_the_upstream_aliases_that_it_omits() {
    let mut written = stream();
    found_mut(&mut written, "1").aliases.clear();
    assert_eq!(next(&PutDocument { written: written.clone() }, &stream()), stream());
    // Local aliases and those of drafts are as the document says.
    let mut local = stream();
    found_mut(&mut local, "1").aliases.get_mut(&key("x86_64")).unwrap().insert(payload_id(11), Origin::Local);
    assert_eq!(next(&PutDocument { written: written.clone() }, &local), written);
    let mut draft = stream();
    let aliases = found(&draft, "1").aliases.clone();
    found_mut(&mut draft, "1").aliases.clear();
    found_mut(&mut draft, "4").aliases = aliases;
    assert_eq!(next(&PutDocument { written: written.clone() }, &draft), written);
}

#[test]
fn an_upstream_alias_that_a_document_gives_to_another_release_moves() {
    let mut written = stream();
    found_mut(&mut written, "1").aliases.clear();
    found_mut(&mut written, "4").payloads.insert(key("x86_64"), payload(11));
    assert_eq!(next(&PutDocument { written: written.clone() }, &stream()), written);
    // The same id on another arch is another payload.
    let mut elsewhere = written.clone();
    let payload = found_mut(&mut elsewhere, "4").payloads.remove(&key("x86_64")).unwrap();
    found_mut(&mut elsewhere, "4").payloads.insert(key("aarch64"), payload);
    let after = next(&PutDocument { written: elsewhere }, &stream());
    assert_eq!(found(&after, "1").aliases, found(&stream(), "1").aliases);
}

#[test]
fn a_first_stream_is_what_its_document_says() {
    let start = StartStream { written: stream() };
    assert_eq!(apply_to(&start, None, &LoadedReads::default()), Ok(stream().into()));
}

/// Regression test: a document could give the id of a removed rollout to another one, and let a rollout pass its gate.
#[test]
fn a_document_neither_gives_ids_again_nor_opens_gates() {
    let mut before = stream();
    found_mut(&mut before, "3").last_rollout_id = RolloutId::from_number(9).unwrap();
    let mut written = before.clone();
    found_mut(&mut written, "3").rollouts[0].id = RolloutId::from_number(8).unwrap();
    let message =
        "releases[2].rollouts[0].id: 8 is the id of a rollout that was removed; leave it out, to get a new one";
    assert!(refusal(&PutDocument { written }, &before).contains(message));

    let hours = |hours: u64| Minutes(hours * 60);
    let gated = |gate| Course::Steps(vec![Step { gate, ..Step::at_once(hours(4), Share::ALL) }]);
    found_mut(&mut before, "3").rollouts[0].ramp.course = gated(StepGate::Closed);
    for id in [found(&before, "3").rollouts[0].id, RolloutId::NEW] {
        let mut written = before.clone();
        let rollout = &mut found_mut(&mut written, "3").rollouts[0];
        (rollout.id, rollout.ramp.course) = (id, gated(StepGate::Passed));
        let refused = refusal(&PutDocument { written }, &before);
        assert!(refused.contains("releases[2].rollouts[0].steps: let the rollout pass a gate"), "{refused}");
    }
    assert_eq!(next(&PutDocument { written: before.clone() }, &before), before);
}
