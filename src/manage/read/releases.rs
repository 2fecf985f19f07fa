//! Releases of a stream.

use super::{
    access::ReadError,
    streams::{StreamAtRevision, StreamReader},
};
use crate::domain::{
    ids::Version,
    release::Release,
    shared::Shared,
    stream::{Revision, Stream},
};
use std::sync::Arc;

/// A release in the present state of its stream.
#[derive(Debug, Clone)]
pub struct ReleaseAtRevision {
    /// The revision of the stream.
    pub revision: Revision,
    /// The stream.
    pub stream: Arc<Stream>,
    /// The position of the release in the stream, which is its age index unless it is a draft.
    pub position: usize,
    /// The release.
    pub release: Shared<Release>,
}

impl StreamReader<'_> {
    /// Returns a release. If upstream lists the version twice, it is the older release.
    ///
    /// # Errors
    /// The stream or the release does not exist, or the database failed.
    pub async fn release(&self, version: &Version) -> Result<ReleaseAtRevision, ReadError> {
        let StreamAtRevision { revision, stream } = self.present().await?;
        let found = stream.position_of(version).and_then(|position| {
            let release = stream.releases.get(position)?.clone();
            Some((position, release))
        });
        let none = || ReadError::NotFound(format!("there is no release {version} of {}", self.id));
        let (position, release) = found.ok_or_else(none)?;
        Ok(ReleaseAtRevision { revision, stream, position, release })
    }
}
