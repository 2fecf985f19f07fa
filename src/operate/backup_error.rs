//! Errors of backups.

use crate::{
    domain::{ids::StreamId, stream::Revision},
    store::{StoreError, dump::RestoreError},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Errors of writing, reading and restoring backups.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file exists.
    #[error("{} already exists: choose another file name", _0.display())]
    Exists(PathBuf),
    /// The file is not a backup, or has an unknown format.
    #[error("the file is not a backup that this program can read")]
    Format,
    /// The content does not match the checksum.
    #[error("the backup is damaged: its content does not match its checksum")]
    Damaged,
    /// The backup exceeds a limit.
    #[error("{}: {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: Limit,
    },
    /// A value cannot be serialised.
    #[error("cannot write the backup")]
    Json(#[source] serde_json::Error),
    /// A row cannot be read.
    #[error("a row of the backup cannot be read: {0}")]
    Row(String),
    /// The backup has no such stream.
    #[error("the backup has no stream {0}")]
    NoStream(StreamId),
    /// The stream was deleted before the backup.
    #[error("stream {0} is deleted in the backup: name one of its revisions")]
    DeletedStream(StreamId),
    /// The backup has no such revision.
    #[error("the backup has no revision {0} of {1}")]
    NoRevision(Revision, StreamId),
    /// The database has no schema.
    #[error("the database has no schema: there is nothing to back up")]
    NoSchema,
    /// The rows cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Limits on backups, both read and written: see `backup_file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Limit {
    /// The length of a line.
    #[error("a line has more than {0} bytes")]
    Line(usize),
    /// The length of all lines, relative to the size of the file.
    #[error("it unpacks to more than {0} bytes, which is too much for its size")]
    Total(u64),
}

impl BackupError {
    pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path: path.clone(), source }
    }
}
