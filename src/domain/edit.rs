//! Whose a change by hand is: what somebody here changed is theirs, and the next import leaves it alone.

use super::{
    origin::Origin,
    release::{Aspect, Release},
    stream::Stream,
};
use std::collections::BTreeMap;

/// The next state as somebody here wrote it, with their mark on whatever differs from the present one. What they left as it
/// was keeps its origin; what they took away from upstream is remembered as taken away.
#[must_use]
pub fn by_hand(present: &Stream, mut next: Stream) -> Stream {
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

fn mark(before: &Release, after: &mut Release) {
    let ours = |origin: &mut Origin| {
        if *origin == Origin::Upstream {
            *origin = Origin::Local;
        }
    };
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
            prop_assert_eq!(by_hand(&stream, stream.clone()).to_document().releases.len(), stream.releases.len());
            let marked = by_hand(&stream, stream.clone());
            for (before, after) in stream.releases.iter().zip(&marked.releases) {
                prop_assert_eq!((&before.barrier, &before.dead_end, &before.rollouts), (&after.barrier, &after.dead_end, &after.rollouts));
                prop_assert_eq!((before.origin, &before.cleared), (after.origin, &after.cleared));
            }
        }

        #[test]
        fn what_is_changed_is_ours(before in samples::stream(), after in samples::stream()) {
            let marked = by_hand(&before, after.clone());
            for (before, after) in before.releases.iter().zip(&marked.releases) {
                prop_assert!(before.barrier == after.barrier || after.barrier.as_ref().is_none_or(|b| b.origin != Origin::Upstream));
                prop_assert!(before.barrier.is_none() || after.barrier.is_some() || after.cleared.contains(&Aspect::Barrier));
                prop_assert!(before.state == after.state || after.origin != Origin::Upstream);
                prop_assert!(before.rollouts == after.rollouts || after.rollouts.iter().all(|r| r.origin != Origin::Upstream));
            }
        }
    }
}
