//! What changed between two states of a stream.

use super::{
    blocked::BlockedUpdate,
    document::shape::{PolicyDocument, ReleaseDocument, RolloutDocument},
    hash::ContentHash,
    origin::Origin,
    release::Release,
    stream::Stream,
    version::Version,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use utoipa::ToSchema;

/// The changes from one state to another, in the order of the releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diff(pub Vec<Change>);

/// One thing that changed: absent before means added, absent after means removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What it is.
    pub subject: String,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A stream as named facts, for comparison. A payload is a detail: of a release that comes or goes it is only counted.
type Facts = BTreeMap<Name, String>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    place: usize,
    subject: String,
    detail: Option<String>,
}

impl Name {
    fn of_stream(subject: String) -> Self {
        Self { place: 0, subject, detail: None }
    }

    /// The release, where this is a detail of one.
    fn whole(&self) -> Option<Self> {
        self.detail.as_ref().map(|_| Self { detail: None, ..self.clone() })
    }
}

impl Diff {
    /// What it takes to get from `before` to `after`.
    #[must_use]
    pub fn between(before: &Stream, after: &Stream) -> Self {
        let order = order(before, after);
        let (before, after) = (facts(before, &order), facts(after, &order));
        let stays = |name: &Name| before.contains_key(name) && after.contains_key(name);
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let changes = names
            .into_iter()
            .filter(|name| before.get(name) != after.get(name))
            .filter(|name| name.whole().is_none_or(|whole| stays(&whole)))
            .map(|name| Change {
                subject: match &name.detail {
                    Some(detail) => format!("{}, {detail}", name.subject),
                    None => name.subject.clone(),
                },
                before: before.get(name).cloned(),
                after: after.get(name).cloned(),
            });
        Self(changes.collect())
    }

