//! Large answers as files in memory: the kernel sends them without copying them first.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The bytes of an answer, as a file. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyFile(Arc<Counted>);

#[derive(Debug)]
struct Counted(File);

/// Below this, copying is as fast.
const LEAST_BYTES: usize = 16 << 10;
/// Sockets need open files too.
const MOST_FILES: usize = 256;

static FILES: AtomicUsize = AtomicUsize::new(0);

impl BodyFile {
    /// These bytes; none where they are few, where there are many such files already, or where there is no such thing.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < LEAST_BYTES {
            return None;
        }
        if FILES.fetch_add(1, Ordering::Relaxed) >= MOST_FILES {
            FILES.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let file = in_memory(bytes);
        if file.is_err() {
            FILES.fetch_sub(1, Ordering::Relaxed);
        }
        file.ok().map(|file| Self(Arc::new(Counted(file))))
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::Relaxed);
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
