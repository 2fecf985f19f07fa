//! Conversion of upstream's documents to a stream, with findings about unusual values.

use crate::{
    domain::{
        duration::Minutes,
        epoch::Epoch,
        finding::{Code, Finding},
        ids::{Arch, StreamId, Version},
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        policy::{barrier::Barrier, dead_end::DeadEnd},
        reason::Reason,
        release::{PayloadKey, Release},
        rollout::{
            Rollout, RolloutClock, RolloutState,
            id::RolloutId,
            ramp::{Course, Ramp},
            selector::BoxedSelector,
            share::Share,
        },
        stream::Stream,
    },
    protocol::fcos::{
        documents::Kind,
        wire::{self, Policies, Releases, StreamMetadata, Updates},
    },
};
use litemap::LiteMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};
use thiserror::Error;

/// An invalid value, and its location.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct ModelError {
    /// The document.
    pub document: Kind,
    /// The path of the field.
    pub path: String,
    /// What is wrong with the value.
    pub message: String,
}

/// The plausible times, in seconds since 1970: up to the end of the year 9999.
const CALENDAR: std::ops::RangeInclusive<i64> = 0..=253_402_300_799;

/// A stream as upstream describes it, with findings about unusual values.
#[derive(Debug, Clone, PartialEq)]
pub struct Modelled {
    /// The stream.
    pub stream: Stream,
    /// Unusual values. They are interpreted as the wire contract says.
    pub findings: Vec<Finding>,
}

/// Builds a stream from the release index and the policies.
///
/// # Errors
/// Returns an error if a value is invalid, such as an empty version, or if a document belongs to another stream.
pub fn model(id: &StreamId, releases: &Releases, updates: &Updates) -> Result<Modelled, ModelError> {
    check_stream(Kind::Releases, id, releases.stream.as_deref())?;
    check_stream(Kind::Updates, id, updates.stream.as_deref())?;
    let mut findings = Vec::new();
    let mut stream = Stream::empty(id.clone());
    let policies = merged(updates, &mut findings);
    for (index, entry) in releases.releases.iter().enumerate() {
        let path = format!("releases[{index}]");
        let version = parsed(Kind::Releases, format!("{path}.version"), &entry.version, Version::parse)?;
        let mut release = Release::published(version, Origin::Upstream);
        release.payloads = payloads(&path, entry, &mut findings)?;
        if let Some((path, policies)) = policies.get(&*entry.version) {
            apply(path, policies, &mut release, &mut findings)?;
        }
        stream.releases.push(release.into());
    }
    find_repeated(&stream, &mut findings);
    let versions: BTreeSet<&str> = releases.releases.iter().map(|entry| &*entry.version).collect();
    for (version, (path, _)) in policies.iter().filter(|(version, _)| !versions.contains(**version)) {
        let message = format!("{version} is not in releases.json; its policies have no effect");
        findings.push(Finding::warning(Code::PoliciesWithoutRelease, format!("updates.json: {path}"), message));
    }
    stream.arches = stream.known_arches().into_iter().cloned().collect();
    Ok(Modelled { stream, findings })
}

impl Modelled {
    /// Adds the architectures in the stream metadata, which may have no release yet.
    ///
    /// # Errors
    /// Returns an error if the metadata belongs to another stream.
    pub fn add_metadata(&mut self, metadata: &StreamMetadata) -> Result<(), ModelError> {
        check_stream(Kind::Stream, &self.stream.id, Some(&metadata.stream))?;
        let arches = metadata.architectures.iter().filter_map(|arch| Arch::parse(arch).ok());
        self.stream.arches.extend(arches);
        Ok(())
    }
}

/// Checks that a document belongs to the stream that it is read for.
fn check_stream(document: Kind, id: &StreamId, named: Option<&str>) -> Result<(), ModelError> {
    match named {
        Some(named) if named != id.stream.as_str() => Err(ModelError {
            document,
            path: "stream".into(),
            message: format!("is {named:?}, expected {:?}", id.stream),
        }),
        _ => Ok(()),
    }
}

fn parsed<T, E: Display>(
    document: Kind,
    path: String,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, ModelError> {
    parse(text).map_err(|error| ModelError { document, path, message: error.to_string() })
}

/// Merges repeated entries for one version; later keys win (rule 2 of the wire contract).
fn merged<'a>(updates: &'a Updates, findings: &mut Vec<Finding>) -> BTreeMap<&'a str, (String, Policies)> {
    let mut merged: BTreeMap<&str, (String, Policies)> = BTreeMap::new();
    for (index, entry) in updates.releases.iter().enumerate() {
        let path = format!("releases[{index}]");
        let Some((_, policies)) = merged.get_mut(&*entry.version) else {
            merged.insert(&entry.version, (path, entry.metadata.clone()));
            continue;
        };
        let message = format!("repeats {}; the entries are merged", entry.version);
        findings.push(Finding::warning(Code::RepeatedEntry, format!("updates.json: {path}"), message));
        let later = entry.metadata.clone();
        policies.barrier = later.barrier.or(policies.barrier.take());
        policies.deadend = later.deadend.or(policies.deadend.take());
        policies.rollout = match (policies.rollout.take(), later.rollout) {
            (Some(earlier), Some(later)) => Some(wire::Rollout {
                start_epoch: later.start_epoch.or(earlier.start_epoch),
                start_percentage: later.start_percentage.or(earlier.start_percentage),
                duration_minutes: later.duration_minutes.or(earlier.duration_minutes),
            }),
            (earlier, later) => later.or(earlier),
        };
    }
    merged
}

