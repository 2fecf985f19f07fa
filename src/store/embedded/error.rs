//! Why there is no private PostgreSQL.

use super::binaries;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why there is no private PostgreSQL.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The programs are not installed.
    #[error(
        "PostgreSQL {} or later is not installed here: install your system's package (Debian: apt-get install postgresql), \
             name its folder in database.postgres_bin, or set DATABASE_URL",
        binaries::OLDEST
    )]
    NotInstalled,
    /// The programs are too old.
    #[error("{} is PostgreSQL {found}, {} or later is needed", folder.display(), binaries::OLDEST)]
    TooOld {
        /// Where they are.
        folder: PathBuf,
        /// What they say they are.
        found: String,
    },
    /// The cluster's files are of another major version than the programs.
    #[error("{} was made by PostgreSQL {made_by}, whose programs are not to be found here", folder.display())]
    OtherVersion {
        /// The cluster.
        folder: PathBuf,
        /// Its version.
        made_by: String,
    },
    /// PostgreSQL refuses to run as root, and no other user is there.
    #[error("PostgreSQL does not run as root, and this system has neither a user postgres nor nobody")]
    NoAccount,
    /// A file or folder is not as it has to be.
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program did not do what it should.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        output: String,
    },
    /// Somebody else uses the cluster whose server cannot be reached from here.
    #[error("{} is in use out of reach, perhaps in another container: stop that first, or share its socket", _0.display())]
    OutOfReach(PathBuf),
    /// The path of the socket is longer than sockets can be.
    #[error("the socket would lie at {}, which is too long a path", _0.display())]
    SocketPath(PathBuf),
}

impl EmbeddedError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
