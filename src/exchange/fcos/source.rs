//! Where upstream's documents are read from: a folder laid out as upstream's, or single files.

use super::model::{ModelError, Modelled, model};
use crate::{
    domain::stream::{StreamId, StreamName},
    protocol::fcos::wire::{self, WireError},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The most bytes that a document may have.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A document that could not be had.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{}", place.display())]
    Io {
        /// Which.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The document is not what it should be.
    #[error("{place}")]
    Wire {
        /// Which.
        place: String,
        /// What is wrong.
        source: WireError,
    },
    /// A value in it cannot be taken.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The two documents from which graphs are made.
#[derive(Debug, Clone)]
pub struct GraphFiles {
    /// `releases.json`.
    pub releases: PathBuf,
    /// `updates.json`.
    pub updates: PathBuf,
}

impl GraphFiles {
    /// Where they lie in a folder laid out as upstream's.
    #[must_use]
    pub fn below(folder: &Path, stream: &StreamName) -> Self {
        Self { releases: folder.join(releases_path(stream)), updates: folder.join(updates_path(stream)) }
    }

    /// Reads them and makes a stream of them.
    ///
    /// # Errors
    /// A document is missing, broken, or of another stream.
    pub fn read(&self, id: &StreamId) -> Result<Modelled, SourceError> {
        let releases: wire::Releases = parsed(&self.releases, &read(&self.releases)?)?;
        let updates: wire::Updates = parsed(&self.updates, &read(&self.updates)?)?;
        Ok(model(id, &releases, &updates)?)
    }
}

/// Where upstream keeps the release index of a stream.
#[must_use]
pub fn releases_path(stream: &StreamName) -> String {
    format!("prod/streams/{stream}/releases.json")
}

/// Where upstream keeps the policies of a stream.
#[must_use]
pub fn updates_path(stream: &StreamName) -> String {
    format!("updates/{stream}.json")
}

fn parsed<T: serde::de::DeserializeOwned>(place: &Path, text: &[u8]) -> Result<T, SourceError> {
    wire::from_json(text).map_err(|source| SourceError::Wire { place: place.display().to_string(), source })
}

/// A whole file, if it is not larger than a document may be.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read(place: &Path) -> Result<Vec<u8>, SourceError> {
    let error = |source| SourceError::Io { place: place.into(), source };
    let size = std::fs::metadata(place).map_err(error)?.len();
    if size > MOST_BYTES {
        let message = format!("holds {size} bytes, a document may hold {MOST_BYTES}");
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    std::fs::read(place).map_err(error)
}
