//! Errors of the private PostgreSQL.

use super::binaries;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Errors of the private PostgreSQL.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The programs are not installed.
    #[error(
        "PostgreSQL {} or later is not installed: install your system's package (Debian: apt-get install postgresql), \
             set database.postgres_bin to its folder, or set DATABASE_URL",
        binaries::OLDEST
    )]
    NotInstalled,
    /// The installed version is too old.
    #[error("{} has PostgreSQL {found}, but version {} or later is required", folder.display(), binaries::OLDEST)]
    TooOld {
        /// The folder of the programs.
        folder: PathBuf,
        /// The version that was found.
        found: String,
    },
    /// The cluster's files need another major version of the programs.
    #[error("{} was created by PostgreSQL {made_by}, which is not installed", folder.display())]
    OtherVersion {
        /// The cluster.
        folder: PathBuf,
        /// The version that created it.
        made_by: u32,
    },
    /// PostgreSQL refuses to run as root, and there is no other account for it.
    // words: "nobody" is the name of the unprivileged account
    #[error("PostgreSQL does not run as root, and this system has no user `postgres` or `nobody` to run it")]
    NoAccount,
    /// An operation on a file or folder failed.
    #[error("{what} {}", path.display())]
    Io {
        /// The failed operation.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// The program.
        program: &'static str,
        /// Its output.
        output: String,
    },
    /// A server that cannot be reached from here uses the cluster.
    #[error("{} is in use by a server that cannot be reached, perhaps in another container: stop it, or share its socket", _0.display())]
    OutOfReach(PathBuf),
    /// The path of the socket is too long.
    #[error("the path of the socket is too long: {}", _0.display())]
    SocketPath(PathBuf),
}

impl EmbeddedError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
