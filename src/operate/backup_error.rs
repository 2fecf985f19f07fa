//! What can be wrong with a backup.

use crate::store::{StoreError, dump::RestoreError};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why there is no backup, or it cannot be used.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is one already.
    #[error("{} is there already, and is not written over", _0.display())]
    Exists(PathBuf),
    /// It is something else.
    #[error("it is no backup that this program can read")]
    Format,
    /// It is not what was written.
    #[error("it is damaged: it is not what was written")]
    Damaged,
    /// Something has no form as JSON.
    #[error("it cannot be written")]
    Json(#[source] serde_json::Error),
    /// There is nothing to keep.
    #[error("the database has no schema: there is nothing to be kept")]
    Nothing,
    /// The rows cannot be put into the database.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }
}
