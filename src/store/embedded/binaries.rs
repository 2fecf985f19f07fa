//! Finds PostgreSQL's programs.

use super::EmbeddedError;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest supported major version.
pub(super) const OLDEST: u32 = 14;

/// A folder with `initdb`, `pg_ctl` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the programs in the configured folder, or else by `pg_config` and in the usual folders. Of several versions it picks
    /// the wanted major version, or else the newest.
    pub(super) fn find(setting: Option<&Path>, wanted: Option<u32>) -> Result<Self, EmbeddedError> {
        let found: Vec<Self> = match setting {
            Some(folder) => Self::at(folder)?.into_iter().collect(),
            None => candidates().iter().filter_map(|folder| Self::at(folder).ok().flatten()).collect(),
        };
        let newest = found.iter().max_by_key(|binaries| binaries.major);
        let matching = match wanted {
            Some(major) => found.iter().find(|binaries| binaries.major == major),
            None => newest,
        };
        match (matching, newest) {
            (Some(binaries), _) if binaries.major >= OLDEST => Ok(binaries.clone()),
            (Some(binaries), _) => {
                Err(EmbeddedError::TooOld { folder: binaries.folder.clone(), found: binaries.major.to_string() })
            }
            (None, _) => Err(EmbeddedError::NotInstalled),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn at(folder: &Path) -> Result<Option<Self>, EmbeddedError> {
        if !["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file()) {
            return Ok(None);
        }
        let postgres = folder.join("postgres");
        let output =
            Command::new(&postgres).arg("--version").output().map_err(EmbeddedError::io("cannot run", postgres))?;
        Ok(major(&String::from_utf8_lossy(&output.stdout)).map(|major| Self { folder: folder.into(), major }))
    }
}

/// Parses the major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split(") ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    // Debian, Red Hat, Homebrew on ARM and Intel, and a local build.
    for (parent, inner) in
        [("/usr/lib/postgresql", "bin"), ("/usr", "bin"), ("/opt/homebrew/opt", "bin"), ("/usr/local/opt", "bin")]
    {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let installations = entries.filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            parent == "/usr/lib/postgresql" || name.starts_with("pgsql-") || name.starts_with("postgresql")
        });
        folders.extend(installations.map(|entry| entry.path().join(inner)));
    }
    folders.push("/usr/local/pgsql/bin".into());
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_versions_are_parsed() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_folder_without_the_programs_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Binaries::find(Some(folder.path()), None), Err(EmbeddedError::NotInstalled)));
    }
}
