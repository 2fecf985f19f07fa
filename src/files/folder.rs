//! Folders in which another, untrusted account can create files: all operations use a descriptor and follow no symbolic link.

use super::read_open;
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, fchown, fstat, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// An open folder. It remains the same folder if its path is renamed or replaced by a link.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// `NONBLOCK`, because opening a pipe that replaced the file must not block.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder by a trusted path, in which links are followed.
    ///
    /// # Errors
    /// Fails if the folder does not exist or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let descriptor = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self { descriptor, path: path.into() })
    }

    /// Returns the path with which the folder was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder inside this one.
    ///
    /// # Errors
    /// Fails if the folder does not exist, or if it is a link.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        let descriptor = openat(&self.descriptor, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { descriptor, path: self.path.join(name) })
    }

    /// Creates a folder inside this one that only its owner may use. Does nothing if the name is taken.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn create_private(&self, name: &str) -> io::Result<()> {
        match mkdirat(&self.descriptor, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the user id of the owner.
    ///
    /// # Errors
    /// Fails if the owner cannot be read.
    pub fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.descriptor)?.st_uid)
    }

    /// Changes the owner of the folder.
    ///
    /// # Errors
    /// Fails if this process is not permitted to do so.
    pub fn change_owner(&self, user: u32, group: u32) -> io::Result<()> {
        Ok(fchown(&self.descriptor, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?)
    }

    /// Opens a lock file, and creates it if it does not exist.
    ///
    /// # Errors
    /// Fails if it is not a regular file, or cannot be written.
    pub fn lock_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | FILE;
        regular(openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o644))?)
    }

    /// Reads a file of at most `limit` bytes. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Fails if it is not a regular file, is longer, or cannot be read.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match openat(&self.descriptor, name, OFlags::RDONLY | FILE, Mode::empty()) {
            Ok(descriptor) => read_open(&regular(descriptor)?, limit).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns true if the name is taken, also by a dangling link.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub fn has(&self, name: &str) -> io::Result<bool> {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames an entry of the folder.
    ///
    /// # Errors
    /// Fails if `from` does not exist, or `to` cannot be replaced.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    /// Removes a file or link.
    ///
    /// # Errors
    /// Fails if it does not exist or cannot be removed.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// Fails if it does not exist or is not empty.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.descriptor, name, AtFlags::REMOVEDIR)?)
    }
}

fn regular(descriptor: OwnedFd) -> io::Result<File> {
    if FileType::from_raw_mode(fstat(&descriptor)?.st_mode) == FileType::RegularFile {
        Ok(descriptor.into())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn no_link_is_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, victim) = (scratch.path().join("inside"), scratch.path().join("victim"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("secret"), "secret").unwrap();
        for (name, target) in [("folder", victim.clone()), ("file", victim.join("secret")), ("new", victim.join("new"))]
        {
            symlink(target, inside.join(name)).unwrap();
        }
        let folder = Folder::open(&inside).unwrap();
        folder.folder("folder").unwrap_err();
        folder.create_private("folder").unwrap();
        folder.read("file", 100).unwrap_err();
        folder.lock_file("file").unwrap_err();
        folder.lock_file("new").unwrap_err();
        folder.remove_folder("folder").unwrap_err();
        folder.rename("file", "moved").unwrap();
        folder.remove_file("moved").unwrap();
        folder.remove_file("folder").unwrap();
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1);
        assert_eq!(std::fs::read(victim.join("secret")).unwrap(), b"secret");
        assert!(folder.has("new").unwrap() && !folder.has("folder").unwrap());
    }

    #[test]
    fn only_regular_files_are_read_and_locked_without_blocking() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        rustix::fs::mknodat(&folder.descriptor, "pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
        folder.create_private("folder").unwrap();
        for name in ["pipe", "folder"] {
            folder.read(name, 100).unwrap_err();
            folder.lock_file(name).unwrap_err();
        }
        assert!(folder.read("missing", 100).unwrap().is_none());
        drop(folder.lock_file("lock").unwrap());
        assert_eq!(folder.read("lock", 0).unwrap().unwrap(), b"");
    }

    #[test]
    fn changing_the_owner_does_not_follow_a_link_that_took_the_name() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can change the owner of a folder");
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let victim = scratch.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        let parent = Folder::open(scratch.path()).unwrap();
        parent.create_private("data").unwrap();
        let folder = parent.folder("data").unwrap();
        // The other account replaces the folder by a link after it was opened.
        parent.rename("data", "moved").unwrap();
        symlink(&victim, scratch.path().join("data")).unwrap();
        folder.change_owner(12345, 12345).unwrap();
        let owner = |name: &str| std::fs::metadata(scratch.path().join(name)).unwrap().uid();
        assert_eq!((owner("victim"), owner("moved"), folder.owner().unwrap()), (0, 12345, 12345));
    }
}
