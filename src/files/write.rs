//! Atomic writing of files: the content is written under a random name and synced, the file is renamed, and its folder is synced.

use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The suffix of a temporary file. The part before it is random, so leftovers of killed processes do not block new files.
const SUFFIX: &str = ".unfinished";
/// The maximum number of characters of a file's name in the name of its temporary file, because file systems limit names to 255 bytes.
const MAX_STEM: usize = 48;

/// A temporary file that becomes the target file when it is committed. Dropping it removes it.
#[derive(Debug)]
pub struct AtomicFile {
    file: NamedTempFile,
    folder: PathBuf,
    to: PathBuf,
}

impl AtomicFile {
    /// Creates a temporary file for `to` in the same folder. The umask is applied to `mode`.
    ///
    /// # Errors
    /// Fails if the path has no file name, or if the folder cannot be written.
    pub fn create(to: &Path, mode: u32) -> io::Result<Self> {
        let folder = folder_of(to).to_owned();
        let prefix = prefix(to).ok_or(ErrorKind::IsADirectory)?;
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(SUFFIX)
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(&folder)?;
        Ok(Self { file, folder, to: to.into() })
    }

    /// Returns the number of bytes written so far.
    ///
    /// # Errors
    /// Fails if the metadata of the file cannot be read.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.as_file().metadata()?.len())
    }

    /// Moves the file to its target, which must not exist. If several processes try, one succeeds.
    ///
    /// # Errors
    /// Returns `AlreadyExists` if the target exists, or fails if the disk does.
    pub fn commit_new(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(&self.to).map_err(|error| error.error)?;
        sync_folder(&self.folder)
    }

    /// Moves the file to its target and replaces an existing file.
    ///
    /// # Errors
    /// Fails if the file cannot be synced or moved.
    pub fn commit_over(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.to).map_err(|error| error.error)?;
        sync_folder(&self.folder)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Creates a file with this content atomically. An existing file is not changed.
///
/// # Errors
/// Returns `AlreadyExists` if the file exists, or fails if it cannot be written.
pub fn create_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content)?;
    file.commit_new()
}

/// Creates or replaces a file with this content atomically.
///
/// # Errors
/// Fails if the file cannot be written.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content)?;
    file.commit_over()
}

/// Removes the temporary files for `path` that killed processes left behind. Only the process that writes the file may call this.
pub fn remove_leftovers(path: &Path) {
    let (Some(prefix), Ok(entries)) = (prefix(path), std::fs::read_dir(folder_of(path))) else { return };
    let is_leftover = |name: &str| name.starts_with(&prefix) && name.ends_with(SUFFIX);
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_leftover)) {
        // A file that cannot be removed only takes space.
        let _ = std::fs::remove_file(entry.path());
    }
}

fn prefix(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    Some(format!(".{}.", name.chars().take(MAX_STEM).collect::<String>()))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a folder, which makes renames in it survive a crash if the file system supports that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot sync folders.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_created_once_and_replaced_repeatedly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create_new(&path, 0o600, b"first").unwrap();
        assert_eq!(create_new(&path, 0o600, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        replace(&path, 0o640, b"third").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_dropped_temporary_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("file"), 0o600).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn writing_does_not_follow_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("file"), folder.path().join("target"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(create_new(&path, 0o600, b"a").unwrap_err().kind(), ErrorKind::AlreadyExists);
        replace(&path, 0o600, b"b").unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), target.exists()), (b"b".to_vec(), false));
    }

    #[test]
    fn only_temporary_files_of_the_same_file_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".file.abc.unfinished", ".file.abc", ".file2.abc.unfinished", "file.1.unfinished"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(&folder.path().join("file"));
        assert_eq!(names(folder.path()), [".file.abc", ".file2.abc.unfinished", "file.1.unfinished"]);
    }
}
