//! Upstream's documents made into a stream, and what is odd about them.

use crate::{
    domain::{
        arch::Arch,
        barrier::Barrier,
        dead_end::DeadEnd,
        duration::Minutes,
        epoch::Epoch,
        finding::Finding,
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        ramp::{Course, Ramp},
        reason::Reason,
        release::{PayloadKey, Release},
        rollout::{Rollout, RolloutState},
        selector::Selector,
        share::Share,
        stream::{Stream, StreamId},
        version::Version,
    },
    protocol::fcos::wire::{self, Policies, Releases, StreamMetadata, Updates},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};
use thiserror::Error;

/// A value that cannot be taken, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{document}: {path}: {message}")]
pub struct ModelError {
    /// Which document.
    pub document: &'static str,
    /// The field.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// A stream as upstream tells it, and what is odd about the telling.
#[derive(Debug, Clone, PartialEq)]
pub struct Modelled {
    /// The stream.
    pub stream: Stream,
    /// Oddities, evaluated as the contract says.
    pub findings: Vec<Finding>,
}

/// Makes a stream of the release index and the policies.
///
/// # Errors
/// A value is one that nobody could mean, such as an empty version, or the documents are of another stream.
pub fn model(id: &StreamId, releases: &Releases, updates: &Updates) -> Result<Modelled, ModelError> {
    same_stream("releases.json", id, releases.stream.as_deref())?;
    same_stream("updates.json", id, updates.stream.as_deref())?;
    let mut findings = Vec::new();
    let mut stream = Stream::empty(id.clone());
    let policies = merged(updates, &mut findings);
    for (index, entry) in releases.releases.iter().enumerate() {
        let path = format!("releases[{index}]");
        let version = parsed("releases.json", format!("{path}.version"), &entry.version, Version::parse)?;
        let mut release = Release::published(version, Origin::Upstream);
        release.payloads = payloads(&path, entry, &mut findings)?;
        if let Some((path, policies)) = policies.get(&*entry.version) {
            apply(path, policies, &mut release, &mut findings)?;
        }
        stream.releases.push(release);
    }
    find_repeated(&stream, &mut findings);
    let versions: BTreeSet<&str> = releases.releases.iter().map(|entry| &*entry.version).collect();
    for (version, (path, _)) in policies.iter().filter(|(version, _)| !versions.contains(**version)) {
        let message = format!("{version} is not in releases.json; its policies have no effect");
        findings.push(Finding::warning(format!("updates.json: {path}"), message));
    }
    stream.arches = stream.known_arches().into_iter().cloned().collect();
    Ok(Modelled { stream, findings })
}

impl Modelled {
    /// Adds what the stream metadata tells: arches, with or without a release yet.
    ///
    /// # Errors
    /// It is of another stream.
    pub fn add_metadata(&mut self, metadata: &StreamMetadata) -> Result<(), ModelError> {
        same_stream("the stream metadata", &self.stream.id, Some(&metadata.stream))?;
        let arches = metadata.architectures.keys().filter_map(|arch| Arch::parse(arch).ok());
        self.stream.arches.extend(arches);
        Ok(())
    }
}

/// The stream named in a document must be the one that it is read for.
fn same_stream(document: &'static str, id: &StreamId, named: Option<&str>) -> Result<(), ModelError> {
    match named {
        Some(named) if named != id.stream.as_str() => Err(ModelError {
            document,
            path: "stream".into(),
            message: format!("is {named:?}, the document was to be of {:?}", id.stream),
        }),
        _ => Ok(()),
    }
}

fn parsed<T, E: Display>(
    document: &'static str,
    path: String,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, ModelError> {
    parse(text).map_err(|error| ModelError { document, path, message: error.to_string() })
}

/// Entries repeated for one version merge, later keys win (rule 2 of the wire contract).
fn merged<'a>(updates: &'a Updates, findings: &mut Vec<Finding>) -> BTreeMap<&'a str, (String, Policies)> {
    let mut merged: BTreeMap<&str, (String, Policies)> = BTreeMap::new();
    for (index, entry) in updates.releases.iter().enumerate() {
        let path = format!("releases[{index}]");
        let Some((_, policies)) = merged.get_mut(&*entry.version) else {
            merged.insert(&entry.version, (path, entry.metadata.clone()));
            continue;
        };
        let message = format!("{} stands there before; the entries are merged", entry.version);
        findings.push(Finding::warning(format!("updates.json: {path}"), message));
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

/// Of several payloads for one arch the last that is not empty counts (rule 1).
fn payloads(
    path: &str,
    entry: &wire::Release,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<PayloadKey, Payload>, ModelError> {
    let commits = entry.commits.iter().enumerate().map(|(index, commit)| {
        (format!("{path}.commits[{index}]"), Scheme::checksum(), &commit.architecture, &commit.checksum)
    });
    let images = entry.oci_images.iter().enumerate().map(|(index, image)| {
        (format!("{path}.oci-images[{index}]"), Scheme::oci(), &image.architecture, &image.digest_ref)
    });
    let mut payloads = BTreeMap::new();
    for (path, scheme, arch, id) in commits.chain(images) {
        let mut odd = |message: String| findings.push(Finding::warning(format!("releases.json: {path}"), message));
        let arch = match Arch::parse(arch) {
            Ok(arch) => arch,
            Err(error) => {
                odd(format!("the architecture {error}; the payload is left out"));
                continue;
            }
        };
        if id.is_empty() {
            odd("the payload is empty; it is left out".into());
            continue;
        }
        let id = parsed("releases.json", path.clone(), id, PayloadId::parse)?;
        let key = PayloadKey { arch, scheme };
        let told = format!("is not the first {} payload for {}; the last counts", key.scheme, key.arch);
        if payloads.insert(key, Payload { id, synthetic: false }).is_some() {
            odd(told);
        }
    }
    Ok(payloads)
}

fn apply(
    path: &str,
    policies: &Policies,
    release: &mut Release,
    findings: &mut Vec<Finding>,
) -> Result<(), ModelError> {
    let path = format!("{path}.metadata");
    let mut odd = |place: &str, message: String| {
        findings.push(Finding::warning(format!("updates.json: {path}.{place}"), message));
    };
    let mut reason = |place: &str, given: &wire::Reason| {
        if given.reason.is_empty() {
            odd(&format!("{place}.reason"), "is empty; agents are told \"generic\"".into());
        }
        parsed("updates.json", format!("{path}.{place}.reason"), &given.reason, Reason::recorded)
    };
    let origin = Origin::Upstream;
    if let Some(barrier) = &policies.barrier {
        release.barrier = Some(Barrier { reason: reason("barrier", barrier)?, arches: None, origin });
    }
    if let Some(dead_end) = &policies.deadend {
        release.dead_end = Some(DeadEnd { reason: reason("deadend", dead_end)?, arches: None, origin });
    }
    let Some(rollout) = &policies.rollout else { return Ok(()) };
    let start_share = match rollout.start_percentage {
        None => None,
        Some(share) => {
            let share = Share::recorded(share).map_err(|error| ModelError {
                document: "updates.json",
                path: format!("{path}.rollout.start_percentage"),
                message: error.to_string(),
            })?;
            if !share.is_in_range() {
                odd("rollout.start_percentage", format!("is {}, though 1 means everybody", share.get()));
            }
            Some(share)
        }
    };
    if rollout.duration_minutes == Some(0) {
        odd("rollout.duration_minutes", "is 0; it counts as 1".into());
    }
    let course = match rollout.duration_minutes {
        None => Course::Constant,
        Some(minutes) => Course::Linear { duration: Minutes(minutes), end_share: Share::ALL },
    };
    let ramp = Ramp { start: rollout.start_epoch.map(Epoch), start_share, course };
    release.rollouts = vec![Rollout { selector: Selector::default(), ramp, state: RolloutState::Active, origin }];
    Ok(())
}

fn find_repeated(stream: &Stream, findings: &mut Vec<Finding>) {
    let mut versions = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for (index, release) in stream.releases.iter().enumerate() {
        let place = || format!("releases.json: releases[{index}]");
        if let Some(first) = versions.insert(&release.version, index) {
            let message = format!("{} is listed at {first} too; both are served", release.version);
            findings.push(Finding::warning(place(), message));
        }
        for (key, payload) in &release.payloads {
            if let Some(first) = ids.insert((key, &payload.id), index) {
                let message = format!(
                    "has the payload of releases[{first}] on {} {}; nodes find themselves at the older",
                    key.arch, key.scheme
                );
                findings.push(Finding::warning(place(), message));
            }
        }
    }
}
