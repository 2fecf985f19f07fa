//! Tests of barriers, dead ends and blocked updates.

use super::*;
use crate::{
    domain::{origin::Origin, release::Release},
    manage::testing::{apply, found, found_mut, id, next, reason, refusal, release, stream},
};

#[test]
fn a_barrier_replaces_the_one_before_and_its_suppression() {
    let barrier = Barrier { reason: reason("a new bootloader"), arches: None, origin: Origin::Local };
    for version in ["1", "2", "3", "4", "5"] {
        let mut before = stream();
        let release_before = found_mut(&mut before, version);
        release_before.suppressed_upstream.extend(PolicyKind::ALL);
        let mut expected = release_before.clone();
        expected.barrier = Some(Box::new(barrier.clone()));
        expected.suppressed_upstream.remove(&PolicyKind::Barrier);
        let after = next(&SetBarrier { release: release(version), barrier: barrier.clone() }, &before);
        assert_eq!(found(&after, version), &expected);
        let removed = next(&RemoveBarrier { release: release(version) }, &after);
        assert_eq!(found(&removed, version), &Release { barrier: None, ..expected });
        let again = refusal(&RemoveBarrier { release: release(version) }, &removed);
        assert_eq!(again, format!("there is no barrier on release {version}"));
    }
}

#[test]
fn a_dead_end_replaces_the_one_before_and_its_suppression() {
    let dead_end = DeadEnd { reason: reason("it cannot update"), arches: None, origin: Origin::Local };
    for version in ["1", "2", "3", "4", "5"] {
        let mut before = stream();
        let release_before = found_mut(&mut before, version);
        release_before.suppressed_upstream.extend(PolicyKind::ALL);
        let mut expected = release_before.clone();
        expected.dead_end = Some(Box::new(dead_end.clone()));
        expected.suppressed_upstream.remove(&PolicyKind::DeadEnd);
        let after = next(&SetDeadEnd { release: release(version), dead_end: dead_end.clone() }, &before);
        assert_eq!(found(&after, version), &expected);
        let removed = next(&RemoveDeadEnd { release: release(version) }, &after);
        assert_eq!(found(&removed, version), &Release { dead_end: None, ..expected });
        let again = refusal(&RemoveDeadEnd { release: release(version) }, &removed);
        assert_eq!(again, format!("there is no dead end on release {version}"));
    }
}

/// Returns the command that blocks the updates to release 3 from a range.
fn block(first: &str, last: &str, reason: &str, arches: Option<&[&str]>) -> BlockUpdate {
    let blocked = BlockedUpdateDocument {
        first: first.into(),
        last: last.into(),
        target: "3".into(),
        reason: reason.into(),
        arches: arches.map(|arches| arches.iter().map(ToString::to_string).collect()),
        origin: None,
    };
    BlockUpdate { target: release("3"), blocked }
}

#[test]
fn blocked_updates_are_numbered_per_target() {
    let mut before = stream();
    before.blocked_updates[0].origin = Origin::Upstream;
    for (command, number, count) in [
        (block("1", "2", "a broken bootloader", Some(&["x86_64"])), "2", 2),
        (block("1", "1", "a broken bootloader", None), "2", 2),
        // The same range is blocked once.
        (block("1", "2", "another reason", None), "1", 1),
        (block("1", "2", "a broken bootloader", None), "1", 1),
    ] {
        let Next { stream: after, created, findings, .. } = apply(&command, &before).unwrap();
        assert_eq!((created.as_deref(), after.blocked_updates.len(), findings.len()), (Some(number), count, 0));
        let index = count - 1;
        assert_eq!(after.blocked_updates[index].reason.as_str(), command.blocked.reason);
        // A block that is in force for the same reason keeps its origin.
        let is_unchanged = after == before;
        assert_eq!(is_unchanged, command.blocked.reason == "a broken bootloader" && count == 1);
        assert_eq!(after.blocked_updates[index].origin == Origin::Local, !is_unchanged);
        assert_eq!(apply(&command, &after).unwrap().stream, after, "it is blocked once");
    }
}

#[test]
fn a_range_that_does_not_exist_is_not_blocked() {
    for (command, message) in [
        (BlockUpdate { target: release("9"), ..block("1", "2", "x", None) }, "there is no release 9"),
        (block("9", "2", "x", None), "first: 9 is not a release of this stream"),
        (block("2", "1", "x", None), "last: must not be older than the first release of the range"),
        (block("3", "4", "x", None), "target: must be newer than the first release of the range"),
        (block("1", "2", " ", None), "reason: must not be empty"),
        (block("1", "2", "x", Some(&[])), "arches: is empty; leave it out to mean all"),
    ] {
        assert_eq!(refusal(&command, &stream()), message);
    }
}

#[test]
fn a_blocked_update_is_removed_by_its_number() {
    let unblock = |number| UnblockUpdate { target: release("3"), number };
    let before = next(&block("1", "1", "another", None), &stream());
    assert_eq!(next(&unblock(2), &before), stream());
    assert_eq!(next(&unblock(1), &before).blocked_updates, before.blocked_updates[1..]);
    for number in [0, 3] {
        assert_eq!(refusal(&unblock(number), &before), format!("there is no blocked update {number} to 3"));
    }
    let other = UnblockUpdate { target: release("2"), number: 1 };
    assert_eq!(refusal(&other, &before), "there is no blocked update 1 to 2");
    // An older version of the program may have stored a range twice.
    let mut twice = before.clone();
    twice.blocked_updates.push(BlockedUpdate { reason: reason("the same"), ..before.blocked_updates[0].clone() });
    assert_eq!(next(&unblock(1), &twice).blocked_updates, before.blocked_updates[1..]);
    assert_eq!(unblock(1).target(), &id());
}
