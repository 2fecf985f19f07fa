//! The stop of the processes that use one data directory: a file that each of them watches. It needs no database.

use super::handle::LocalStop;
use crate::files;
use std::{
    io,
    path::{Path, PathBuf},
};

const NAME: &str = "stop";
/// The maximum size of the file.
const MAX_BYTES: u64 = 64 << 10;

/// The file that holds the stop.
#[derive(Debug, Clone)]
pub struct LocalStopFile(PathBuf);

impl LocalStopFile {
    /// Returns the file of a data directory. It need not exist.
    #[must_use]
    pub fn below(data_dir: &Path) -> Self {
        Self(data_dir.join(NAME))
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the active stop, if there is one. A file that cannot be parsed counts as a stop, which is the safe choice.
    ///
    /// # Errors
    /// The file exists and cannot be read, or it is unknown whether it exists.
    pub fn read(&self) -> io::Result<Option<LocalStop>> {
        let content = match files::read(&self.0, MAX_BYTES) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let unreadable = |_| LocalStop { since: None, reason: format!("{} cannot be read", self.0.display()) };
        Ok(Some(serde_json::from_slice(&content).unwrap_or_else(unreadable)))
    }

    /// Stops the processes of the data directory. Replaces an earlier stop.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, stop: &LocalStop) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Readable by all accounts, because services run under others.
        files::replace(&self.0, 0o644, &serde_json::to_vec(stop)?)
    }

    /// Lifts the stop. Returns false if no stop was active.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self) -> io::Result<bool> {
        match std::fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_file_is_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let file = LocalStopFile::below(folder.path());
        assert_eq!(file.read().unwrap(), None);
        assert!(!file.remove().unwrap());
        let stop = LocalStop { since: Some("2026-07-22T14:00:00Z".parse().unwrap()), reason: "fire".into() };
        file.write(&stop).unwrap();
        assert_eq!(file.read().unwrap(), Some(stop));
        std::fs::write(file.path(), "").unwrap();
        assert!(file.read().unwrap().unwrap().reason.contains("cannot be read"));
        assert!(file.remove().unwrap());
        assert_eq!(file.read().unwrap(), None);
    }
}
