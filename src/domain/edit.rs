//! Local edits: values that are changed here get the origin `local`, and the next import keeps them.

use super::{
    changes::{Changes, Pair},
    ids::Version,
    origin::Origin,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    stream::Stream,
};
use thiserror::Error;

/// A local edit that would change what was published, or that the next import would undo.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImmutabilityError {
    /// A published release became a draft.
    #[error("release {0} was published and cannot become a draft again; withdraw it instead")]
    Unpublished(Version),
    /// A published release was removed or got another age.
    #[error("release {0} was published and cannot be removed or moved; withdraw it instead")]
    Moved(Version),
    /// A payload of a published release was changed or removed.
    #[error(
        "release {0} was published with its payload on {arch} {scheme}, which cannot change because nodes may run it; add \
         the other payload as an alias, or publish it as a new release", arch = _1.arch, scheme = _1.scheme
    )]
    OtherPayload(Version, PayloadKey),
    /// A payload was added to a published upstream release.
    #[error(
        "release {0} comes from upstream, where it has no payload on {arch} {scheme}; the next import would remove a payload \
         added here",
        arch = _1.arch, scheme = _1.scheme
    )]
    ForeignPayload(Version, PayloadKey),
}

/// Returns the next state with the origin `local` on every value that differs from the present state. Unchanged values keep their
/// origin, and removed upstream policies are recorded as suppressed.
///
/// # Errors
/// Fails if the edit changes what is immutable on a published release, or what the next import would undo.
pub fn apply_local_edit(present: &Stream, next: Stream) -> Result<Stream, ImmutabilityError> {
    check_published(&Changes::between(present, &next))?;
    Ok(tag_origins(present, next))
}

/// Checks that published releases keep their ages, because an age is never reused, and their payloads, because nodes may run them.
fn check_published(changes: &Changes<'_>) -> Result<(), ImmutabilityError> {
    let was_published = |pair: &&Pair<'_>| pair.old_release().is_some_and(|before| before.state != ReleaseState::Draft);
    let mut pairs: Vec<&Pair<'_>> = changes.pairs().iter().filter(was_published).collect();
    // The oldest release is reported first.
    pairs.sort_by_key(|pair| pair.before.map(|placed| placed.index));
    pairs.into_iter().try_for_each(check_published_release)
}

fn check_published_release(pair: &Pair<'_>) -> Result<(), ImmutabilityError> {
    let Some(before) = pair.old_release() else { return Ok(()) };
    let version = || before.version.clone();
    let after = pair.new_release().ok_or_else(|| ImmutabilityError::Moved(version()))?;
    if after.state == ReleaseState::Draft {
        return Err(ImmutabilityError::Unpublished(version()));
    }
    if pair.before.map(|placed| placed.index) != pair.after.map(|placed| placed.index) {
        return Err(ImmutabilityError::Moved(version()));
    }
    let changed = |key: &&PayloadKey| before.payloads.get(*key) != after.payloads.get(*key);
    if let Some(key) = before.payloads.keys().find(changed) {
        return Err(ImmutabilityError::OtherPayload(version(), key.clone()));
    }
    let is_upstream = before.origin == Origin::Upstream;
    if let Some(key) = after.payloads.keys().find(|key| is_upstream && !before.payloads.contains_key(*key)) {
        return Err(ImmutabilityError::ForeignPayload(version(), key.clone()));
    }
    Ok(())
}

fn tag_origins(present: &Stream, mut next: Stream) -> Stream {
    for blocked in next.blocked_updates.iter_mut().filter(|blocked| !present.blocked_updates.contains(blocked)) {
        set_local(&mut blocked.origin);
    }
    // Equal releases keep their origins.
    let changed: Vec<(usize, Option<Release>)> = Changes::between(present, &next)
        .added_or_changed()
        .map(|(after, before)| (after.index, before.cloned()))
        .collect();
    for (index, before) in changed {
        let Some(release) = next.releases.get_mut(index) else { continue };
        let before = before.unwrap_or_else(|| Release::published(release.version.clone(), Origin::Local));
        tag_origin(&before, release);
    }
    next
}

fn set_local(origin: &mut Origin) {
    if *origin == Origin::Upstream {
        *origin = Origin::Local;
    }
}

/// Returns true if upstream set the policy. Removing a local policy does not suppress a later upstream one.
fn is_from_upstream(release: &Release, policy: PolicyKind) -> bool {
    let is_upstream = |origin: Origin| origin == Origin::Upstream;
    match policy {
        PolicyKind::Barrier => release.barrier.as_ref().is_some_and(|barrier| is_upstream(barrier.origin)),
        PolicyKind::DeadEnd => release.dead_end.as_ref().is_some_and(|dead_end| is_upstream(dead_end.origin)),
        PolicyKind::Rollouts => release.rollouts.iter().any(|rollout| is_upstream(rollout.origin)),
    }
}

