//! The account that PostgreSQL runs as: that of this process, but never root.

use super::EmbeddedError;
use crate::files::{self, Folder};
use std::{os::unix::process::CommandExt, path::Path};

const PASSWD: &str = "/etc/passwd";
/// The largest size of `/etc/passwd` that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The account that runs PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The account of this process.
    Own(u32),
    /// Another account, since this process runs as root.
    Other {
        /// The user.
        user: u32,
        /// The group.
        group: u32,
    },
}

impl Account {
    pub(super) fn choose() -> Result<Self, EmbeddedError> {
        let user = rustix::process::geteuid();
        if !user.is_root() {
            return Ok(Self::Own(user.as_raw()));
        }
        let passwd = files::read_text(Path::new(PASSWD), MAX_BYTES);
        let passwd = passwd.map_err(EmbeddedError::io("cannot read", PASSWD))?;
        // words: "nobody" is the name of the unprivileged account
        ["postgres", "nobody"].iter().find_map(|name| entry(&passwd, name)).ok_or(EmbeddedError::NoAccount)
    }

    pub(super) fn user(self) -> u32 {
        match self {
            Self::Own(user) | Self::Other { user, .. } => user,
        }
    }

    /// Builds a command that runs as this account, in a folder that the account can reach.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> tokio::process::Command {
        let mut command = std::process::Command::new(program);
        command.current_dir("/");
        if let Self::Other { user, group } = self {
            command.uid(user).gid(group);
        }
        command.into()
    }

    /// Makes the account the owner of a folder.
    pub(super) fn own(self, folder: &Folder) -> std::io::Result<()> {
        match self {
            Self::Own(_) => Ok(()),
            Self::Other { user, group } => folder.change_owner(user, group),
        }
    }
}

fn entry(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let user = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    (user != 0).then_some(Account::Other { user, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_match_exactly() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(entry(passwd, "postgres"), Some(Account::Other { user: 101, group: 104 }));
        assert_eq!(entry(passwd, "root"), None);
        // words: "nobody" is the name of the unprivileged account
        assert_eq!(entry(passwd, "nobody"), None);
    }
}
