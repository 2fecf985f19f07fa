//! What a look needs, and why it fails.

use crate::{
    domain::{follow::Follow, stream::Stream},
    manage::{Manage, ReadError},
    registry::{ReferenceError, Registries, RegistryError},
    store::{Store, StoreError, follows::DueFollow},
};
use jiff::SignedDuration;
use std::time::Duration;
use thiserror::Error;

/// The longest time of a look.
pub(super) const MAX_TIME: Duration = Duration::from_mins(2);
/// The longest text of an error that is saved, in characters.
const MAX_ERROR: usize = 500;

/// Looks at repositories.
pub(super) struct Looker {
    pub(super) store: Store,
    pub(super) manage: Manage,
    pub(super) registries: Registries,
    pub(super) interval: SignedDuration,
}

/// Why a look failed.
#[derive(Debug, Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry has a list of tags, and none of them can be asked for.
    #[error("no tag can be read: {0}")]
    NoTag(String),
    /// The stream follows what is not a repository.
    #[error("follow.image {0}")]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream was not read.
    #[error(transparent)]
    Read(ReadError),
    #[error("the look did not end within {} seconds", MAX_TIME.as_secs())]
    Timeout,
}

impl LookError {
    /// Returns the error for viewers of the stream.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Registry(error) => shown(error),
            error => with_causes(error.to_string(), error),
        }
    }

    /// Returns the error for the log.
    pub(super) fn logged(&self) -> String {
        with_causes(self.to_string(), self)
    }
}

/// Returns the error of a registry for viewers of a stream.
pub(super) fn shown(error: &RegistryError) -> String {
    with_causes(error.without_paths(), error)
}

/// Returns the text of an error with its causes, on one line and cut to a length: registries choose parts of it.
fn with_causes(text: String, error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    shortened(&causes.fold(text, |text, cause| format!("{text}: {cause}")))
}

/// Returns a text on one line, cut to a length.
pub(super) fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ERROR).collect()
}

/// Returns what a stream follows, if it is what the look is for.
pub(super) fn followed<'a>(stream: &'a Stream, due: &DueFollow) -> Option<&'a Follow> {
    let follow = stream.follow.as_deref()?;
    (follow.image.as_str() == due.image && follow.tags.as_str() == due.tags).then_some(follow)
}

impl From<ReadError> for LookError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            error => Self::Read(error),
        }
    }
}
