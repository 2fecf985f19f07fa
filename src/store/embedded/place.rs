//! Where the private PostgreSQL keeps its files, and where its socket is.

use super::{EmbeddedError, account::Account};
use crate::domain::hash::ContentHash;
use std::{
    fs::DirBuilder,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// A path of a socket has at most 107 bytes.
const MOST_SOCKET_BYTES: usize = 107;
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The folders of one private cluster.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Locks, the log, and the cluster's folder.
    pub(super) base: PathBuf,
    /// Where the socket is: short, and closed to others.
    pub(super) socket: PathBuf,
}

impl Place {
    /// Makes the folders below the data directory, or below /var/lib where the account cannot reach that.
    pub(super) async fn prepare(data_dir: &Path, account: Account) -> Result<Self, EmbeddedError> {
        std::fs::create_dir_all(data_dir).map_err(EmbeddedError::io("could not make", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(EmbeddedError::io("could not find", data_dir))?;
        let name = short_name(&data_dir);
        let elsewhere = Path::new("/var/lib/lockkeeper").join(&name);
        // Where it was made it stays, also when the data directory can be reached one day.
        let base = if !elsewhere.is_dir() && reaches(account, &data_dir).await {
            data_dir.join("postgres")
        } else {
            let base = elsewhere;
            tracing::info!(
                data_dir = %data_dir.display(),
                instead = %base.display(),
                "the private PostgreSQL cannot reach the data directory and keeps its files elsewhere"
            );
            base
        };
        if let Some(parent) = base.parent() {
            std::fs::create_dir_all(parent).map_err(EmbeddedError::io("could not make", parent))?;
        }
        private_folder(&base, account)?;
        let socket = runtime_folder(account).join(name);
        if let Some(parent) = socket.parent() {
            // Shared by all clusters of this account.
            private_folder(parent, account)?;
        }
        private_folder(&socket, account)?;
        if socket.join(SOCKET_NAME).as_os_str().len() > MOST_SOCKET_BYTES {
            return Err(EmbeddedError::SocketPath(socket));
        }
        Ok(Self { base, socket })
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.base.join("cluster")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }
}

/// The same for every process that means the same data directory, and short.
fn short_name(data_dir: &Path) -> String {
    ContentHash::of(data_dir.as_os_str().as_bytes()).to_string().chars().take(12).collect()
}

async fn reaches(account: Account, folder: &Path) -> bool {
    if matches!(account, Account::Own(_)) {
        return true;
    }
    let probe = account.command("sh").args(["-c", "cd \"$1\"", "sh"]).arg(folder).output().await;
    probe.is_ok_and(|output| output.status.success())
}

/// The same for every process of the account, whatever session it is in.
fn runtime_folder(account: Account) -> PathBuf {
    match account {
        Account::Other { .. } if Path::new("/run").is_dir() => "/run/lockkeeper".into(),
        _ => format!("/tmp/lockkeeper-{}", account.user()).into(),
    }
}

/// A folder that is the account's alone. One that somebody else made in its place is refused.
fn private_folder(path: &Path, account: Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => account.own(path).map_err(EmbeddedError::io("could not give away", path)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(path).map_err(EmbeddedError::io("could not look at", path))?;
            if found.is_dir() && found.uid() == account.user() {
                return Ok(());
            }
            // Made by us as root a moment ago, and the owner not yet set: set it now.
            if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
                return account.own(path).map_err(EmbeddedError::io("could not give away", path));
            }
            let other = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "it belongs to somebody else");
            Err(EmbeddedError::io("will not use", path)(other))
        }
        Err(error) => Err(EmbeddedError::io("could not make", path)(error)),
    }
}
