//! The user that PostgreSQL runs as: our own, but never root.

use super::EmbeddedError;
use std::os::unix::process::CommandExt;

/// Who runs PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// Whoever runs us.
    Own(u32),
    /// We are root, and it runs as somebody else.
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
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| entry(&passwd, name)).ok_or(EmbeddedError::NoAccount)
    }

    pub(super) fn user(self) -> u32 {
        match self {
            Self::Own(user) | Self::Other { user, .. } => user,
        }
    }

    /// A command that runs as this user, from a folder that it can reach.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> tokio::process::Command {
        let mut command = std::process::Command::new(program);
        command.current_dir("/");
        if let Self::Other { user, group } = self {
            command.uid(user).gid(group);
        }
        command.into()
    }

    /// Gives it a file or folder.
    pub(super) fn own(self, path: &std::path::Path) -> std::io::Result<()> {
        match self {
            Self::Own(_) => Ok(()),
            Self::Other { user, group } => std::os::unix::fs::chown(path, Some(user), Some(group)),
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
    fn accounts_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(entry(passwd, "postgres"), Some(Account::Other { user: 101, group: 104 }));
        assert_eq!(entry(passwd, "root"), None);
        assert_eq!(entry(passwd, "nobody"), None);
    }
}
