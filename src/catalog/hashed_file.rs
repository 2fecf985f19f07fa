//! A file that ends with the SHA-256 of the rest, written in parts and replaced atomically.

use crate::files::{self, AtomicFile};
use sha2::{Digest, Sha256};
use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

const BUFFER_BYTES: usize = 64 << 10;

/// A temporary file that replaces the target file when it is committed. Dropping it removes it.
#[derive(Debug)]
pub(super) struct HashedFile(BufWriter<Hashing>);

#[derive(Debug)]
struct Hashing {
    file: AtomicFile,
    hash: Sha256,
    /// How many more bytes the file may have, with its hash.
    room: u64,
    max: u64,
}

impl HashedFile {
    /// Creates a temporary file for `path` of at most `max` bytes.
    pub(super) fn create(path: &Path, max: u64) -> io::Result<Self> {
        let hashing = Hashing { file: AtomicFile::create(path, 0o600)?, hash: Sha256::new(), room: max, max };
        Ok(Self(BufWriter::with_capacity(BUFFER_BYTES, hashing)))
    }

    /// Appends the hash, and replaces the target file.
    pub(super) fn commit(self) -> io::Result<()> {
        let mut hashing = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        let hash = hashing.hash.clone().finalize();
        hashing.write_all(&hash)?;
        hashing.file.commit_over()
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let room = u64::try_from(written).ok().and_then(|written| self.room.checked_sub(written));
        self.room = room.ok_or_else(|| files::too_long(self.max))?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hash::ContentHash;

    #[test]
    fn a_file_ends_with_the_hash_of_its_content_and_has_a_maximum_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let write = |max| {
            let mut file = HashedFile::create(&path, max)?;
            file.write_all(b"some ")?;
            file.write_all(b"content")?;
            file.commit()
        };
        assert!(write(43).is_err() && write(10).is_err() && !path.exists());
        write(44).unwrap();
        let expected = [&b"some content"[..], &ContentHash::from_content(b"some content").0].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }
}
