//! Merges upstream's stream into the present one. Local values win, and differences are reported.

use super::{
    model::Modelled,
    removals::{Removals, Vanished, is_removed, relisted},
    settings::with_settings,
};
use crate::domain::{
    finding::{Code, Finding},
    ids::Version,
    origin::Origin,
    payload::PayloadId,
    policy::blocked_update::BlockedUpdate,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    shared::Shared,
    stream::Stream,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};
use thiserror::Error;

/// Why upstream's stream cannot be merged into the present one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {}", .0.place, .0.message)]
pub struct Conflict(pub Finding);

/// Merges upstream's stream into the present one and returns the result with its findings.
///
/// # Errors
/// Upstream no longer lists published releases and removals are not allowed, or inserted a release before a local one that keeps its age, or
/// moved a release out of the range of a blocked update.
pub fn merge(present: Option<&Stream>, incoming: &Modelled, removals: Removals<'_>) -> Result<Modelled, Conflict> {
    let Some(present) = present else { return Ok(incoming.clone()) };
    let present = &*without_samples(present, &incoming.stream);
    let mut findings = incoming.findings.clone();
    let mut stream = with_settings(present, &incoming.stream);
    let vanished = Vanished::between(present, &incoming.stream, removals.listed);
    if let Some(refusal) = vanished.refusal().filter(|_| !removals.are_allowed) {
        return Err(Conflict(refusal));
    }
    stream.releases = order_releases(present, &incoming.stream)?;
    check_blocked_updates(present, &stream)?;
    relisted(present, &incoming.stream, &mut findings);
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = stream.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    for (release, before) in stream.releases.iter_mut().zip(before) {
        if let Some(before) = before {
            keep_local_values(before, release, &mut findings);
        }
    }
    for (identity, release) in identities(&stream).iter().zip(&mut stream.releases) {
        vanished.withdraw(&identity.0, identity.1, release, &mut findings);
    }
    vanished.block_updates(&mut stream, &mut findings);
    remove_newer_predecessors(&mut stream, &mut findings);
    keep_old_payloads(present, &mut stream, &mut findings);
    remove_obsolete_aliases(&mut stream, &mut findings)?;
    Ok(Modelled { stream, findings })
}

/// Returns the present state without releases of a sample that upstream does not list. A sample has placeholder payloads and was never
/// imported: no node runs its releases.
fn without_samples<'a>(present: &'a Stream, incoming: &Stream) -> Cow<'a, Stream> {
    if !present.is_synthetic() || !present.sources.is_empty() {
        return Cow::Borrowed(present);
    }
    let listed: BTreeSet<_> = incoming.releases.iter().map(|release| &release.version).collect();
    let mut stream = present.clone();
    stream.releases.retain(|release| release.origin != Origin::Upstream || listed.contains(&release.version));
    Cow::Owned(stream)
}

/// Returns what identifies each release.
fn identities(stream: &Stream) -> Vec<(Version, usize)> {
    stream.identified().into_iter().map(|((version, times), _)| (version.clone(), times)).collect()
}

/// Checks that blocked updates still apply to the same releases. Their ranges are given by the first and last release.
fn check_blocked_updates(present: &Stream, next: &Stream) -> Result<(), Conflict> {
    let remaining: BTreeSet<_> = next.identified().into_iter().map(|(identity, _)| identity).collect();
    for blocked in &present.blocked_updates {
        let range = releases_in_range(blocked, next);
        let lost = releases_in_range(blocked, present)
            .into_iter()
            .find(|identity| remaining.contains(identity) && !range.contains(identity));
        if let Some(lost) = lost {
            let message = format!(
                "upstream moved {} out of the range {} to {}, from which the update to {} is blocked",
                lost.0, blocked.first, blocked.last, blocked.target
            );
            return Err(Conflict(Finding::error(Code::BlockedRangeMoved, "releases.json", message)));
        }
    }
    Ok(())
}

