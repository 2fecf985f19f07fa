//! What upstream says now, laid over what is there: what was set here wins, and what differs is reported.

use super::model::Modelled;
use crate::domain::{
    blocked::BlockedUpdate,
    finding::Finding,
    origin::Origin,
    release::{Aspect, Release, ReleaseState},
    rollout::Rollout,
    stream::Stream,
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use thiserror::Error;

/// Why upstream's state cannot be taken as things stand here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {}", .0.place, .0.message)]
pub struct Conflict(pub Finding);

/// The stream after an import, and what is to be said of it.
///
/// # Errors
/// Upstream inserted or removed a release below one that was published here, whose age must not change; or removed one on
/// which something was set here, or that a blocked update names: what was set would be lost, and come back open.
pub fn merge(present: Option<&Stream>, incoming: &Modelled) -> Result<Modelled, Conflict> {
    let Some(present) = present else { return Ok(incoming.clone()) };
    let mut findings = incoming.findings.clone();
    let mut stream = incoming.stream.clone();
    stream.arches.extend(present.arches.iter().cloned());
    stream.mirrors.clone_from(&present.mirrors);
    stream.protection.clone_from(&present.protection);
    stream.stop.clone_from(&present.stop);
    stream.blocked_updates.clone_from(&present.blocked_updates);
    stream.releases = order(present, &incoming.stream)?;
    nothing_set_here_is_lost(present, &stream)?;
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = stream.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    for (release, before) in stream.releases.iter_mut().zip(before) {
        if let Some(before) = before {
            lay_over(before, release, &mut findings);
        }
    }
    settle_aliases(&mut stream, &mut findings)?;
    Ok(Modelled { stream, findings })
}

fn nothing_set_here_is_lost(present: &Stream, next: &Stream) -> Result<(), Conflict> {
    let stays: BTreeSet<_> = next.identified().into_iter().map(|(identity, _)| identity).collect();
    let mut gone = present.identified().into_iter().filter(|(identity, _)| !stays.contains(identity));
    if let Some((_, lost)) = gone.find(|(_, release)| is_touched(release)) {
        let message = format!("upstream removed {}, on which something was set here", lost.version);
        return Err(Conflict(Finding::error("releases.json", message)));
    }
    let mut named = present.blocked_updates.iter().flat_map(|blocked| [&blocked.first, &blocked.last, &blocked.target]);
    if let Some(version) = named.find(|version| next.position_of(version).is_none()) {
        let message = format!("upstream removed {version}, which a blocked update names");
        return Err(Conflict(Finding::error("releases.json", message)));
    }
    blocks_hold_what_they_held(present, next)
}

/// A block names its range by the releases at its ends: whoever stood between them has to stand there still.
fn blocks_hold_what_they_held(present: &Stream, next: &Stream) -> Result<(), Conflict> {
    let stays: BTreeSet<_> = next.identified().into_iter().map(|(identity, _)| identity).collect();
    for blocked in &present.blocked_updates {
        let held = held_by(blocked, next);
        let lost =
            held_by(blocked, present).into_iter().find(|identity| stays.contains(identity) && !held.contains(identity));
        if let Some(lost) = lost {
            let message = format!(
                "upstream moved {} out of {} to {}, from where the update to {} is blocked here",
                lost.0, blocked.first, blocked.last, blocked.target
            );
            return Err(Conflict(Finding::error("releases.json", message)));
        }
    }
    Ok(())
}

/// The releases from which a block keeps nodes, by what identifies them.
fn held_by<'a>(blocked: &BlockedUpdate, stream: &'a Stream) -> BTreeSet<(&'a Version, usize)> {
    let ends = stream.position_of(&blocked.first).zip(stream.position_of(&blocked.last));
    let (first, end) = ends.map_or((0, 0), |(first, last)| (first, last + 1));
    stream.identified().into_iter().map(|(identity, _)| identity).take(end).skip(first).collect()
}

/// An alias that upstream has made the release's own payload is needed no more; one that has become another's is a conflict.
fn settle_aliases(stream: &mut Stream, findings: &mut Vec<Finding>) -> Result<(), Conflict> {
    for release in &mut stream.releases {
        for (key, ids) in &mut release.aliases {
            let own = release.payloads.get(key).map(|payload| payload.id.clone());
            if own.is_some_and(|own| ids.remove(&own)) {
                let message =
                    format!("its alias on {} {} is upstream's payload now and is dropped", key.arch, key.scheme);
                findings.push(Finding::warning(format!("release {}", release.version), message));
            }
        }
        release.aliases.retain(|_, ids| !ids.is_empty());
    }
    let mut payloads = HashMap::new();
    for release in &stream.releases {
        payloads.extend(release.payloads.iter().map(|(key, payload)| ((key, &payload.id), &release.version)));
    }
    for release in &stream.releases {
        for (key, id) in release.aliases.iter().flat_map(|(key, ids)| ids.iter().map(move |id| (key, id))) {
            if let Some(other) = payloads.get(&(key, id)) {
                let message = format!("upstream gives {id} to {other}, here it is an alias of {}", release.version);
                return Err(Conflict(Finding::error("releases.json", message)));
            }
        }
    }
    Ok(())
}