    /// Did nothing change?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where each version is told: in the order of the later state, settings before all.
fn order(before: &Stream, after: &Stream) -> BTreeMap<Version, usize> {
    let releases = before.releases.iter().chain(&after.releases);
    releases.enumerate().map(|(place, release)| (release.version.clone(), place + 1)).collect()
}

fn facts(stream: &Stream, order: &BTreeMap<Version, usize>) -> Facts {
    let mut facts = Facts::new();
    for arch in &stream.arches {
        facts.insert(Name::of_stream(format!("arch {arch}")), "served".into());
    }
    for mirror in &stream.mirrors {
        facts.insert(Name::of_stream(format!("mirror {mirror}")), "recognised".into());
    }
    facts.extend(protections(stream));
    for (kind, hash) in &stream.sources {
        facts.insert(Name::of_stream(format!("upstream document {kind}")), short(&hash.to_string()));
    }
    let document = stream.to_document();
    let mut seen: BTreeMap<&Version, usize> = BTreeMap::new();
    for (age, (release, shape)) in stream.releases.iter().zip(&document.releases).enumerate() {
        let place = order.get(&release.version).copied().unwrap_or_default();
        let times = seen.entry(&release.version).or_default();
        *times += 1;
        let subject = match *times {
            1 => format!("release {}", release.version),
            times => format!("release {} (listed again, {times})", release.version),
        };
        for (aspect, value) in policies(release, shape) {
            facts.insert(Name { place, subject: format!("{subject}, {aspect}"), detail: None }, value);
        }
        for (detail, value) in payloads(release) {
            facts.insert(Name { place, subject: subject.clone(), detail: Some(detail) }, value);
        }
        let value = format!("{} at age {age} ({})", release.state.as_str(), release.origin.as_str());
        facts.insert(Name { place, subject, detail: None }, value);
    }
    for blocked in &stream.blocked_updates {
        let name = Name { place: usize::MAX, subject: blocked_subject(blocked), detail: None };
        facts.insert(name, format!("{} ({})", blocked.reason.as_str(), blocked.origin.as_str()));
    }
    facts
}

/// Windows that are alike are one fact.
fn protections(stream: &Stream) -> Vec<(Name, String)> {
    let mut facts = Vec::new();
    if let Some(shortest) = stream.protection.shortest_rollout {
        facts.push((Name::of_stream("shortest rollout".into()), shortest.to_string()));
    }
    for window in &stream.protection.freeze_windows {
        let window = window.to_document();
        let zone = window.zone.map(|zone| format!(" {zone}")).unwrap_or_default();
        let subject = format!("freeze window {} to {}{zone}", window.from, window.until);
        facts.push((Name::of_stream(subject), window.reason));
    }
    if let Some(stop) = &stream.stop {
        let since = format!("since {}: {}", stop.since, stop.reason.as_str());
        facts.push((Name::of_stream("emergency stop".into()), since));
    }
    facts
}

fn payloads(release: &Release) -> Vec<(String, String)> {
    let payloads = release.payloads.iter().map(|(key, payload)| {
        let mark = if payload.synthetic { " (synthetic)" } else { "" };
        (format!("{} {}", key.arch, key.scheme), format!("{}{mark}", payload.id))
    });
    let aliases = release.aliases.iter().flat_map(|(key, ids)| {
        ids.iter().map(move |id| (format!("alias {id}"), format!("{} {}", key.arch, key.scheme)))
    });
    let artifacts = release.artifacts.iter().map(|(key, artifact)| {
        let sha256 = artifact.sha256.map(|hash| format!(" ({})", short(&hash.to_string()))).unwrap_or_default();
        (format!("file {} for {}", key.name, key.arch), format!("{}{sha256}", artifact.location))
    });
    let notes = release.notes.iter().map(|notes| {
        (
            "notes".to_owned(),
            format!(
                "{} bytes, {}",
                notes.as_str().len(),
                short(&ContentHash::of(notes.as_str().as_bytes()).to_string())
            ),
        )
    });
    let promoted = release
        .promoted_from
        .iter()
        .map(|from| ("promoted".to_owned(), format!("from {} {}", from.stream, from.version)));
    payloads.chain(aliases).chain(artifacts).chain(notes).chain(promoted).collect()
}

fn policies(release: &Release, shape: &ReleaseDocument) -> Vec<(String, String)> {
    let set_by = |origin: Option<Origin>| origin.map_or("", Origin::as_str);
    let barrier = shape.barrier.as_ref().map(|barrier| {
        let origin = release.barrier.as_ref().map(|barrier| barrier.origin);
        ("barrier".into(), format!("{} ({})", policy(barrier), set_by(origin)))
    });
    let dead_end = shape.dead_end.as_ref().map(|dead_end| {
        let origin = release.dead_end.as_ref().map(|dead_end| dead_end.origin);
        ("dead end".into(), format!("{} ({})", policy(dead_end), set_by(origin)))
    });
    let rollouts = release.rollouts.iter().zip(&shape.rollouts).enumerate().map(|(position, (rollout, shape))| {
        (format!("rollout {}", position + 1), format!("{} ({})", course(shape), rollout.origin.as_str()))
    });
    let cleared = shape.cleared.iter().map(|aspect| (format!("{aspect} of upstream"), "taken away here".into()));
    barrier.into_iter().chain(dead_end).chain(rollouts).chain(cleared).collect()
}

fn blocked_subject(blocked: &BlockedUpdate) -> String {
    format!("blocked update {}..={} to {}", blocked.first, blocked.last, blocked.target)
}

fn policy(document: &PolicyDocument) -> String {
    match &document.arches {
        Some(arches) => format!("{} (on {})", document.reason, arches.join(", ")),
        None => document.reason.clone(),
    }
}

fn course(document: &RolloutDocument) -> String {
    let mut words = Vec::new();
    if let Some(selector) = &document.selector {
        let parts = [
            ("arches", &selector.arches),
            ("schemes", &selector.schemes),
            ("groups", &selector.groups),
            ("platforms", &selector.platforms),
        ];
        let parts = parts.into_iter().filter_map(|(name, set)| Some(format!("{name} {}", set.as_ref()?.join("+"))));
        words.push(format!("for {}", parts.collect::<Vec<_>>().join(", ")));
    }
    words.push(format!("from share {}", document.start_share.unwrap_or(0.0)));
    if let Some(start) = &document.start {
        words.push(format!("at {start}"));
    }
    if let Some(duration) = &document.duration {
        words.push(format!("to {} in {duration}", document.end_share.unwrap_or(1.0)));
    }
    for step in document.steps.iter().flatten() {
        words.push(format!("to {} after {}", step.share, step.after));
    }
    if let Some(state) = &document.state {
        words.push(format!(
            "({state}{})",
            document.paused_at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default()
        ));
    }
    words.join(" ")
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// One line a change: `+` added, `-` removed, `~` changed.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { subject, before, after } in &self.0 {
            match (before, after) {
                (None, Some(after)) => writeln!(f, "+ {subject}: {after}")?,
                (Some(before), None) => writeln!(f, "- {subject}: {before}")?,
                (before, after) => {
                    let [before, after] = [before, after].map(|side| side.as_deref().unwrap_or_default());
                    writeln!(f, "~ {subject}: {before} -> {after}")?;
                }
            }
        }
        Ok(())
    }
}