/// Removes predecessors that the next state does not have, or that upstream moved behind their release.
fn remove_newer_predecessors(stream: &mut Stream, findings: &mut Vec<Finding>) {
    let mut positions = HashMap::new();
    for (position, release) in stream.releases.iter().enumerate() {
        positions.entry(release.version.clone()).or_insert(position);
    }
    let is_older = |version: &Version, than: usize| positions.get(version).is_some_and(|position| *position < than);
    for (position, release) in stream.releases.iter_mut().enumerate() {
        let listed = release.predecessors.iter().flat_map(|predecessors| &predecessors.versions);
        let lost: BTreeSet<Version> = listed.filter(|version| !is_older(version, position)).cloned().collect();
        if lost.is_empty() {
            continue;
        }
        let predecessors = release.predecessors.take().map(|mut predecessors| {
            predecessors.versions.retain(|version| !lost.contains(version));
            predecessors
        });
        release.predecessors = predecessors.filter(|predecessors| !predecessors.versions.is_empty());
        let names: Vec<&str> = lost.iter().map(Version::as_str).collect();
        let message = format!("its predecessors {} are no longer older releases and were removed", names.join(", "));
        findings.push(Finding::drift(Code::PredecessorsRemoved, format!("release {}", release.version), message));
    }
}

/// Returns the identities of the releases from which an update is blocked.
fn releases_in_range<'a>(blocked: &BlockedUpdate, stream: &'a Stream) -> BTreeSet<(&'a Version, usize)> {
    let ends = stream.position_of(&blocked.first).zip(stream.position_of(&blocked.last));
    let (first, end) = ends.map_or((0, 0), |(first, last)| (first, last + 1));
    stream.identified().into_iter().map(|(identity, _)| identity).take(end).skip(first).collect()
}

/// Keeps old payloads known, because nodes run them: a payload that upstream replaced becomes an alias, and one that it no longer lists is
/// kept. Neither is possible if upstream moved the payload to another release.
fn keep_old_payloads(present: &Stream, stream: &mut Stream, findings: &mut Vec<Finding>) {
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = stream.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let listed: BTreeSet<(PayloadKey, PayloadId)> = stream
        .releases
        .iter()
        .flat_map(|release| release.payloads.iter().map(|(key, payload)| (key.clone(), payload.id.clone())))
        .collect();
    // If releases shared a payload, nodes that run it count as the oldest.
    let mut first_holders: BTreeSet<(PayloadKey, PayloadId)> = BTreeSet::new();
    for (release, before) in stream.releases.iter_mut().zip(before) {
        let Some(before) = before.filter(|before| before.state != ReleaseState::Draft) else { continue };
        // No node runs a placeholder.
        for (key, old) in before.payloads.iter().filter(|(_, old)| !old.synthetic) {
            let new = release.payloads.get(key).map(|new| new.id.clone());
            if new.as_ref() == Some(&old.id) {
                continue;
            }
            let is_first = first_holders.insert((key.clone(), old.id.clone()));
            let (arch, scheme) = (&key.arch, &key.scheme);
            let (code, message) = if listed.contains(&(key.clone(), old.id.clone())) {
                let message = format!(
                    "upstream moved its payload on {arch} {scheme} to another release: nodes that run {} now count as that release",
                    old.id
                );
                (Code::PayloadMoved, message)
            } else if new.is_some() && !is_first {
                let message = format!(
                    "upstream changed its payload on {arch} {scheme}, which an older release shared; nodes that run {} count as that one",
                    old.id
                );
                (Code::PayloadChanged, message)
            } else if let Some(new) = new {
                // A local alias with the same id stays local.
                release.aliases.entry(key.clone()).or_default().entry(old.id.clone()).or_insert(Origin::Upstream);
                let message = format!(
                    "upstream changed its payload on {arch} {scheme} from {} to {new}; the old one is kept as an alias",
                    old.id
                );
                (Code::PayloadChanged, message)
            } else {
                release.payloads.insert(key.clone(), old.clone());
                continue;
            };
            findings.push(Finding::warning(code, format!("release {}", release.version), message));
        }
    }
}

