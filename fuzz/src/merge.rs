//! The merge of an import: local values are kept, locally published releases keep their age, and repeating the import changes nothing. The
//! result is a stream that a revision can store.

use super::{document, parts, upstream};
use lockkeeper::{
    domain::{
        document::{StreamDocument, Strictness},
        ids::Version,
        origin::Origin,
        release::{PolicyKind, Release, ReleaseState},
        stream::Stream,
    },
    exchange::fcos::{merge::merge, removals::Removals},
};
use std::collections::BTreeMap;

/// Checks the merge of upstream's two documents into a present stream (TOML).
pub fn check(input: &[u8]) {
    let [present, releases, updates] = parts(input);
    let Some(present) = recorded(present) else { return };
    let Some(incoming) = upstream::read(&present.id, releases, updates) else { return };
    let Ok(merged) = merge(Some(&present), &incoming, Removals::default()) else { return };
    let next = &merged.stream;
    document::check_stream(next, Strictness::Recorded);
    assert_eq!(next.stop, present.stop);
    assert_eq!(next.mirrors, present.mirrors);
    assert_eq!(next.protection, present.protection);
    assert_eq!(next.blocked_updates, present.blocked_updates);
    check_local_values(&present, &incoming.stream, next);
    let again = merge(Some(next), &incoming, Removals::default()).expect("an import can be repeated");
    assert_eq!(again.stream, *next);
}

fn recorded(text: &[u8]) -> Option<Stream> {
    let document: StreamDocument = toml::from_str(std::str::from_utf8(text).ok()?).ok()?;
    Stream::from_document(&document, Strictness::Recorded).ok()
}

fn check_local_values(present: &Stream, incoming: &Stream, next: &Stream) {
    let upstream: BTreeMap<_, _> = incoming.identified().into_iter().collect();
    let ages = |stream: &Stream| -> Vec<(Version, usize)> {
        let aged = stream.identified().into_iter().filter(|(_, release)| release.state != ReleaseState::Draft);
        aged.map(|((version, nth), _)| (version.clone(), nth)).collect()
    };
    let (before, after) = (ages(present), ages(next));
    let merged: BTreeMap<_, _> = next.identified().into_iter().collect();
    for (identity, release) in present.identified() {
        let is_local_release = release.origin != Origin::Upstream && !upstream.contains_key(&identity);
        if is_local_release && release.state != ReleaseState::Draft {
            let age = |ages: &[(Version, usize)]| ages.iter().position(|(version, nth)| (version, *nth) == identity);
            assert_eq!(age(&before), age(&after), "{} keeps its age", release.version);
        }
        let has_local_policy = PolicyKind::ALL.iter().any(|policy| is_local(release, *policy));
        match merged.get(&identity) {
            Some(after) => check_release(release, after),
            None => assert!(!is_local_release && !has_local_policy, "{} is lost", release.version),
        }
    }
}

fn check_release(before: &Release, after: &Release) {
    for policy in PolicyKind::ALL.iter().copied().filter(|policy| is_local(before, *policy)) {
        match policy {
            PolicyKind::Barrier => assert_eq!(after.barrier, before.barrier),
            PolicyKind::DeadEnd => assert_eq!(after.dead_end, before.dead_end),
            PolicyKind::Rollouts => assert_eq!(after.rollouts, before.rollouts),
        }
    }
    if before.state != ReleaseState::Published && before.origin != Origin::Upstream {
        assert_ne!(after.state, ReleaseState::Published, "{} was not published here", before.version);
    }
    assert_eq!(
        (&after.notes, &after.artifacts, &after.suppressed_upstream),
        (&before.notes, &before.artifacts, &before.suppressed_upstream)
    );
}

/// Returns true if the policy was set or suppressed here.
fn is_local(release: &Release, policy: PolicyKind) -> bool {
    let is_set = match policy {
        PolicyKind::Barrier => release.barrier.as_ref().is_some_and(|barrier| barrier.origin != Origin::Upstream),
        PolicyKind::DeadEnd => release.dead_end.as_ref().is_some_and(|dead_end| dead_end.origin != Origin::Upstream),
        PolicyKind::Rollouts => release.rollouts.iter().any(|rollout| rollout.origin != Origin::Upstream),
    };
    is_set || release.suppressed_upstream.contains(&policy)
}
