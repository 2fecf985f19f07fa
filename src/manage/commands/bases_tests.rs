//! Tests of bases: what is refused, what closes, and what a manager decides.

use super::{
    sequences_tests::{ARCHES, Sequence, arch, publication},
    *,
};
use crate::{
    domain::{
        base::skipped_barriers,
        finding::Code,
        graph::Graph,
        origin::Origin,
        payload::Scheme,
        policy::{barrier::Barrier, graph_rules::EdgeRule},
        reason::Reason,
        release::ReleaseState,
    },
    manage::{
        command::LoadedReads,
        commands::policies::SetBarrier,
        error::CommandError,
        plan::{Loaded, plan},
        request::Request,
        testing::{NOW, loaded, timestamp},
    },
};
use std::sync::Arc;

/// Returns a base with three releases, of which the second is a barrier, and a stream with a release on the first.
fn story() -> Sequence {
    let mut sequence = Sequence::new(1);
    for _ in 0..3 {
        sequence.number += 1;
        let version = Version::parse(&format!("44.{}", sequence.number)).unwrap();
        let arches = ARCHES.map(|name| (name, None));
        let command = publication(&sequence.base.id, version, sequence.number, &arches);
        sequence.change_base(&command);
    }
    sequence.set_barrier(1);
    publish_on(&mut sequence, "a", "44.1").unwrap();
    sequence
}

/// Publishes a release that is built on a release of the base, without acknowledgement. Returns the messages with which that is refused.
fn publish_on(sequence: &mut Sequence, version: &str, on: &str) -> Result<(), String> {
    sequence.number += 1;
    let (version, on) = (Version::parse(version).unwrap(), Version::parse(on).unwrap());
    let named = ARCHES.map(|name| (name, Some(&on)));
    let stream = sequence.derived[1].clone();
    let command = publication(&stream.id, version, sequence.number, &named);
    let read = LoadedReads { base: Some(sequence.base.clone()), ..LoadedReads::default() };
    let loaded = Loaded { read, stream: Some(stream.clone()), ..loaded(&stream.id, Some(&stream)) };
    let request = Request::new(&sequence.caller, "a test");
    match plan(&command, &request, &loaded, timestamp(NOW)) {
        Ok(planned) => sequence.derived[1] = planned.next.unwrap().stream,
        Err(CommandError::Refused(Refusal::Unacknowledged(findings))) => {
            let messages: Vec<String> = findings.into_iter().map(|finding| finding.message).collect();
            return Err(messages.join("; "));
        }
        Err(error) => panic!("{error}"),
    }
    Ok(())
}

#[test]
fn a_release_that_would_skip_a_barrier_is_refused_until_one_is_built_on_it() {
    let mut sequence = story();
    let refused = publish_on(&mut sequence, "c", "44.3").unwrap_err();
    let expected = "nodes built on 44.1 would skip barrier 44.2: build and publish an image on it first";
    assert!(refused.contains(expected), "{refused}");
    publish_on(&mut sequence, "b", "44.2").unwrap();
    publish_on(&mut sequence, "c", "44.3").unwrap();
    assert_eq!(skipped_barriers(&sequence.derived[1]), []);
}

