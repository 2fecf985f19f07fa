//! Where upstream's documents are read from: a folder or a web site laid out as upstream's, or single files.

use super::model::{ModelError, Modelled, model};
use crate::{
    domain::stream::{StreamId, StreamName},
    protocol::fcos::{
        documents::Kind,
        wire::{self, WireError},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;

/// The most bytes that a document may have.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// How long a document may take to arrive.
const FETCH_TIMEOUT: Duration = Duration::from_mins(1);

/// A document that could not be had.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{place}")]
    Io {
        /// Which.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The site did not give it.
    #[error("{place}")]
    Http {
        /// Which.
        place: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The site answered with something else.
    #[error("{place}: the site answered {status}")]
    Status {
        /// Which.
        place: String,
        /// The status.
        status: u16,
    },
    /// It is larger than a document may be.
    #[error("{place}: is larger than {MOST_BYTES} bytes")]
    TooLarge {
        /// Which.
        place: String,
    },
    /// There is no such document.
    #[error("{place}: there is no such document")]
    Missing {
        /// Which.
        place: String,
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
    /// The folder holds no stream.
    #[error("{}: no prod/streams/<stream>/releases.json lies there", _0.display())]
    NoStreams(PathBuf),
    /// The address is none.
    #[error("{0} is not an address that documents can be had from")]
    Address(String),
}

/// Where documents are.
#[derive(Debug, Clone)]
pub enum Location {
    /// Below a folder.
    Folder(PathBuf),
    /// Below an address.
    Site {
        /// The address, which ends in a slash.
        base: reqwest::Url,
        /// What asks for them.
        client: reqwest::Client,
    },
}

/// The streams of Fedora CoreOS that everybody may follow.
const PRODUCTION: [&str; 3] = ["next", "stable", "testing"];

impl Location {
    /// A folder, or an `http://` or `https://` address.
    ///
    /// # Errors
    /// It looks like an address and is none.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(Self::Folder(text.into()));
        }
        let with_slash = format!("{}/", text.trim_end_matches('/'));
        let base = with_slash.parse().map_err(|_| SourceError::Address(text.into()))?;
        let client = client().map_err(|source| SourceError::Http { place: text.into(), source })?;
        Ok(Self::Site { base, client })
    }

    /// The streams that are there: those of a folder are looked up, a site is taken to have the production streams.
    ///
    /// # Errors
    /// The folder cannot be read or has none.
    pub fn streams(&self) -> Result<Vec<StreamName>, SourceError> {
        let Self::Folder(folder) = self else {
            return Ok(PRODUCTION.iter().filter_map(|name| StreamName::parse(name).ok()).collect());
        };
        let parent = folder.join("prod/streams");
        let entries = std::fs::read_dir(&parent)
            .map_err(|source| SourceError::Io { place: parent.display().to_string(), source })?;
        let mut streams: Vec<StreamName> = entries
            .filter_map(|entry| StreamName::parse(&entry.ok()?.file_name().to_string_lossy()).ok())
            .filter(|stream| folder.join(Kind::Releases.path(stream)).is_file())
            .collect();
        streams.sort();
        if streams.is_empty() { Err(SourceError::NoStreams(folder.clone())) } else { Ok(streams) }
    }

    /// Where a document is, for people.
    #[must_use]
    pub fn place(&self, path: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(path).display().to_string(),
            Self::Site { base, .. } => format!("{base}{path}"),
        }
    }

    /// A document, if there is such.
    ///
    /// # Errors
    /// It cannot be read, or is too large.
    pub async fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::Folder(folder) => match read(&folder.join(path)) {
                Ok(content) => Ok(Some(content)),
                Err(SourceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Self::Site { client, .. } => {
                let place = self.place(path);
                let failed =
                    |source: reqwest::Error| SourceError::Http { place: place.clone(), source: source.without_url() };
                let mut response = client.get(&place).send().await.map_err(failed)?;
                match response.status().as_u16() {
                    200 => {}
                    404 | 410 => return Ok(None),
                    status => return Err(SourceError::Status { place, status }),
                }
                let mut content = Vec::new();
                while let Some(chunk) = response.chunk().await.map_err(failed)? {
                    content.extend_from_slice(&chunk);
                    if content.len() as u64 > MOST_BYTES {
                        return Err(SourceError::TooLarge { place });
                    }
                }
                Ok(Some(content))
            }
        }
    }
}

/// What asks other servers.
///
/// # Errors
/// The machine's certificates cannot be read.
pub fn client() -> reqwest::Result<reqwest::Client> {
    // A provider chosen before stays; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
        .timeout(FETCH_TIMEOUT)
        .build()
}

/// The two documents from which graphs are made, as files.
#[derive(Debug, Clone)]
pub struct GraphFiles {
    /// `releases.json`.
    pub releases: PathBuf,
    /// `updates.json`.
    pub updates: PathBuf,
    /// The stream metadata, if there is any: it may name arches that have no release yet.
    pub metadata: Option<PathBuf>,
}

impl GraphFiles {
    /// Where they lie in a folder laid out as upstream's.
    #[must_use]
    pub fn below(folder: &Path, stream: &StreamName) -> Self {
        let [releases, updates, metadata] =
            [Kind::Releases, Kind::Updates, Kind::Stream].map(|kind| folder.join(kind.path(stream)));
        Self { releases, updates, metadata: Some(metadata).filter(|path| path.is_file()) }
    }

    /// Reads them and makes a stream of them.
    ///
    /// # Errors
    /// A document is missing, broken, or of another stream.
    pub fn read(&self, id: &StreamId) -> Result<Modelled, SourceError> {
        let releases: wire::Releases = parsed(&self.releases.display().to_string(), &read(&self.releases)?)?;
        let updates: wire::Updates = parsed(&self.updates.display().to_string(), &read(&self.updates)?)?;
        let mut modelled = model(id, &releases, &updates)?;
        if let Some(path) = &self.metadata {
            modelled.add_metadata(&parsed(&path.display().to_string(), &read(path)?)?)?;
        }
        Ok(modelled)
    }
}

/// A JSON document of upstream's.
///
/// # Errors
/// It is not what it should be; the error names document and field.
pub fn parsed<T: serde::de::DeserializeOwned>(place: &str, text: &[u8]) -> Result<T, SourceError> {
    wire::from_json(text).map_err(|source| SourceError::Wire { place: place.into(), source })
}

/// A whole file, if it is not larger than a document may be.
fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let place = path.display().to_string();
    let failed = |source| SourceError::Io { place: place.clone(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
        return Err(SourceError::TooLarge { place });
    }
    std::fs::read(path).map_err(failed)
}
