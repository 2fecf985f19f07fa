//! Sources of upstream's documents: a folder or a web site in upstream's layout, or single files.

pub use super::error::{MAX_BYTES, SourceError};

use super::{model::Modelled, texts::Texts};
use crate::{
    domain::ids::{StreamId, StreamName},
    files,
    outbound::{self, BodyError},
    protocol::fcos::documents::Kind,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The location of a set of documents.
#[derive(Debug, Clone)]
pub enum Location {
    /// Below a folder.
    Folder(PathBuf),
    /// Below a URL.
    Site {
        /// The URL, which ends in a slash.
        base: reqwest::Url,
        /// The HTTP client to fetch with.
        client: reqwest::Client,
    },
}

/// The production streams of Fedora CoreOS.
const PRODUCTION: [&str; 3] = ["next", "stable", "testing"];

impl Location {
    /// Parses a folder, or an `http://` or `https://` URL.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(Self::Folder(text.into()));
        }
        let with_slash = format!("{}/", text.trim_end_matches('/'));
        let base = with_slash.parse().map_err(|_| SourceError::Address(text.into()))?;
        let client = outbound::client().map_err(|source| SourceError::Http { location: text.into(), source })?;
        Ok(Self::Site { base, client })
    }

    /// Returns the streams at this location: the ones found in a folder, or the production streams of a site.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or has no streams.
    pub fn streams(&self) -> Result<Vec<StreamName>, SourceError> {
        let Self::Folder(folder) = self else {
            return Ok(PRODUCTION.iter().filter_map(|name| StreamName::parse(name).ok()).collect());
        };
        let parent = folder.join("prod/streams");
        let entries = std::fs::read_dir(&parent)
            .map_err(|source| SourceError::Io { location: parent.display().to_string(), source })?;
        let mut streams: Vec<StreamName> = entries
            .filter_map(|entry| StreamName::parse(&entry.ok()?.file_name().to_string_lossy()).ok())
            .filter(|stream| folder.join(Kind::Releases.path(stream)).is_file())
            .collect();
        streams.sort();
        if streams.is_empty() { Err(SourceError::NoStreams(folder.clone())) } else { Ok(streams) }
    }

    /// Returns the path or URL of a document, for messages.
    #[must_use]
    pub fn resolve(&self, path: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(path).display().to_string(),
            Self::Site { base, .. } => format!("{base}{path}"),
        }
    }

    /// Reads a document. Returns nothing if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the document cannot be read or is too large.
    pub async fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::Folder(folder) => match read(&folder.join(path)) {
                Ok(content) => Ok(Some(content)),
                Err(SourceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Self::Site { client, .. } => {
                let location = self.resolve(path);
                let failed = |source: reqwest::Error| SourceError::Http {
                    location: location.clone(),
                    source: source.without_url(),
                };
                let response = client.get(&location).send().await.map_err(failed)?;
                match response.status().as_u16() {
                    200 => {}
                    404 | 410 => return Ok(None),
                    status => return Err(SourceError::Status { location, status }),
                }
                match outbound::body(response, MAX_BYTES).await {
                    Ok(content) => Ok(Some(content)),
                    Err(BodyError::Http(error)) => Err(failed(error)),
                    Err(_) => Err(SourceError::TooLarge { location }),
                }
            }
        }
    }
}

/// The files that a graph is built from.
#[derive(Debug, Clone)]
pub struct GraphFiles {
    /// `releases.json`.
    pub releases: PathBuf,
    /// `updates.json`.
    pub updates: PathBuf,
    /// The stream metadata, if it exists: it may name architectures that have no release yet.
    pub metadata: Option<PathBuf>,
}

impl GraphFiles {
    /// Returns the paths of a stream's files in a folder with upstream's layout.
    #[must_use]
    pub fn below(folder: &Path, stream: &StreamName) -> Self {
        let [releases, updates, metadata] =
            [Kind::Releases, Kind::Updates, Kind::Stream].map(|kind| folder.join(kind.path(stream)));
        Self { releases, updates, metadata: Some(metadata).filter(|path| path.is_file()) }
    }

    /// Reads the files and builds a stream from them.
    ///
    /// # Errors
    /// Returns an error if a document is missing or invalid, or belongs to another stream.
    pub fn read(&self, id: &StreamId) -> Result<Modelled, SourceError> {
        let mut texts = Texts::default();
        for (kind, path) in [
            (Kind::Releases, Some(&self.releases)),
            (Kind::Updates, Some(&self.updates)),
            (Kind::Stream, self.metadata.as_ref()),
        ] {
            if let Some(path) = path {
                texts.insert(kind, path.display().to_string(), read(path)?);
            }
        }
        texts.model(id)
    }
}

/// Reads a file of at most [`MAX_BYTES`].
fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    let location = path.display().to_string();
    files::read(path, MAX_BYTES as u64).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => SourceError::TooLarge { location },
        _ => SourceError::Io { location, source },
    })
}