#[test]
fn a_release_must_say_on_what_it_is_built() {
    let sequence = story();
    let stream = sequence.derived[1].clone();
    let unnamed = publication(&stream.id, Version::parse("x").unwrap(), 99, &[("x86_64", None)]);
    let other = Version::parse("99").unwrap();
    let unknown = publication(&stream.id, Version::parse("x").unwrap(), 99, &[("x86_64", Some(&other))]);
    for (command, expected) in [
        (unnamed, "does not say on which release of fedora-coreos/stable it is built for x86_64"),
        (unknown, "is built on 99 for x86_64, which fedora-coreos/stable has not published"),
    ] {
        let read = LoadedReads { base: Some(sequence.base.clone()), ..LoadedReads::default() };
        let loaded = Loaded { read, stream: Some(stream.clone()), ..loaded(&stream.id, Some(&stream)) };
        let request = Request { acknowledge: true, ..Request::new(&sequence.caller, "a test") };
        let refused = plan(&command, &request, &loaded, timestamp(NOW)).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn a_late_barrier_closes_crossing_updates_and_says_what_to_build() {
    let mut sequence = story();
    sequence.derived[1] = {
        let mut stream = Stream::clone(&sequence.derived[1]);
        stream.rules.edge_rule = EdgeRule::Open;
        Arc::new(stream)
    };
    publish_on(&mut sequence, "b", "44.2").unwrap();
    publish_on(&mut sequence, "c", "44.3").unwrap();
    sequence.publish_base();
    let newest = sequence.base.releases.last().unwrap().version.clone();
    publish_on(&mut sequence, "d", newest.as_str()).unwrap();
    let stays = skipped_barriers(&sequence.derived[1]);
    assert_eq!(stays, []);
    sequence.set_barrier(2);
    assert_eq!(skipped_barriers(&sequence.derived[1]), [], "a release is built on it already");
    sequence.set_barrier(0);
    assert_eq!(skipped_barriers(&sequence.derived[1]), [], "no node is older");
    let graph = Graph::new(&sequence.derived[1], &arch("x86_64"), &Scheme::oci());
    let edges: Vec<_> = graph.edges().map(|edge| (edge.from.0, edge.to.0)).collect();
    assert_eq!(edges.len(), 3, "from each release to the next one: {edges:?}");
    assert_eq!(graph.nodes()[1].barrier.as_ref().map(Reason::as_str), Some("keys"), "shown as built on a barrier");
}

#[test]
fn a_removed_barrier_counts_until_a_manager_accepts_that() {
    let mut sequence = story();
    sequence.remove_barrier(1);
    assert!(publish_on(&mut sequence, "c", "44.3").is_err());
    let codes: Vec<Code> =
        crate::domain::base::findings(&sequence.derived[1]).iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::BasePolicyRemoved]);
    sequence.override_barrier(1, 1);
    publish_on(&mut sequence, "c", "44.3").unwrap();
    assert!(sequence.derived[1].base.as_ref().unwrap().policies.is_empty());
    sequence.set_barrier(1);
    assert_eq!(sequence.derived[1].base.as_ref().unwrap().policies.len(), 1, "it counts when the base has it again");
    assert_eq!(skipped_barriers(&sequence.derived[1]).len(), 1);
}

#[test]
fn an_overridden_barrier_stays_overridden_while_the_base_has_it() {
    let mut sequence = story();
    sequence.override_barrier(1, 1);
    publish_on(&mut sequence, "c", "44.3").unwrap();
    sequence.publish_base();
    let status = |sequence: &Sequence| sequence.derived[1].base.as_ref().unwrap().policies[0].arches[&arch("x86_64")];
    assert_eq!(status(&sequence), PolicyStatus::Overridden);
    let policy = BasePolicyAddress {
        stream: sequence.derived[1].id.clone(),
        version: Version::parse("44.2").unwrap(),
        kind: BasePolicyKind::Barrier,
    };
    let before = sequence.derived[1].clone();
    let set = sequence.run(&SetBasePolicy { policy }, &before, LoadedReads::default(), true).unwrap();
    assert_eq!(set.base.as_ref().unwrap().policies[0].arches[&arch("x86_64")], PolicyStatus::InForce);
    assert!(set.releases.iter().all(|release| release.state == ReleaseState::Published));
}

/// Decides that the barrier 44.2 does not count, without acknowledgement. Returns the codes of the findings for which that is refused.
fn override_unknowingly(sequence: &Sequence) -> Vec<Code> {
    let stream = &sequence.derived[1];
    let version = Version::parse("44.2").unwrap();
    let policy = BasePolicyAddress { stream: stream.id.clone(), version, kind: BasePolicyKind::Barrier };
    let read = LoadedReads { base: Some(sequence.base.clone()), ..LoadedReads::default() };
    let loaded = Loaded { read, stream: Some(stream.clone()), ..loaded(&stream.id, Some(stream)) };
    match plan(&RemoveBasePolicy { policy }, &Request::new(&sequence.caller, "a test"), &loaded, timestamp(NOW)) {
        Err(CommandError::Refused(Refusal::Unacknowledged(findings))) => {
            findings.into_iter().map(|finding| finding.code).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_acceptance_of_a_removal_overrides_nothing_on_other_arches() {
    let mut sequence = story();
    // The base narrows its barrier to one arch.
    let release = ReleaseAddress { stream: sequence.base.id.clone(), version: Version::parse("44.2").unwrap() };
    let barrier =
        Barrier { reason: Reason::new("keys").unwrap(), arches: Some([arch("x86_64")].into()), origin: Origin::Local };
    assert!(sequence.change_base(&SetBarrier { release, barrier }));
    let arches = |sequence: &Sequence| sequence.derived[1].base.as_ref().unwrap().policies[0].arches.clone();
    assert_eq!(arches(&sequence)[&arch("aarch64")], PolicyStatus::Removed);
    assert_eq!(override_unknowingly(&sequence), [Code::BarrierRemoved]);
    sequence.override_barrier(1, 1);
    assert_eq!(arches(&sequence), [(arch("x86_64"), PolicyStatus::InForce)].into());
    assert_eq!(override_unknowingly(&sequence), [Code::BarrierRemoved]);
    sequence.override_barrier(1, 1);
    assert_eq!(arches(&sequence), [(arch("x86_64"), PolicyStatus::Overridden)].into());
}
