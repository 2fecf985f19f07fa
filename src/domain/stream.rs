//! Streams: ordered lists of releases that nodes follow, with their policies and settings.

use super::{
    admission::{emergency_stop::EmergencyStop, protection::Protection},
    base::Base,
    description::Description,
    epoch::Epoch,
    follow::Follow,
    hash::ContentHash,
    ids::{Arch, StreamId, Version},
    payload::{Repository, Scheme},
    policy::{blocked_update::BlockedUpdate, graph_rules::GraphRules},
    release::{PayloadKey, Release, ReleaseState},
    rollout::{Rollout, preset::Preset},
    shared::Shared,
    text::text_type,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

text_type!(
    /// A kind of upstream document, such as `releases`.
    SourceKind,
    32,
    "1 to 32 of a-z, 0-9 and '-'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

/// The number of a state of a stream. The first state has number 1; 0 stands for a stream that does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The complete state of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its product and name.
    pub id: StreamId,
    /// What it is for, if that is described.
    pub description: Option<Description>,
    /// The arches that it serves, including those without a release.
    pub arches: BTreeSet<Arch>,
    /// Repositories that hold the same images under the same digests.
    pub mirrors: BTreeSet<Repository>,
    /// Which updates it has, and what identifies its nodes.
    pub rules: GraphRules,
    /// Limits on how fast and when it may be opened.
    pub protection: Protection,
    /// The rollout that a draft without rollouts gets when it is published.
    pub default_rollout: Option<Preset>,
    /// The stream on which its images are built, and what it inherits from it.
    pub base: Option<Box<Base>>,
    /// The repository whose tags become releases, if it follows one.
    pub follow: Option<Box<Follow>>,
    /// The emergency stop of the stream. Nothing is offered while it is in force.
    pub stop: Option<EmergencyStop>,
    /// The stop of its product, which is no part of the stream: it is neither saved with it nor in its documents.
    pub product_stop: Option<EmergencyStop>,
    /// Oldest first: a release's age index is its position here. Drafts come last and have none.
    pub releases: Vec<Shared<Release>>,
    /// Updates that are never offered.
    pub blocked_updates: Vec<BlockedUpdate>,
    /// The upstream documents that this state was imported from.
    pub sources: BTreeMap<SourceKind, ContentHash>,
}

impl Stream {
    /// Builds an empty stream.
    #[must_use]
    pub fn empty(id: StreamId) -> Self {
        Self {
            id,
            description: None,
            arches: BTreeSet::new(),
            mirrors: BTreeSet::new(),
            rules: GraphRules::default(),
            protection: Protection::default(),
            default_rollout: None,
            base: None,
            follow: None,
            stop: None,
            product_stop: None,
            releases: Vec::new(),
            blocked_updates: Vec::new(),
            sources: BTreeMap::new(),
        }
    }

    /// Returns the emergency stop in force, of the stream or of its product. If both are stopped, it is the earlier one, because plan time
    /// is frozen from its start.
    #[must_use]
    pub fn active_stop(&self) -> Option<&EmergencyStop> {
        self.stop.iter().chain(&self.product_stop).min_by_key(|stop| stop.since)
    }

    /// Returns the releases that are not drafts, with their ages.
    #[must_use]
    pub fn aged(&self) -> impl DoubleEndedIterator<Item = (usize, &Release)> {
        let releases = self.releases.iter().enumerate().map(|(age, release)| (age, &**release));
        releases.filter(|(_, release)| release.state != ReleaseState::Draft)
    }

    /// Returns the releases with what identifies them: the version and the number of earlier releases with the same version. Only upstream
    /// lists a version more than once.
    #[must_use]
    pub fn identified(&self) -> Vec<((&Version, usize), &Release)> {
        let mut seen: BTreeMap<&Version, usize> = BTreeMap::new();
        let mut occurrence = |version| {
            let times = seen.entry(version).or_default();
            *times += 1;
            *times - 1
        };
        self.releases.iter().map(|release| ((&release.version, occurrence(&release.version)), &**release)).collect()
    }

    /// Returns what identifies the releases that are not drafts, oldest first.
    pub fn aged_identities(&self) -> impl Iterator<Item = (&Version, usize)> {
        let aged = self.identified().into_iter().filter(|(_, release)| release.state != ReleaseState::Draft);
        aged.map(|(identity, _)| identity)
    }

    /// Returns the index of a version, which is its age unless the release is a draft. If upstream lists the version twice, it is the index
    /// of the older release.
    #[must_use]
    pub fn position_of(&self, version: &Version) -> Option<usize> {
        self.releases.iter().position(|release| release.version == *version)
    }

    /// Returns the index of each version, like [`positions`].
    #[must_use]
    pub fn positions(&self) -> HashMap<&Version, usize> {
        positions(&self.releases)
    }

    /// Returns the arches and schemes of all payloads, drafts excluded.
    #[must_use]
    pub fn payload_keys(&self) -> BTreeSet<&PayloadKey> {
        self.aged().flat_map(|(_, release)| release.payloads.keys()).collect()
    }

    /// Returns every arch that the stream serves or has a payload for.
    #[must_use]
    pub fn known_arches(&self) -> BTreeSet<&Arch> {
        let with_payload = self.payload_keys().into_iter().map(|key| &key.arch);
        self.arches.iter().chain(with_payload).collect()
    }

    /// Returns every scheme with a payload, drafts excluded.
    #[must_use]
    pub fn schemes(&self) -> BTreeSet<&Scheme> {
        self.payload_keys().into_iter().map(|key| &key.scheme).collect()
    }

    /// Returns true if any payload is a placeholder (synthetic), drafts excluded.
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.aged().any(|(_, release)| release.is_synthetic())
    }
}

