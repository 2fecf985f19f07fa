//! `import fcos`: fetches, checks and merges upstream's documents, and writes the result as one revision per stream.

use super::{
    merge::merge,
    metadata,
    model::{Modelled, model},
    removals::Removals,
    source::{Location, SourceError},
    texts::Texts,
};
use crate::{
    domain::{
        admission::{bounds, lint::lint, pace::pause_violating_rollouts},
        epoch::Epoch,
        finding::{Finding, Severity},
        hash::ContentHash,
        ids::StreamId,
        policy::{references, removed},
        rollout::{expired_schedule, numbering::number_rollouts},
        stream::{SourceKind, Stream},
    },
    manage::{
        Action, Command, CommandError, Manage, Next, Present, Provenance, Refusal, Report, Request, UpstreamDocument,
        records::StoreError,
    },
    protocol::fcos::{
        documents::Kind,
        wire::{self, Updates},
    },
};
use bytes::Bytes;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a stream was not imported. Nothing of it was changed.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A document could not be fetched or parsed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The change was rejected or failed.
    #[error(transparent)]
    Change(#[from] CommandError),
}

/// A stream's documents, and the stream that they describe.
#[derive(Debug)]
pub struct Fetched {
    modelled: Modelled,
    documents: Vec<UpstreamDocument>,
}

/// Fetches a stream's documents and converts them to a stream.
///
/// # Errors
/// A required document is missing, or a document cannot be fetched or parsed.
pub async fn fetch(location: &Location, id: &StreamId) -> Result<Fetched, SourceError> {
    let mut texts = Texts::default();
    for kind in Kind::ALL.iter().copied() {
        let path = kind.path(&id.stream);
        match location.fetch(&path).await? {
            Some(content) => texts.insert(kind, location.resolve(&path), content),
            None if kind.is_needed() => return Err(SourceError::Missing { location: location.resolve(&path) }),
            None => {}
        }
    }
    let mut modelled = texts.model(id)?;
    let mut documents = Vec::new();
    for (kind, content) in texts.into_contents() {
        let document = UpstreamDocument::new(content);
        if let Ok(kind) = SourceKind::parse(kind.as_str()) {
            modelled.stream.sources.insert(kind, document.hash);
        }
        documents.push(document);
    }
    Ok(Fetched { modelled, documents })
}

impl Fetched {
    fn document(&self, kind: Kind) -> Option<&[u8]> {
        let hash = self.modelled.stream.sources.get(kind.as_str())?;
        self.documents.iter().find(|document| document.hash == *hash).map(|document| &*document.content)
    }
}

/// The documents of the last import.
struct Previous {
    hashes: BTreeMap<SourceKind, ContentHash>,
    documents: BTreeMap<SourceKind, Bytes>,
    /// The stream that upstream listed.
    listed: Option<Stream>,
}

impl Previous {
    async fn read(manage: &Manage, id: &StreamId) -> Result<Option<Self>, StoreError> {
        let Some(state) = manage.states(|other| other == id).await?.pop() else { return Ok(None) };
        let listed = state.sources.get(Kind::Releases.as_str()).and_then(|text| {
            let releases = wire::from_json(text).ok()?;
            model(id, &releases, &Updates { stream: None, releases: Vec::new() }).ok()
        });
        let listed = listed.map(|modelled| modelled.stream);
        Ok(Some(Self { hashes: state.stream.sources, documents: state.sources, listed }))
    }

    /// Returns true if a stream was imported from these documents. Another import may have changed it since they were read.
    fn is_origin_of(&self, stream: &Stream) -> bool {
        self.hashes == stream.sources
    }
}

/// Returns lint errors that are new in the next state, as warnings: they do not reject an import.
fn new_lint_errors(before: &Stream, after: &Stream, now: Epoch) -> Vec<Finding> {
    let errors = |stream: &Stream| -> Vec<Finding> {
        lint(stream, now).into_iter().filter(|finding| finding.severity == Severity::Error).collect()
    };
    let known = errors(before);
    let new = errors(after).into_iter().filter(|finding| !known.contains(finding));
    new.map(|finding| Finding { severity: Severity::Warning, ..finding }).collect()
}

/// Imports what was fetched into its stream. Local values are kept. With `allow_removals`, releases that upstream no longer lists are
/// withdrawn.
///
/// # Errors
/// It conflicts with local values, it lacks published releases and removals are not allowed, or the database is unavailable.
pub async fn import(
    manage: &Manage,
    fetched: Fetched,
    allow_removals: bool,
    request: &Request<'_>,
) -> Result<Report, ImportError> {
    let previous = Previous::read(manage, &fetched.modelled.stream.id).await.map_err(CommandError::Store)?;
    Ok(manage.run(&Import { fetched, previous, allow_removals }, request).await?)
}

/// The import of a stream's documents.
struct Import {
    fetched: Fetched,
    /// The documents of the import before.
    previous: Option<Previous>,
    allow_removals: bool,
}

impl Command for Import {
    fn action(&self) -> Action {
        Action::CHANGE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.fetched.modelled.stream.id
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Upstream(&self.fetched.documents)
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (fetched, now) = (&self.fetched, present.now);
        let previous = self.previous.as_ref().zip(present.stream);
        let previous =
            previous.filter(|(previous, present)| previous.is_origin_of(present)).map(|(previous, _)| previous);
        let listed = previous.and_then(|previous| previous.listed.as_ref());
        let removals = Removals { listed, are_allowed: self.allow_removals };
        let merged = merge(present.stream, &fetched.modelled, removals);
        let Modelled { mut stream, mut findings } = merged.map_err(|conflict| Refusal::State(conflict.to_string()))?;
        let empty = Stream::empty(present.id.clone());
        let before = present.stream.unwrap_or(&empty);
        // Findings name rollouts by their ids.
        number_rollouts(before, &mut stream);
        findings.extend(bounds::findings(before, &stream));
        findings.extend(pause_violating_rollouts(before, &mut stream, now));
        findings.extend(references::findings(before, &stream));
        // Reported as drift, which sets the exit code: imports run as cron jobs.
        let lost = removed::findings(before, &stream).into_iter();
        findings.extend(lost.map(|finding| Finding { severity: Severity::Drift, ..finding }));
        let known = previous.and_then(|previous| previous.documents.get(Kind::Stream.as_str()));
        findings.extend(metadata::findings(known.map(|text| &**text), fetched.document(Kind::Stream), &stream));
        findings.extend(new_lint_errors(before, &stream, now));
        match present.stream {
            Some(present) => findings.extend(expired_schedule::findings(present, &stream, now)),
            None => findings.extend(expired_schedule::summary(&stream, now)),
        }
        Ok(Next { findings, ..stream.into() })
    }
}

#[cfg(test)]
#[path = "import_sequences_tests.rs"]
mod sequences_tests;
