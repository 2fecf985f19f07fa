//! What upstream says now, laid over what is there: what was set here wins, and what differs is reported.

use super::model::Modelled;
use crate::domain::{
    finding::Finding,
    origin::Origin,
    release::{Release, ReleaseState},
    stream::Stream,
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Why upstream's state cannot be taken as things stand here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {}", .0.place, .0.message)]
pub struct Conflict(pub Finding);

/// The stream after an import, and what is to be said of it.
///
/// # Errors
/// Upstream inserted or removed a release below one that was published here, whose age must not change; or removed one that
/// a blocked update names.
pub fn merge(present: Option<&Stream>, incoming: &Modelled) -> Result<Modelled, Conflict> {
    let Some(present) = present else { return Ok(incoming.clone()) };
    let mut findings = incoming.findings.clone();
    let mut stream = incoming.stream.clone();
    stream.arches.extend(present.arches.iter().cloned());
    stream.blocked_updates.clone_from(&present.blocked_updates);
    stream.releases = order(present, &incoming.stream)?;
    let mut known = first_by_version(present);
    for release in &mut stream.releases {
        if let Some(before) = known.remove(&release.version) {
            lay_over(before, release, &mut findings);
        }
    }
    for blocked in &stream.blocked_updates {
        for version in [&blocked.first, &blocked.last, &blocked.target] {
            if stream.position_of(version).is_none() {
                let message = format!("upstream removed {version}, which a blocked update names");
                return Err(Conflict(Finding::error("releases.json", message)));
            }
        }
    }
    Ok(Modelled { stream, findings })
}

fn first_by_version(stream: &Stream) -> BTreeMap<Version, &Release> {
    let mut releases = BTreeMap::new();
    for release in &stream.releases {
        releases.entry(release.version.clone()).or_insert(release);
    }
    releases
}

/// Upstream's releases in upstream's order, ours in their places: a release that was published here keeps its age.
fn order(present: &Stream, incoming: &Stream) -> Result<Vec<Release>, Conflict> {
    let theirs: BTreeSet<&Version> = incoming.releases.iter().map(|release| &release.version).collect();
    let is_ours = |release: &Release| release.origin != Origin::Upstream && !theirs.contains(&release.version);
    let newest_of_ours = present.aged().filter(|(_, release)| is_ours(release)).map(|(age, _)| age).next_back();
    let mut rest = incoming.releases.iter();
    let mut releases = Vec::new();
    for release in present.releases.iter().take(newest_of_ours.map_or(0, |age| age + 1)) {
        if is_ours(release) {
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
    let drafts = present.releases.iter().filter(|release| release.state == ReleaseState::Draft && is_ours(release));
    releases.extend(drafts.cloned());
    Ok(releases)
}

/// What was set here on a release that upstream has too.
fn lay_over(before: &Release, release: &mut Release, findings: &mut Vec<Finding>) {
    let mut drift = |what: &str, differs: bool| {
        if differs {
            let place = format!("release {}", release.version);
            findings
                .push(Finding::warning(place, format!("{what} was set here and differs from upstream's; ours stays")));
        }
    };
    release.aliases.clone_from(&before.aliases);
    if before.origin != Origin::Upstream {
        drift("its state", before.state != release.state);
        (release.state, release.origin) = (before.state, before.origin);
    }
    if let Some(barrier) = before.barrier.as_ref().filter(|barrier| barrier.origin != Origin::Upstream) {
        drift("its barrier", release.barrier.as_ref().is_some_and(|theirs| theirs.reason != barrier.reason));
        release.barrier = Some(barrier.clone());
    }
    if let Some(dead_end) = before.dead_end.as_ref().filter(|dead_end| dead_end.origin != Origin::Upstream) {
        drift("its dead end", release.dead_end.as_ref().is_some_and(|theirs| theirs.reason != dead_end.reason));
        release.dead_end = Some(dead_end.clone());
    }
    if before.rollouts.iter().any(|rollout| rollout.origin != Origin::Upstream) {
        drift("its rollout", before.rollouts != release.rollouts);
        release.rollouts.clone_from(&before.rollouts);
    }
}