/// Upstream's releases in upstream's order, ours in their places: a release that was published here keeps its age.
fn order(present: &Stream, incoming: &Stream) -> Result<Vec<Release>, Conflict> {
    let theirs: BTreeSet<_> = incoming.identified().into_iter().map(|(identity, _)| identity).collect();
    let marked: Vec<(&Release, bool)> = present
        .identified()
        .into_iter()
        .map(|(identity, release)| (release, release.origin != Origin::Upstream && !theirs.contains(&identity)))
        .collect();
    let is_draft = |release: &Release| release.state == ReleaseState::Draft;
    let newest_of_ours = marked.iter().rposition(|(release, ours)| *ours && !is_draft(release));
    let mut rest = incoming.releases.iter();
    let mut releases = Vec::new();
    for (release, ours) in marked.iter().copied().take(newest_of_ours.map_or(0, |age| age + 1)) {
        if ours {
            releases.push(release.clone());
            continue;
        }
        match rest.next() {
            Some(next) if next.version == release.version => releases.push(next.clone()),
            next => {
                let message = format!(
                    "upstream has {} where {} stands here, below a release that was published here and keeps its age",
                    next.map_or("nothing", |next| next.version.as_str()),
                    release.version
                );
                return Err(Conflict(Finding::error("releases.json", message)));
            }
        }
    }
    releases.extend(rest.cloned());
    let drafts = marked.iter().filter(|(release, ours)| *ours && is_draft(release));
    releases.extend(drafts.map(|(release, _)| (*release).clone()));
    Ok(releases)
}

/// What was set here on a release that upstream has too.
fn lay_over(before: &Release, release: &mut Release, findings: &mut Vec<Finding>) {
    let theirs = release.clone();
    release.aliases.clone_from(&before.aliases);
    release.cleared.clone_from(&before.cleared);
    release.notes.clone_from(&before.notes);
    release.artifacts.clone_from(&before.artifacts);
    release.promoted_from.clone_from(&before.promoted_from);
    let was_draft = before.state == ReleaseState::Draft;
    if was_draft {
        // It has its age now, but what was not open here is not opened by others.
        (release.state, release.origin) = (ReleaseState::Withdrawn, Origin::Local);
        let message =
            "upstream has published what is a draft here; it stays closed, as withdrawn, until it is published here";
        findings.push(Finding::drift(format!("release {}", release.version), message));
    } else if before.origin != Origin::Upstream {
        (release.state, release.origin) = (before.state, before.origin);
    }
    for aspect in Aspect::ALL {
        let is_ours = before.cleared.contains(&aspect) || is_set_here(before, aspect);
        match aspect {
            Aspect::Barrier if is_ours => release.barrier.clone_from(&before.barrier),
            Aspect::DeadEnd if is_ours => release.dead_end.clone_from(&before.dead_end),
            Aspect::Rollouts if is_ours => release.rollouts.clone_from(&before.rollouts),
            _ => {}
        }
    }
    let differs = [
        ("state", !was_draft && release.state != theirs.state),
        (
            "barrier",
            release.barrier.as_ref().map(|ours| &ours.reason) != theirs.barrier.as_ref().map(|ours| &ours.reason),
        ),
        (
            "dead end",
            release.dead_end.as_ref().map(|ours| &ours.reason) != theirs.dead_end.as_ref().map(|ours| &ours.reason),
        ),
        ("rollouts", !same_course(&release.rollouts, &theirs.rollouts)),
    ];
    for (what, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        let message = format!("its {what} as set here is not upstream's; ours stays");
        findings.push(Finding::drift(format!("release {}", release.version), message));
    }
}

fn is_set_here(release: &Release, aspect: Aspect) -> bool {
    let ours = |origin: Origin| origin != Origin::Upstream;
    match aspect {
        Aspect::Barrier => release.barrier.as_ref().is_some_and(|barrier| ours(barrier.origin)),
        Aspect::DeadEnd => release.dead_end.as_ref().is_some_and(|dead_end| ours(dead_end.origin)),
        Aspect::Rollouts => release.rollouts.iter().any(|rollout| ours(rollout.origin)),
    }
}

/// Has somebody here set or taken away anything on it?
fn is_touched(release: &Release) -> bool {
    release.origin != Origin::Upstream
        || !release.cleared.is_empty()
        || !release.aliases.is_empty()
        || !release.artifacts.is_empty()
        || release.notes.is_some()
        || release.promoted_from.is_some()
        || Aspect::ALL.into_iter().any(|aspect| is_set_here(release, aspect))
}

/// Equal but for who set them.
fn same_course(ours: &[Rollout], theirs: &[Rollout]) -> bool {
    let same = |(ours, theirs): (&Rollout, &Rollout)| {
        (&ours.selector, &ours.ramp, ours.state) == (&theirs.selector, &theirs.ramp, theirs.state)
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
}