/// Removes aliases that are now payloads. An alias that became the payload of another release is removed if it is upstream's, and a conflict
/// if it is local.
fn remove_obsolete_aliases(stream: &mut Stream, findings: &mut Vec<Finding>) -> Result<(), Conflict> {
    for release in stream.releases.iter_mut().map(|release| &mut **release) {
        for (key, ids) in &mut release.aliases {
            let own = release.payloads.get(key).map(|payload| payload.id.clone());
            if own.is_some_and(|own| ids.remove(&own).is_some()) {
                let message =
                    format!("its alias on {} {} is now its payload upstream and was removed", key.arch, key.scheme);
                findings.push(Finding::warning(Code::AliasObsolete, format!("release {}", release.version), message));
            }
        }
        release.aliases.retain(|_, ids| !ids.is_empty());
    }
    let mut payloads = HashMap::new();
    for release in &stream.releases {
        let own = release.payloads.iter();
        payloads.extend(own.map(|(key, payload)| ((key.clone(), payload.id.clone()), release.version.clone())));
    }
    for release in stream.releases.iter_mut().map(|release| &mut **release) {
        let mut conflict = None;
        for (key, ids) in &mut release.aliases {
            ids.retain(|id, origin| {
                let Some(other) = payloads.get(&(key.clone(), id.clone())) else { return true };
                if *origin == Origin::Upstream {
                    let message =
                        format!("upstream moved {id} to {other}: nodes that run it now count as that release");
                    findings.push(Finding::warning(
                        Code::PayloadMoved,
                        format!("release {}", release.version),
                        message,
                    ));
                } else {
                    conflict = Some(format!(
                        "{id} is the payload of {other} upstream and a local alias of {}",
                        release.version
                    ));
                }
                *origin != Origin::Upstream
            });
        }
        if let Some(message) = conflict {
            return Err(Conflict(Finding::error(Code::AliasConflict, "releases.json", message)));
        }
        release.aliases.retain(|_, ids| !ids.is_empty());
    }
    Ok(())
}

/// Returns upstream's releases in upstream's order, with local ones in their positions: published releases keep their age index.
fn order_releases(present: &Stream, incoming: &Stream) -> Result<Vec<Shared<Release>>, Conflict> {
    let theirs: BTreeSet<_> = incoming.identified().into_iter().map(|(identity, _)| identity).collect();
    let marked: Vec<(&Release, bool)> =
        present.identified().into_iter().map(|(identity, release)| (release, !theirs.contains(&identity))).collect();
    let is_draft = |release: &Release| release.state == ReleaseState::Draft;
    let newest_local = marked.iter().rposition(|(release, is_local)| *is_local && !is_draft(release));
    let mut rest = incoming.releases.iter();
    let mut releases = Vec::new();
    for (release, is_local) in marked.iter().copied().take(newest_local.map_or(0, |age| age + 1)) {
        if is_local {
            releases.push(release.clone().into());
            continue;
        }
        match rest.next() {
            Some(next) if next.version == release.version => releases.push(next.clone()),
            next => {
                let message = format!(
                    "upstream lists {} in the position of {}, before a local published release, which must keep its age index",
                    next.map_or("no release", |next| next.version.as_str()),
                    release.version
                );
                return Err(Conflict(Finding::error(Code::OrderConflict, "releases.json", message)));
            }
        }
    }
    releases.extend(rest.cloned());
    let drafts = marked
        .iter()
        .filter(|(release, is_local)| *is_local && is_draft(release) && release.origin != Origin::Upstream);
    releases.extend(drafts.map(|(release, _)| Shared::from((*release).clone())));
    Ok(releases)
}

