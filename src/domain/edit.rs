//! Whose a change by hand is: what somebody here changed is theirs, and the next import leaves it alone.

use super::{
    origin::Origin,
    release::{Aspect, PayloadKey, Release, ReleaseState},
    stream::Stream,
    version::Version,
};
use std::collections::BTreeMap;
use thiserror::Error;

/// What no hand may do to a release that nodes may run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misstep {
    /// A release became a draft.
    #[error("release {0} was published and can be no draft again; withdraw it")]
    Unpublished(Version),
    /// A release went, or got another age.
    #[error("release {0} was published and keeps its place: it can be neither left out nor moved; withdraw it")]
    Moved(Version),
    /// A release got another payload.
    #[error(
        "release {0} was published with its payload on {arch} {scheme}, which nodes may run; give another as its alias, or \
         publish a release anew", arch = _1.arch, scheme = _1.scheme
    )]
    OtherPayload(Version, PayloadKey),
    /// A release of upstream's got a payload that upstream does not know.
    #[error(
        "release {0} is upstream's and has no payload on {arch} {scheme} there; the next import would take it away again",
        arch = _1.arch, scheme = _1.scheme
    )]
    ForeignPayload(Version, PayloadKey),
}

/// The next state as somebody here wrote it, with their mark on whatever differs from the present one. What they left as it
/// was keeps its origin; what they took away from upstream is remembered as taken away.
///
/// # Errors
/// It does to a published release what cannot be taken back, or what the next import would undo.
pub fn by_hand(present: &Stream, next: Stream) -> Result<Stream, Misstep> {
    published_stay(present, &next)?;
    Ok(marked(present, next))
}

fn aged(stream: &Stream) -> Vec<((&Version, usize), &Release)> {
    stream.identified().into_iter().filter(|(_, release)| release.state != ReleaseState::Draft).collect()
}

/// Ages are never used again, and what nodes run is not renamed below them.
fn published_stay(present: &Stream, next: &Stream) -> Result<(), Misstep> {
    let stands = aged(next);
    for (age, (identity, before)) in aged(present).into_iter().enumerate() {
        let version = || before.version.clone();
        let Some((_, after)) = stands.get(age).filter(|(stands, _)| *stands == identity) else {
            let is_draft =
                |release: &Release| release.version == before.version && release.state == ReleaseState::Draft;
            let unpublished = next.releases.iter().any(is_draft);
            return Err(if unpublished { Misstep::Unpublished(version()) } else { Misstep::Moved(version()) });
        };
        let changed = |key: &&PayloadKey| before.payloads.get(*key) != after.payloads.get(*key);
        if let Some(key) = before.payloads.keys().find(changed) {
            return Err(Misstep::OtherPayload(version(), key.clone()));
        }
        let is_theirs = before.origin == Origin::Upstream;
        if let Some(key) = after.payloads.keys().find(|key| is_theirs && !before.payloads.contains_key(*key)) {
            return Err(Misstep::ForeignPayload(version(), key.clone()));
        }
    }
    Ok(())
}

fn marked(present: &Stream, mut next: Stream) -> Stream {
    for blocked in next.blocked_updates.iter_mut().filter(|blocked| !present.blocked_updates.contains(blocked)) {
        ours(&mut blocked.origin);
    }
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = next.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    for (release, before) in next.releases.iter_mut().zip(before) {
        match before {
            Some(before) => mark(before, release),
            None => mark(&Release::published(release.version.clone(), Origin::Local), release),
        }
    }
    next
}

fn ours(origin: &mut Origin) {
    if *origin == Origin::Upstream {
        *origin = Origin::Local;
    }
}

fn mark(before: &Release, after: &mut Release) {
    if before.state != after.state || before.origin == Origin::Local {
        ours(&mut after.origin);
    }
    for aspect in Aspect::ALL {
        let (stood, stands, changed) = match aspect {
            Aspect::Barrier => (before.barrier.is_some(), after.barrier.is_some(), before.barrier != after.barrier),
            Aspect::DeadEnd => (before.dead_end.is_some(), after.dead_end.is_some(), before.dead_end != after.dead_end),
            Aspect::Rollouts => {
                (!before.rollouts.is_empty(), !after.rollouts.is_empty(), before.rollouts != after.rollouts)
            }
        };
        if !stands && (stood || before.cleared.contains(&aspect)) {
            after.cleared.insert(aspect);
        }
        if stands && changed {
            match aspect {
                Aspect::Barrier => after.barrier.iter_mut().for_each(|barrier| ours(&mut barrier.origin)),
                Aspect::DeadEnd => after.dead_end.iter_mut().for_each(|dead_end| ours(&mut dead_end.origin)),
                Aspect::Rollouts => after.rollouts.iter_mut().for_each(|rollout| ours(&mut rollout.origin)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_not_changed_is_not_marked(stream in samples::stream()) {
            let marked = by_hand(&stream, stream.clone()).unwrap();
            for (before, after) in stream.releases.iter().zip(&marked.releases) {
                prop_assert_eq!((&before.barrier, &before.dead_end, &before.rollouts), (&after.barrier, &after.dead_end, &after.rollouts));
                prop_assert_eq!((before.origin, &before.cleared), (after.origin, &after.cleared));
            }
        }

        #[test]
        fn what_is_changed_is_ours(before in samples::stream(), after in samples::stream()) {
            let marked = marked(&before, after.clone());
            for (before, after) in before.releases.iter().zip(&marked.releases) {
                prop_assert!(before.barrier == after.barrier || after.barrier.as_ref().is_none_or(|b| b.origin != Origin::Upstream));
                prop_assert!(before.barrier.is_none() || after.barrier.is_some() || after.cleared.contains(&Aspect::Barrier));
                prop_assert!(before.state == after.state || after.origin != Origin::Upstream);
                prop_assert!(before.rollouts == after.rollouts || after.rollouts.iter().all(|r| r.origin != Origin::Upstream));
            }
            for blocked in marked.blocked_updates.iter().filter(|blocked| !before.blocked_updates.contains(blocked)) {
                prop_assert_ne!(blocked.origin, Origin::Upstream);
            }
        }

        #[test]
        fn what_was_published_keeps_its_place_and_its_payloads(stream in samples::stream(), at in 0usize..14, what in 0..4) {
            let mut next = stream.clone();
            let at = at % stream.releases.len().max(1);
            let Some(release) = next.releases.get_mut(at) else { return Ok(()) };
            let (version, published) = (release.version.clone(), release.state != ReleaseState::Draft);
            let key = release.payloads.keys().next().cloned();
            match (what, key) {
                (0, _) => drop(next.releases.remove(at)),
                (1, _) => release.state = ReleaseState::Draft,
                (2, Some(key)) => drop(release.payloads.remove(&key)),
                (_, Some(key)) => {
                    let payload = release.payloads.get_mut(&key).unwrap();
                    payload.id = crate::domain::payload::PayloadId::parse("another").unwrap();
                }
                (_, None) => return Ok(()),
            }
            let refused = by_hand(&stream, next).err();
            prop_assert_eq!(refused.is_some(), published, "{:?} of {}", refused, version);
        }
    }
}
