//! The folders of the private PostgreSQL: its files, and its socket.

use super::{EmbeddedError, account::Account};
use crate::{domain::hash::ContentHash, files::Folder};
use std::{
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The longest path of a Unix socket, in bytes.
const MAX_SOCKET_BYTES: usize = 107;
/// The largest size of a cluster's file that is read here, in bytes.
const MAX_BYTES: u64 = 4096;
/// The name of the cluster's folder, and its name until it is complete.
pub(super) const CLUSTER: &str = "cluster";
pub(super) const UNFINISHED: &str = "cluster.new";
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The folders of one private cluster.
#[derive(Debug)]
pub(super) struct DataDirectory {
    /// Holds locks, the log and the cluster's folder. The account owns it and can create links in it.
    pub(super) base: Folder,
    /// The folder for all sockets of the account.
    sockets: Folder,
    /// The folder of the socket: a short path, closed to other users.
    pub(super) socket: PathBuf,
    name: String,
}

impl DataDirectory {
    /// Creates the folders below the data directory, or below /var/lib if the account cannot reach that.
    pub(super) async fn prepare(data_dir: &Path, account: Account) -> Result<Self, EmbeddedError> {
        std::fs::create_dir_all(data_dir).map_err(EmbeddedError::io("cannot create", data_dir))?;
        let data_dir = data_dir.canonicalize().map_err(EmbeddedError::io("cannot find", data_dir))?;
        let name = short_name(&data_dir);
        let elsewhere = Path::new("/var/lib/lockkeeper").join(&name);
        // A cluster stays where it was created, even if the data directory becomes reachable later.
        let is_elsewhere = std::fs::symlink_metadata(&elsewhere).is_ok_and(|found| found.is_dir());
        let base = if !is_elsewhere && reaches(account, &data_dir).await {
            data_dir.join("postgres")
        } else {
            let base = elsewhere;
            tracing::info!(
                data_dir = %data_dir.display(),
                instead = %base.display(),
                "private PostgreSQL cannot reach the data directory, using another folder"
            );
            base
        };
        let base = private_folder_at(&base, account)?;
        // This folder is shared by all clusters of the account.
        let sockets = private_folder_at(&runtime_folder(account), account)?;
        let socket = private_folder(&sockets, &name, account)?.path().to_owned();
        if socket.join(SOCKET_NAME).as_os_str().len() > MAX_SOCKET_BYTES {
            return Err(EmbeddedError::SocketPath(socket));
        }
        Ok(Self { base, sockets, socket, name })
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.base.path().join(CLUSTER)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.base.path().join("postgres.log")
    }

    /// Reads a small file of the cluster. Returns `None` if there is no cluster or no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<String>, EmbeddedError> {
        let read = || match self.base.folder(CLUSTER) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            folder => folder?.read(name, MAX_BYTES),
        };
        let content = read().map_err(EmbeddedError::io("cannot read", self.cluster().join(name)))?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// Returns the major version of the PostgreSQL that created the cluster, if there is one.
    pub(super) fn made_by(&self) -> Result<Option<u32>, EmbeddedError> {
        Ok(self.read("PG_VERSION")?.and_then(|version| version.trim().parse().ok()))
    }

    /// Removes a file of the cluster.
    pub(super) fn remove(&self, name: &str) -> std::io::Result<()> {
        self.base.folder(CLUSTER)?.remove_file(name)
    }

    /// Removes the socket's folder unless it contains other files.
    pub(super) fn remove_socket(&self) {
        let _ = self.sockets.remove_folder(&self.name);
    }
}

/// Returns a short name that depends only on the path of the data directory.
fn short_name(data_dir: &Path) -> String {
    ContentHash::from_content(data_dir.as_os_str().as_bytes()).to_string().chars().take(12).collect()
}

async fn reaches(account: Account, folder: &Path) -> bool {
    if matches!(account, Account::Own(_)) {
        return true;
    }
    let probe = account.command("sh").args(["-c", "cd \"$1\"", "sh"]).arg(folder).output().await;
    probe.is_ok_and(|output| output.status.success())
}

/// Returns the folder for sockets, which depends only on the account.
fn runtime_folder(account: Account) -> PathBuf {
    match account {
        Account::Other { .. } if Path::new("/run").is_dir() => "/run/lockkeeper".into(),
        _ => format!("/tmp/lockkeeper-{}", account.user()).into(),
    }
}

/// Creates a private folder by its path. Parent folders are created if missing, and trusted.
fn private_folder_at(path: &Path, account: Account) -> Result<Folder, EmbeddedError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(EmbeddedError::io("cannot create", path)(ErrorKind::InvalidInput.into()));
    };
    std::fs::create_dir_all(parent).map_err(EmbeddedError::io("cannot create", parent))?;
    let parent = Folder::open(parent).map_err(EmbeddedError::io("cannot open", parent))?;
    private_folder(&parent, name, account)
}

/// Creates a folder that only the account can use. A link, or a folder of another owner, is rejected.
///
/// The account may own the parent folder and replace entries in it. So the folder is checked and given away by its descriptor,
/// never by its name.
fn private_folder(parent: &Folder, name: &str, account: Account) -> Result<Folder, EmbeddedError> {
    let path = parent.path().join(name);
    parent.create_private(name).map_err(EmbeddedError::io("cannot create", &path))?;
    let folder = parent.folder(name).map_err(EmbeddedError::io("refusing to use", &path))?;
    let owner = folder.owner().map_err(EmbeddedError::io("cannot read the owner of", &path))?;
    if owner == account.user() {
        return Ok(folder);
    }
    // Created by this process as root, and not yet given to the account.
    if owner == rustix::process::geteuid().as_raw() {
        account.own(&folder).map_err(EmbeddedError::io("cannot change the owner of", &path))?;
        return Ok(folder);
    }
    let other = std::io::Error::new(ErrorKind::PermissionDenied, "it belongs to another user");
    Err(EmbeddedError::io("refusing to use", path)(other))
}