/// Keeps the local values of a release that upstream lists, too.
fn keep_local_values(before: &Release, release: &mut Release, findings: &mut Vec<Finding>) {
    let theirs = release.clone();
    release.aliases.clone_from(&before.aliases);
    release.suppressed_upstream.clone_from(&before.suppressed_upstream);
    release.predecessors.clone_from(&before.predecessors);
    release.notes.clone_from(&before.notes);
    release.artifacts.clone_from(&before.artifacts);
    release.promoted_from.clone_from(&before.promoted_from);
    let was_draft = before.state == ReleaseState::Draft;
    if was_draft {
        // It gets its position, but upstream does not publish a local draft.
        (release.state, release.origin) = (ReleaseState::Withdrawn, Origin::Local);
        let message = "upstream published this local draft; it is withdrawn here until it is published here";
        findings.push(Finding::drift(Code::DraftPublished, format!("release {}", release.version), message));
    } else if before.origin != Origin::Upstream || is_removed(before) {
        (release.state, release.origin) = (before.state, before.origin);
    }
    for policy in PolicyKind::ALL.iter().copied() {
        let is_local = before.suppressed_upstream.contains(&policy) || is_set_locally(before, policy);
        match policy {
            PolicyKind::Barrier if is_local => release.barrier.clone_from(&before.barrier),
            PolicyKind::DeadEnd if is_local => release.dead_end.clone_from(&before.dead_end),
            PolicyKind::Rollouts if is_local => release.rollouts.clone_from(&before.rollouts),
            PolicyKind::Rollouts => release.rollouts = with_pauses(&before.rollouts, &release.rollouts),
            _ => {}
        }
    }
    let drift = |code: Code, message: String| Finding::drift(code, format!("release {}", release.version), message);
    let kept_local =
        |what: &str| drift(Code::LocalValueKept, format!("local {what} kept, upstream has a different value"));
    // A release that upstream had removed has a finding of its own.
    if !was_draft && release.state != theirs.state && !is_removed(before) {
        findings.push(kept_local("state"));
    }
    let reasons = [
        (
            "barrier",
            release.barrier.as_ref().map(|local| &local.reason),
            theirs.barrier.as_ref().map(|theirs| &theirs.reason),
        ),
        (
            "dead end",
            release.dead_end.as_ref().map(|local| &local.reason),
            theirs.dead_end.as_ref().map(|theirs| &theirs.reason),
        ),
    ];
    for (what, local, theirs) in reasons {
        match (local, theirs) {
            (local, theirs) if local == theirs => {}
            (None, Some(reason)) => findings.push(drift(
                Code::RemovedHere,
                format!(
                    "upstream marks it as a {what} ({}), which was removed here and stays removed",
                    reason.as_str()
                ),
            )),
            _ => findings.push(kept_local(what)),
        }
    }
    if !have_same_plans(&release.rollouts, &theirs.rollouts) {
        findings.push(kept_local("rollouts"));
    }
}

/// Returns upstream's rollouts with local pauses. If upstream's new plan would have a larger share at the time of a pause, or selects other
/// nodes, the paused plan is kept.
fn with_pauses(before: &[Rollout], theirs: &[Rollout]) -> Vec<Rollout> {
    let has_local_state = |rollout: &Rollout| rollout.state != RolloutState::Active || rollout.clock.stood_still > 0;
    if !before.iter().any(has_local_state) {
        return theirs.to_vec();
    }
    let same_nodes = |(before, theirs): (&Rollout, &Rollout)| before.selector == theirs.selector;
    if before.len() != theirs.len() || !before.iter().zip(theirs).all(same_nodes) {
        return before.to_vec();
    }
    let pairs = before.iter().zip(theirs);
    let merged = pairs.map(|(before, theirs)| {
        let updated = Rollout { id: before.id, state: before.state, clock: before.clock, ..theirs.clone() };
        match before.state {
            RolloutState::Paused { at } if updated.planned_share(at) > before.planned_share(at) => before.clone(),
            _ => updated,
        }
    });
    merged.collect()
}

fn is_set_locally(release: &Release, policy: PolicyKind) -> bool {
    let is_local = |origin: Origin| origin != Origin::Upstream;
    match policy {
        PolicyKind::Barrier => release.barrier.as_ref().is_some_and(|barrier| is_local(barrier.origin)),
        PolicyKind::DeadEnd => release.dead_end.as_ref().is_some_and(|dead_end| is_local(dead_end.origin)),
        PolicyKind::Rollouts => release.rollouts.iter().any(|rollout| is_local(rollout.origin)),
    }
}

/// Returns true if rollouts differ at most in their origins.
fn have_same_plans(local: &[Rollout], theirs: &[Rollout]) -> bool {
    let same = |(local, theirs): (&Rollout, &Rollout)| {
        (&local.selector, &local.ramp, local.state, local.clock.stood_still)
            == (&theirs.selector, &theirs.ramp, theirs.state, theirs.clock.stood_still)
    };
    local.len() == theirs.len() && local.iter().zip(theirs).all(same)
}