/// Collects the payloads of a release. If an architecture has several, the last one that is not empty counts (rule 1).
fn payloads(
    path: &str,
    entry: &wire::Release,
    findings: &mut Vec<Finding>,
) -> Result<LiteMap<PayloadKey, Payload>, ModelError> {
    let commits = entry.commits.iter().enumerate().map(|(index, commit)| {
        (format!("{path}.commits[{index}]"), Scheme::checksum(), &commit.architecture, &commit.checksum)
    });
    let images = entry.oci_images.iter().enumerate().map(|(index, image)| {
        (format!("{path}.oci-images[{index}]"), Scheme::oci(), &image.architecture, &image.digest_ref)
    });
    let mut payloads = BTreeMap::new();
    for (path, scheme, arch, id) in commits.chain(images) {
        let mut warn = |code: Code, message: String| {
            findings.push(Finding::warning(code, format!("releases.json: {path}"), message));
        };
        let arch = match Arch::parse(arch) {
            Ok(arch) => arch,
            Err(error) => {
                warn(Code::IgnoredPayload, format!("the architecture {error}; the payload is ignored"));
                continue;
            }
        };
        if id.is_empty() {
            warn(Code::IgnoredPayload, "the payload is empty and ignored".into());
            continue;
        }
        let id = parsed(Kind::Releases, path.clone(), id, PayloadId::parse)?;
        let key = PayloadKey { arch, scheme };
        let message = format!("repeats the {} payload for {}; the last one counts", key.scheme, key.arch);
        if payloads.insert(key, Payload { id, synthetic: false }).is_some() {
            warn(Code::RepeatedPayload, message);
        }
    }
    Ok(payloads.into_iter().collect())
}

fn apply(
    path: &str,
    policies: &Policies,
    release: &mut Release,
    findings: &mut Vec<Finding>,
) -> Result<(), ModelError> {
    let path = format!("{path}.metadata");
    let mut warn = |place: &str, message: String| {
        findings.push(Finding::warning(Code::UnusualValue, format!("updates.json: {path}.{place}"), message));
    };
    let mut reason = |place: &str, given: &wire::Reason| {
        if given.reason.is_empty() {
            warn(&format!("{place}.reason"), "is empty; agents see \"generic\"".into());
        }
        parsed(Kind::Updates, format!("{path}.{place}.reason"), &given.reason, Reason::from_record)
    };
    let origin = Origin::Upstream;
    if let Some(barrier) = &policies.barrier {
        release.barrier = Some(Box::new(Barrier { reason: reason("barrier", barrier)?, arches: None, origin }));
    }
    if let Some(dead_end) = &policies.deadend {
        release.dead_end = Some(Box::new(DeadEnd { reason: reason("deadend", dead_end)?, arches: None, origin }));
    }
    let Some(rollout) = &policies.rollout else { return Ok(()) };
    let start_share = match rollout.start_percentage {
        None => None,
        Some(share) => {
            let share = Share::from_record(share).map_err(|error| ModelError {
                document: Kind::Updates,
                path: format!("{path}.rollout.start_percentage"),
                message: error.to_string(),
            })?;
            if !share.is_in_range() {
                warn("rollout.start_percentage", format!("is {}, though 1 means all nodes", share.get()));
            }
            Some(share)
        }
    };
    if let Some(start) = rollout.start_epoch.filter(|start| !CALENDAR.contains(start)) {
        warn("rollout.start_epoch", format!("is {start}, not a time from 1970 to 9999; it is used unchanged"));
    }
    let end = rollout
        .start_epoch
        .unwrap_or_default()
        .saturating_add(Minutes(rollout.duration_minutes.unwrap_or(0)).seconds());
    if rollout.duration_minutes.is_some() && end > *CALENDAR.end() {
        warn("rollout.duration_minutes", "ends the rollout after the year 9999; it is used unchanged".into());
    }
    if rollout.duration_minutes == Some(0) {
        warn("rollout.duration_minutes", "is 0; it counts as 1".into());
    }
    let course = match rollout.duration_minutes {
        None => Course::Constant,
        Some(minutes) => Course::Linear { duration: Minutes(minutes), end_share: Share::ALL },
    };
    let ramp = Ramp { start: rollout.start_epoch.map(Epoch), start_share, course };
    release.rollouts = vec![Rollout {
        id: RolloutId::NEW,
        selector: BoxedSelector::default(),
        ramp,
        state: RolloutState::Active,
        clock: RolloutClock::default(),
        origin,
    }];
    Ok(())
}

fn find_repeated(stream: &Stream, findings: &mut Vec<Finding>) {
    let mut versions = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (index, release) in stream.releases.iter().enumerate() {
        let place = || format!("releases.json: releases[{index}]");
        if let Some(first) = versions.insert(&release.version, index) {
            let message = format!("{} is also listed as releases[{first}]; both are served", release.version);
            findings.push(Finding::warning(Code::RepeatedRelease, place(), message));
        }
        for (key, payload) in &release.payloads {
            if let Some(first) = ids.insert((key, &payload.id), index) {
                let message = format!(
                    "has the payload of releases[{first}] on {} {}; nodes with it count as the older release",
                    key.arch, key.scheme
                );
                findings.push(Finding::warning(Code::SharedPayload, place(), message));
            }
        }
    }
}
