//! Tests of reverts: what returns, and what stays as it is.

use super::*;
use crate::{
    domain::{document::parts::find_duplicates, edit::apply_local_edit, rollout::preset::Preset, samples},
    manage::{
        command::LoadedReads,
        testing::{
            NOW, apply_to, found, found_mut, id, key, payload, payload_id, reason, stop, stream, version, window,
        },
    },
};
use proptest::prelude::*;
use std::sync::Arc;

fn revert() -> RevertStream {
    RevertStream { stream: id(), to: Revision(3) }
}

/// Returns the state after a revert to a past state.
fn reverted_to(then: &Stream, present: &Stream) -> Stream {
    let read = LoadedReads { revision: Some(Arc::new(then.clone())), ..LoadedReads::default() };
    let next = apply_to(&revert(), Some(present), &read).unwrap();
    assert_eq!((&next.created, next.findings.len()), (&None, 0));
    next.stream
}

#[test]
fn a_revert_reads_its_revision() {
    assert_eq!(revert().reads(), Reads { revision: Some(Revision(3)), ..Reads::default() });
    let refused = apply_to(&revert(), Some(&stream()), &LoadedReads::default()).unwrap_err();
    assert_eq!(refused.to_string(), "there is no revision 3 of os/stable");
    let read = LoadedReads { revision: Some(Arc::new(stream())), ..LoadedReads::default() };
    let refused = apply_to(&revert(), None, &read).unwrap_err();
    assert_eq!(refused.to_string(), "there is no stream os/stable");
}

#[test]
fn policies_states_notes_and_local_blocks_return() {
    let mut present = stream();
    for release in &mut present.releases {
        (release.barrier, release.notes, release.rollouts) = (None, None, vec![Preset::Week.rollout(NOW)]);
    }
    found_mut(&mut present, "2").state = ReleaseState::Published;
    found_mut(&mut present, "3").state = ReleaseState::Withdrawn;
    found_mut(&mut present, "4").artifacts.clear();
    present.blocked_updates[0].last = version("1");
    assert_eq!(reverted_to(&stream(), &present), stream());
    assert_eq!(reverted_to(&stream(), &stream()), stream());
}

#[test]
fn settings_stops_sources_and_payloads_stay() {
    let mut present = stream();
    present.arches.clear();
    present.protection.freeze_windows = vec![window(1, 2)];
    (present.stop, present.product_stop) = (Some(stop(-6)), Some(stop(-3)));
    found_mut(&mut present, "3").payloads.insert(key("aarch64"), payload(7));
    assert_eq!(reverted_to(&stream(), &present), present);
}

#[test]
fn what_was_published_since_is_withdrawn_and_drafts_are_those_of_the_revision() {
    let mut present = stream();
    found_mut(&mut present, "4").state = ReleaseState::Published;
    present.releases.remove(4);
    present
        .releases
        .push(Release { state: ReleaseState::Draft, ..Release::published(version("6"), Origin::Local) }.into());
    let after = reverted_to(&stream(), &present);
    let states: Vec<_> = after.releases.iter().map(|release| (release.version.as_str(), release.state)).collect();
    let (published, withdrawn) = (ReleaseState::Published, ReleaseState::Withdrawn);
    let expected = [("1", published), ("2", withdrawn), ("3", published), ("4", withdrawn), ("5", ReleaseState::Draft)];
    assert_eq!(states, expected);
    // Its policies stay, because the revision has none for a published release.
    assert_eq!(found(&after, "4").rollouts, found(&present, "4").rollouts);
}

#[test]
fn what_upstream_removed_stays_withdrawn_and_blocked() {
    let mut then = stream();
    then.blocked_updates.clear();
    let mut present = stream();
    found_mut(&mut present, "1").state = ReleaseState::Withdrawn;
    found_mut(&mut present, "3").state = ReleaseState::Withdrawn;
    present.blocked_updates[0].origin = Origin::Upstream;
    let after = reverted_to(&then, &present);
    let removed = found(&after, "1");
    assert_eq!((removed.state, removed.origin), (ReleaseState::Withdrawn, Origin::Upstream));
    assert_eq!(found(&after, "3").state, ReleaseState::Published, "a local withdrawal is reverted");
    assert_eq!(after.blocked_updates, present.blocked_updates);
}

