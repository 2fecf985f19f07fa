//! What a look needs, and why it fails.

use crate::{
    manage::{Manage, ReadError},
    registry::{ReferenceError, Registries, RegistryError},
    store::{Store, StoreError},
};
use jiff::SignedDuration;
use std::time::Duration;
use thiserror::Error;

/// The longest time of a look.
pub(super) const MAX_TIME: Duration = Duration::from_secs(90);
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

/// Returns an error with its causes, on one line and cut to a length: registries choose parts of it.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    shortened(&text)
}

/// Returns a text on one line, cut to a length.
pub(super) fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_ERROR).collect()
}

impl From<ReadError> for LookError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            error => Self::Read(error),
        }
    }
}
