//! The differences between two states of a stream.

use super::{
    document::shape::{PolicyDocument, ReleaseDocument, RolloutDocument},
    hash::ContentHash,
    ids::Version,
    origin::Origin,
    policy::blocked_update::BlockedUpdate,
    release::Release,
    stream::Stream,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use utoipa::ToSchema;

/// The changes from one state to another, in the order of their releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diff(pub Vec<Change>);

/// One change. Without `before` it is an addition, without `after` a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What changed.
    pub subject: String,
    /// The value before the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A stream as a map of named facts that can be compared. Payloads and other details of a release are only compared if the release
/// exists on both sides.
type Facts = BTreeMap<Name, String>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    position: usize,
    subject: String,
    detail: Option<String>,
}

impl Name {
    fn for_stream(subject: String) -> Self {
        Self { position: 0, subject, detail: None }
    }

    /// Returns the name of the release that this is a detail of.
    fn release(&self) -> Option<Self> {
        self.detail.as_ref().map(|_| Self { detail: None, ..self.clone() })
    }
}

impl Diff {
    /// Computes the changes from `before` to `after`.
    #[must_use]
    pub fn between(before: &Stream, after: &Stream) -> Self {
        let order = order(before, after);
        let (before, after) = (facts(before, &order), facts(after, &order));
        let is_kept = |name: &Name| before.contains_key(name) && after.contains_key(name);
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let changes = names
            .into_iter()
            .filter(|name| before.get(name) != after.get(name))
            .filter(|name| name.release().is_none_or(|release| is_kept(&release)))
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

    /// Returns true if nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Assigns each version its position in the diff: in the order of the later state, from 1. Position 0 is for the stream's settings.
fn order(before: &Stream, after: &Stream) -> BTreeMap<Version, usize> {
    let releases = before.releases.iter().chain(&after.releases);
    releases.enumerate().map(|(index, release)| (release.version.clone(), index + 1)).collect()
}

fn facts(stream: &Stream, order: &BTreeMap<Version, usize>) -> Facts {
    let mut facts = Facts::new();
    for arch in &stream.arches {
        facts.insert(Name::for_stream(format!("arch {arch}")), "served".into());
    }
    for mirror in &stream.mirrors {
        facts.insert(Name::for_stream(format!("mirror {mirror}")), "recognised".into());
    }
    facts.extend(protections(stream));
    for (kind, hash) in &stream.sources {
        facts.insert(Name::for_stream(format!("upstream document {kind}")), short(&hash.to_string()));
    }
    let document = stream.to_document();
    let mut seen: BTreeMap<&Version, usize> = BTreeMap::new();
    for (age, (release, shape)) in stream.releases.iter().zip(&document.releases).enumerate() {
        let position = order.get(&release.version).copied().unwrap_or_default();
        let times = seen.entry(&release.version).or_default();
        *times += 1;
        let subject = match *times {
            1 => format!("release {}", release.version),
            times => format!("release {} (listed again, {times})", release.version),
        };
        for (policy, value) in policies(release, shape) {
            facts.insert(Name { position, subject: format!("{subject}, {policy}"), detail: None }, value);
        }
        for (detail, value) in payloads(release) {
            facts.insert(Name { position, subject: subject.clone(), detail: Some(detail) }, value);
        }
        let value = format!("{}, age index {age} ({})", release.state.as_str(), release.origin.as_str());
        facts.insert(Name { position, subject, detail: None }, value);
    }
    for blocked in &stream.blocked_updates {
        let name = Name { position: usize::MAX, subject: blocked_subject(blocked), detail: None };
        facts.insert(name, format!("{} ({})", blocked.reason.as_str(), blocked.origin.as_str()));
    }
    facts
}

/// Lists the stream's protections. Freeze windows with equal times share one name, so they count as one fact.
fn protections(stream: &Stream) -> Vec<(Name, String)> {
    let mut facts = Vec::new();
    if let Some(shortest) = stream.protection.shortest_rollout {
        facts.push((Name::for_stream("shortest rollout".into()), shortest.to_string()));
    }
    if !stream.protection.canaries.is_empty() {
        let groups: Vec<&str> =
            stream.protection.canaries.iter().map(crate::domain::rollout::selector::Label::as_str).collect();
        facts.push((Name::for_stream("canaries".into()), groups.join(", ")));
    }
    for window in &stream.protection.freeze_windows {
        let window = window.to_document();
        let zone = window.zone.map(|zone| format!(" {zone}")).unwrap_or_default();
        let subject = format!("freeze window {} to {}{zone}", window.from, window.until);
        facts.push((Name::for_stream(subject), window.reason));
    }
    if let Some(stop) = &stream.stop {
        let since = format!("since {}: {}", stop.since, stop.reason.as_str());
        facts.push((Name::for_stream("emergency stop".into()), since));
    }
    facts
}

fn payloads(release: &Release) -> Vec<(String, String)> {
    let payloads = release.payloads.iter().map(|(key, payload)| {
        let mark = if payload.synthetic { " (synthetic)" } else { "" };
        (format!("{} {}", key.arch, key.scheme), format!("{}{mark}", payload.id))
    });
    let aliases = release.aliases.iter().flat_map(|(key, ids)| {
        ids.iter().map(move |(id, origin)| {
            (format!("alias {id}"), format!("{} {} ({})", key.arch, key.scheme, origin.as_str()))
        })
    });
    let artifacts = release.artifacts.iter().map(|(key, artifact)| {
        let sha256 = artifact.sha256.map(|hash| format!(" ({})", short(&hash.to_string()))).unwrap_or_default();
        (format!("artifact {} for {}", key.name, key.arch), format!("{}{sha256}", artifact.location))
    });
    let notes = release.notes.iter().map(|notes| {
        (
            "notes".to_owned(),
            format!(
                "{} bytes, {}",
                notes.as_str().len(),
                short(&ContentHash::from_content(notes.as_str().as_bytes()).to_string())
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
        ("barrier".into(), format!("{} ({})", describe_policy(barrier), set_by(origin)))
    });
    let dead_end = shape.dead_end.as_ref().map(|dead_end| {
        let origin = release.dead_end.as_ref().map(|dead_end| dead_end.origin);
        ("dead end".into(), format!("{} ({})", describe_policy(dead_end), set_by(origin)))
    });
    let rollouts = release.rollouts.iter().zip(&shape.rollouts).enumerate().map(|(position, (rollout, shape))| {
        (format!("rollout {}", position + 1), format!("{} ({})", describe_rollout(shape), rollout.origin.as_str()))
    });
    let suppressed_upstream =
        shape.suppressed_upstream.iter().map(|policy| (format!("upstream {policy}"), "suppressed here".into()));
    barrier.into_iter().chain(dead_end).chain(rollouts).chain(suppressed_upstream).collect()
}

fn blocked_subject(blocked: &BlockedUpdate) -> String {
    format!("blocked update {}..={} to {}", blocked.first, blocked.last, blocked.target)
}

fn describe_policy(document: &PolicyDocument) -> String {
    match &document.arches {
        Some(arches) => format!("{} (on {})", document.reason, arches.join(", ")),
        None => document.reason.clone(),
    }
}

fn describe_rollout(document: &RolloutDocument) -> String {
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

/// Writes `+` before an addition, `-` before a removal and `~` before a changed value.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, before, after } = self;
        match (before, after) {
            (None, Some(after)) => write!(f, "+ {subject}: {after}"),
            (Some(before), None) => write!(f, "- {subject}: {before}"),
            (before, after) => {
                let [before, after] = [before, after].map(|side| side.as_deref().unwrap_or_default());
                write!(f, "~ {subject}: {before} -> {after}")
            }
        }
    }
}

/// Writes one line per change.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}