impl Stream {
    /// Copies the releases one after the other, so that a state that is kept for long takes no more memory than it needs.
    #[must_use]
    pub fn compacted(mut self) -> Self {
        let releases = std::mem::take(&mut self.releases);
        // Not collected from the iterator of the old vector, which would be used again.
        self.releases.reserve_exact(releases.len());
        self.releases.extend(releases.iter().map(|release| Shared::from(release.copied())));
        self
    }

    /// Returns the time that plans have reached: `now`, or the start of the emergency stop that is in force.
    #[must_use]
    pub fn plan_time(&self, now: Epoch) -> Epoch {
        self.active_stop().map_or(now, |stop| stop.since.min(now))
    }

    /// Returns the stream with all stops lifted: the previous offers are restored, and rollouts that would open further are paused at the
    /// start of the stop.
    #[must_use]
    pub fn lifted(&self, now: Epoch) -> Self {
        let mut lifted = self.clone();
        lifted.pause_at_stop(now);
        (lifted.stop, lifted.product_stop) = (None, None);
        lifted
    }

    /// Pauses the rollouts that would open further, at the start of the stop that is in force, or at `now` if the start is in the future
    /// because the clock of another process is ahead.
    pub fn pause_at_stop(&mut self, now: Epoch) {
        if self.active_stop().is_none() {
            return;
        }
        let reached = self.plan_time(now);
        // Only releases that change are written: the others stay shared with other states.
        let opens =
            |release: &Shared<Release>| release.rollouts.iter().any(|rollout| rollout.opens_further_after(reached));
        for release in self.releases.iter_mut().filter(|release| opens(release)) {
            for rollout in &mut release.rollouts {
                pause_if_opening(rollout, reached);
            }
        }
    }
}

fn pause_if_opening(rollout: &mut Rollout, at: Epoch) {
    if rollout.opens_further_after(at)
        && let Ok(paused) = rollout.pause(at)
    {
        *rollout = paused;
    }
}
/// Returns the index of each version, which is that of the oldest release if upstream lists it more than once.
#[must_use]
pub fn positions(releases: &[Shared<Release>]) -> HashMap<&Version, usize> {
    // Of equal keys, the last one stays.
    releases.iter().enumerate().rev().map(|(index, release)| (&release.version, index)).collect()
}
