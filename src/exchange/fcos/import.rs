//! `import fcos`: upstream's documents fetched, checked, merged and made a revision, all of a stream or nothing.

use super::{
    merge::{Conflict, merge},
    model::{Modelled, model},
    source::{Location, SourceError, parsed},
};
use crate::{
    domain::{
        finding::Finding,
        stream::{SourceKind, StreamId},
    },
    manage::{Author, Change, ChangeError, Decision, KeptDocument, Manage, Outcome},
    protocol::fcos::{
        documents::Kind,
        wire::{self, ReleaseNotes, Releases, Updates},
    },
};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a stream was not imported. Nothing of it was changed then.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A document could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The change was not made.
    #[error(transparent)]
    Change(#[from] ChangeError<Conflict>),
}

/// What an import of one stream did.
#[derive(Debug)]
pub struct Report {
    /// A new revision, or none.
    pub outcome: Outcome,
    /// What is odd about upstream's documents, and what was set here and stays.
    pub findings: Vec<Finding>,
}

/// A stream's documents, and the stream that they make.
#[derive(Debug)]
pub struct Fetched {
    modelled: Modelled,
    documents: Vec<KeptDocument>,
}

/// Fetches a stream's documents and makes a stream of them.
///
/// # Errors
/// One that is needed is missing, or one cannot be read.
pub async fn fetch(location: &Location, id: &StreamId) -> Result<Fetched, SourceError> {
    let mut contents = BTreeMap::new();
    for kind in Kind::ALL {
        let path = kind.path(&id.stream);
        match location.fetch(&path).await? {
            Some(content) => drop(contents.insert(kind, (location.place(&path), content))),
            None if kind.is_needed() => return Err(SourceError::Missing { place: location.place(&path) }),
            None => {}
        }
    }
    let document =
        |kind| contents.get(&kind).ok_or_else(|| SourceError::Missing { place: Kind::path(kind, &id.stream) });
    let (place, text) = document(Kind::Releases)?;
    let releases: Releases = parsed(place, text)?;
    let (place, text) = document(Kind::Updates)?;
    let updates: Updates = parsed(place, text)?;
    let mut modelled = model(id, &releases, &updates)?;
    if let Some((place, text)) = contents.get(&Kind::Stream) {
        modelled.add_metadata(&parsed(place, text)?)?;
    }
    if let Some((place, text)) = contents.get(&Kind::ReleaseNotes) {
        let read: Result<ReleaseNotes, _> = wire::from_yaml(text);
        read.map_err(|source| SourceError::Wire { place: place.clone(), source })?;
    }
    let mut documents = Vec::new();
    for (kind, (_, content)) in contents {
        let document = KeptDocument::new(content);
        if let Ok(kind) = SourceKind::parse(kind.as_str()) {
            modelled.stream.sources.insert(kind, document.hash);
        }
        documents.push(document);
    }
    Ok(Fetched { modelled, documents })
}

/// Makes what was fetched the state of the stream, as far as nobody here set something else.
///
/// # Errors
/// It conflicts with what was set here, or the store failed.
pub async fn import(manage: &Manage, id: &StreamId, author: &Author, fetched: &Fetched) -> Result<Report, ImportError> {
    let decide = |present: Option<&crate::domain::stream::Stream>| {
        let Modelled { stream, findings } = merge(present, &fetched.modelled)?;
        Ok(Decision { stream, value: findings })
    };
    let (outcome, findings) =
        manage.change_stream(Change::of(id, author).with_documents(&fetched.documents), decide).await?;
    Ok(Report { outcome, findings })
}