fn tag_origin(before: &Release, after: &mut Release) {
    if before.state != after.state || before.origin == Origin::Local {
        set_local(&mut after.origin);
    }
    for (key, ids) in &mut after.aliases {
        let known = before.aliases.get(key);
        for (id, origin) in ids {
            // A document without origins does not make upstream's aliases local.
            match known.and_then(|known| known.get(id)) {
                Some(known) => *origin = *known,
                None => set_local(origin),
            }
        }
    }
    if before.predecessors != after.predecessors {
        after.predecessors.iter_mut().for_each(|predecessors| set_local(&mut predecessors.origin));
    }
    for policy in PolicyKind::ALL.iter().copied() {
        let (is_set, has_changed) = match policy {
            PolicyKind::Barrier => (after.barrier.is_some(), before.barrier != after.barrier),
            PolicyKind::DeadEnd => (after.dead_end.is_some(), before.dead_end != after.dead_end),
            PolicyKind::Rollouts => (!after.rollouts.is_empty(), !have_same_plans(&before.rollouts, &after.rollouts)),
        };
        if !is_set && (is_from_upstream(before, policy) || before.suppressed_upstream.contains(&policy)) {
            after.suppressed_upstream.insert(policy);
        }
        if is_set && has_changed {
            match policy {
                PolicyKind::Barrier => after.barrier.iter_mut().for_each(|barrier| set_local(&mut barrier.origin)),
                PolicyKind::DeadEnd => after.dead_end.iter_mut().for_each(|dead_end| set_local(&mut dead_end.origin)),
                PolicyKind::Rollouts => after.rollouts.iter_mut().for_each(|rollout| set_local(&mut rollout.origin)),
            }
        }
    }
}

/// Returns true if the rollouts differ at most in pauses. A pause is a local mark that leaves the origin of the plan unchanged.
fn have_same_plans(before: &[Rollout], after: &[Rollout]) -> bool {
    let state = |rollout: &Rollout| Some(rollout.state).filter(|state| !matches!(state, RolloutState::Paused { .. }));
    let active = RolloutState::Active;
    before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| {
            let states = [before, after].map(|rollout| state(rollout).unwrap_or(active));
            states[0] == states[1]
                && (&before.selector, &before.ramp, before.origin) == (&after.selector, &after.ramp, after.origin)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unchanged_values_keep_their_origin(stream in samples::stream()) {
            let tagged = apply_local_edit(&stream, stream.clone()).unwrap();
            for (before, after) in stream.releases.iter().zip(&tagged.releases) {
                prop_assert_eq!((&before.barrier, &before.dead_end, &before.rollouts), (&after.barrier, &after.dead_end, &after.rollouts));
                prop_assert_eq!((before.origin, &before.suppressed_upstream), (after.origin, &after.suppressed_upstream));
            }
        }

        #[test]
        fn changed_values_become_local(before in samples::stream(), after in samples::stream()) {
            let tagged = tag_origins(&before, after.clone());
            for ((before, after), written) in before.releases.iter().zip(&tagged.releases).zip(&after.releases) {
                prop_assert!(before.barrier == after.barrier || after.barrier.as_ref().is_none_or(|b| b.origin != Origin::Upstream));
                let was_upstream = before.barrier.as_ref().is_some_and(|barrier| barrier.origin == Origin::Upstream);
                let is_suppressed = after.suppressed_upstream.contains(&PolicyKind::Barrier);
                prop_assert!(!was_upstream || after.barrier.is_some() || is_suppressed);
                prop_assert!(!is_suppressed || was_upstream || before.suppressed_upstream.contains(&PolicyKind::Barrier) || written.suppressed_upstream.contains(&PolicyKind::Barrier));
                prop_assert!(before.state == after.state || after.origin != Origin::Upstream);
                prop_assert!(have_same_plans(&before.rollouts, &after.rollouts) || after.rollouts.iter().all(|r| r.origin != Origin::Upstream));
            }
            for blocked in tagged.blocked_updates.iter().filter(|blocked| !before.blocked_updates.contains(blocked)) {
                prop_assert_ne!(blocked.origin, Origin::Upstream);
            }
        }

        #[test]
        fn published_releases_keep_their_age_and_payloads(stream in samples::stream(), at in 0usize..14, edit in 0..4) {
            let mut next = stream.clone();
            let at = at % stream.releases.len().max(1);
            let Some(release) = next.releases.get_mut(at) else { return Ok(()) };
            let (version, published) = (release.version.clone(), release.state != ReleaseState::Draft);
            let key = release.payloads.keys().next().cloned();
            match (edit, key) {
                (0, _) => drop(next.releases.remove(at)),
                (1, _) => release.state = ReleaseState::Draft,
                (2, Some(key)) => drop(release.payloads.remove(&key)),
                (_, Some(key)) => {
                    let payload = release.payloads.get_mut(&key).unwrap();
                    payload.id = crate::domain::payload::PayloadId::parse("another").unwrap();
                }
                (_, None) => return Ok(()),
            }
            let error = apply_local_edit(&stream, next).err();
            prop_assert_eq!(error.is_some(), published, "{:?} of {}", error, version);
        }
    }
}