#[test]
fn an_update_is_not_blocked_twice() {
    let mut present = stream();
    present.blocked_updates[0].origin = Origin::Upstream;
    present.blocked_updates[0].reason = reason("upstream no longer lists it");
    assert_eq!(reverted_to(&stream(), &present).blocked_updates, stream().blocked_updates);
}

#[test]
fn upstream_aliases_stay_and_local_ones_are_those_of_the_revision() {
    let alias = |number: usize, origin| (payload_id(number), origin);
    let with = |aliases: &[(PayloadId, Origin)]| {
        let mut stream = stream();
        found_mut(&mut stream, "1").aliases =
            [(key("x86_64"), aliases.iter().cloned().collect())].into_iter().collect();
        stream
    };
    let (local, upstream) = (Origin::Local, Origin::Upstream);
    let then = with(&[alias(11, local), alias(12, local), alias(13, local), alias(14, upstream)]);
    let mut present = with(&[alias(12, upstream), alias(15, upstream), alias(16, local)]);
    // Alias 13 is the payload of another release, and alias 14 that of the release itself by now.
    found_mut(&mut present, "3").payloads.insert(key("x86_64"), payload(13));
    found_mut(&mut present, "1").payloads.insert(key("x86_64"), payload(14));
    let after = reverted_to(&then, &present);
    let aliases: Vec<_> = found(&after, "1").aliases[&key("x86_64")].clone().into_iter().collect();
    assert_eq!(aliases, [alias(11, local), alias(12, upstream), alias(15, upstream)]);
    let mut none = with(&[alias(14, upstream)]);
    none.releases.truncate(3);
    present.releases.truncate(3);
    found_mut(&mut present, "1").aliases.clear();
    assert!(found(&reverted_to(&none, &present), "1").aliases.is_empty());
}

#[test]
fn a_suppressed_policy_stays_so_unless_the_revision_has_one() {
    let mut present = stream();
    for version in ["1", "2", "3"] {
        let release = found_mut(&mut present, version);
        (release.barrier, release.dead_end, release.rollouts) = (None, None, Vec::new());
        release.suppressed_upstream.extend(PolicyKind::ALL);
    }
    let after = reverted_to(&stream(), &present);
    let suppressed = |version| found(&after, version).suppressed_upstream.iter().copied().collect::<Vec<_>>();
    assert_eq!(suppressed("1"), [PolicyKind::DeadEnd, PolicyKind::Rollouts]);
    assert_eq!(suppressed("2"), PolicyKind::ALL);
    assert_eq!(suppressed("3"), [PolicyKind::Barrier, PolicyKind::DeadEnd]);
}

proptest! {
    #[test]
    fn a_revert_keeps_what_was_published_and_blocks_each_range_once(
        then in samples::stream(), present in samples::stream(),
    ) {
        let read = LoadedReads { revision: Some(Arc::new(then)), ..LoadedReads::default() };
        let command = RevertStream { stream: present.id.clone(), to: Revision(3) };
        let after = apply_to(&command, Some(&present), &read).unwrap().stream;
        prop_assert_eq!(apply_local_edit(&present, after.clone()).err(), None);
        prop_assert_eq!(find_duplicates(&after), []);
        for upstream in present.blocked_updates.iter().filter(|blocked| blocked.origin == Origin::Upstream) {
            prop_assert!(after.blocked_updates.iter().any(|blocked| blocked.blocks_same(upstream)));
        }
        for (index, blocked) in after.blocked_updates.iter().enumerate() {
            prop_assert!(!after.blocked_updates[..index].iter().any(|other| other.blocks_same(blocked)));
        }
    }
}
