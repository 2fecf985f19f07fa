//! Large answers as files in memory: the kernel sends them without copying them first.

use std::{fs::File, sync::Arc};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The bytes of an answer, as a file. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyFile(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    file: File,
    _permit: SemaphorePermit<'static>,
}

/// Smaller answers are not put into files: copying them is as fast.
const MIN_BYTES: usize = 16 << 10;
/// The most files at a time: sockets need open files too.
const MAX_FILES: usize = 256;

static FILES: Semaphore = Semaphore::const_new(MAX_FILES);

impl BodyFile {
    /// Writes bytes to a new file. Returns `None` if they are few, if there are too many such files, or if the system has no files in memory.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < MIN_BYTES {
            return None;
        }
        let permit = FILES.try_acquire().ok()?;
        let file = in_memory(bytes).ok()?;
        Some(Self(Arc::new(Counted { file, _permit: permit })))
    }

    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0.file
    }
}

#[cfg(target_os = "linux")]
fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    use std::io::Write;
    let mut file = File::from(rustix::fs::memfd_create("answer", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_: &[u8]) -> std::io::Result<File> {
    Err(std::io::ErrorKind::Unsupported.into())
}
