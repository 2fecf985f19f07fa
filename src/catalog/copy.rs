//! The last good state on disk, from which a process serves that starts while the database is away.
//!
//! `catalog`: a line with the version of the format, a line of JSON, upstream's documents one after the other, and the SHA-256 of
//! all that. `heard`: when the store was last heard of. Both are replaced whole.

use super::streams::Catalog;
use crate::{
    domain::{
        document::{Problem, StreamDocument, Strictness},
        hash::ContentHash,
        stream::{Revision, SourceKind, Stream},
    },
    store::State,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use thiserror::Error;

const FORMAT: &str = "lockkeeper catalog 1";
const CATALOG: &str = "catalog";
const HEARD: &str = "heard";

/// Why a copy cannot be used.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The folder or a file cannot be used.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was written by a program that writes another format.
    #[error("it is of another format than this program's")]
    Format,
    /// It is not what was written.
    #[error("it is damaged")]
    Damaged,
    /// Its text is none that this program writes.
    #[error("it cannot be read")]
    Json(#[from] serde_json::Error),
    /// A stream in it breaks a rule.
    #[error("a stream in it cannot be: {}", _0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Stream(Vec<Problem>),
}

/// The copy in one folder.
#[derive(Debug)]
pub struct DiskCopy {
    folder: PathBuf,
    /// Of several processes with one folder, the one that holds this writes.
    lock: File,
    ours: AtomicBool,
    taken_over: AtomicBool,
}

/// What a copy holds.
#[derive(Debug)]
pub struct Kept {
    /// The store that it is of.
    pub installation: String,
    /// When that was last heard of.
    pub heard_at: Timestamp,
    /// The streams.
    pub states: Vec<State>,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    installation: String,
    heard_at: Timestamp,
    streams: Vec<KeptStream>,
    /// The documents that follow, and their lengths.
    documents: BTreeMap<String, usize>,
}

#[derive(Serialize, Deserialize)]
struct KeptStream {
    revision: i64,
    changed_at: Timestamp,
    owns_its_second: bool,
    document: StreamDocument,
}

#[derive(Serialize, Deserialize)]
struct Heard {
    installation: String,
    at: Timestamp,
}

impl DiskCopy {
    /// Makes the folder, if need be.
    ///
    /// # Errors
    /// It cannot be made or written to.
    pub fn open(folder: &Path) -> Result<Self, CopyError> {
        let failed = |source| CopyError::Io { path: folder.into(), source };
        // Closed to others itself, but not what it is in: the private PostgreSQL has to reach its place below that.
        folder.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        let ours = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        Ok(Self { folder: folder.into(), lock, ours: ours.into(), taken_over: false.into() })
    }

    /// Does this process keep it up to date, or another one? When that one ends, this one takes over.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        if !self.ours.load(Ordering::Relaxed) && self.lock.try_lock().is_ok() {
            self.ours.store(true, Ordering::Relaxed);
            self.taken_over.store(true, Ordering::Relaxed);
        }
        self.ours.load(Ordering::Relaxed)
    }

    /// Did this process take over since this was last asked?
    #[must_use]
    pub fn was_taken_over(&self) -> bool {
        self.taken_over.swap(false, Ordering::Relaxed)
    }

    /// What it holds; none if nothing was kept yet.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn read(&self) -> Result<Option<Kept>, CopyError> {
        let Some(content) = self.read_file(CATALOG)? else { return Ok(None) };
        // First of all: another program's copy is not a damaged one.
        if !content.strip_prefix(FORMAT.as_bytes()).is_some_and(|rest| rest.starts_with(b"\n")) {
            return Err(CopyError::Format);
        }
        let (content, hash) = content.split_last_chunk::<32>().ok_or(CopyError::Damaged)?;
        if ContentHash::of(content) != ContentHash(*hash) {
            return Err(CopyError::Damaged);
        }
        let rest = content.get(FORMAT.len() + 1..).ok_or(CopyError::Damaged)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(CopyError::Damaged)?;
        let (text, blobs) = rest.split_at(end);
        let contents: Contents = serde_json::from_slice(text)?;
        let mut blobs = Bytes::copy_from_slice(blobs.get(1..).unwrap_or_default());
        let mut documents = BTreeMap::new();
        for (hash, length) in &contents.documents {
            if blobs.len() < *length {
                return Err(CopyError::Damaged);
            }
            documents.insert(hash.as_str(), blobs.split_to(*length));
        }
        let states = contents.streams.iter().map(|kept| kept.state(&documents)).collect::<Result<_, _>>()?;
        let heard = self.heard(&contents.installation);
        Ok(Some(Kept {
            heard_at: heard.map_or(contents.heard_at, |heard| heard.max(contents.heard_at)),
            installation: contents.installation,
            states,
        }))
    }

    /// A note that is not there, or of another store, counts for nothing.
    fn heard(&self, installation: &str) -> Option<Timestamp> {
        let note: Heard = serde_json::from_slice(&self.read_file(HEARD).ok()??).ok()?;
        (note.installation == installation).then_some(note.at)
    }

    fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, CopyError> {
        let path = self.folder.join(name);
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CopyError::Io { path, source }),
        }
    }

    /// Keeps a catalog, as heard then.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, catalog: &Catalog, heard_at: Timestamp) -> Result<(), CopyError> {
        let Some(installation) = catalog.installation() else { return Ok(()) };
        let mut documents: BTreeMap<String, &Bytes> = BTreeMap::new();
        let mut streams = Vec::new();
        for (_, entry) in catalog.streams() {
            let state = entry.state();
            let sources = state.stream.sources.iter().filter_map(|(kind, hash)| Some((hash, state.sources.get(kind)?)));
            documents.extend(sources.map(|(hash, content)| (hash.to_string(), content)));
            streams.push(KeptStream {
                revision: state.revision.0,
                changed_at: state.changed_at,
                owns_its_second: state.owns_its_second,
                document: state.stream.to_document(),
            });
        }
        let contents = Contents {
            installation: installation.into(),
            heard_at,
            streams,
            documents: documents.iter().map(|(hash, content)| (hash.clone(), content.len())).collect(),
        };
        let mut text = format!("{FORMAT}\n").into_bytes();
        serde_json::to_writer(&mut text, &contents)?;
        text.push(b'\n');
        for content in documents.values() {
            text.extend_from_slice(content);
        }
        let hash = ContentHash::of(&text);
        text.extend_from_slice(&hash.0);
        self.replace(CATALOG, &text)?;
        self.note(installation, heard_at)
    }

    /// Keeps that the store was heard of then.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&self, installation: &str, at: Timestamp) -> Result<(), CopyError> {
        let note = Heard { installation: installation.into(), at };
        self.replace(HEARD, &serde_json::to_vec(&note)?)
    }

    /// All of it or nothing, whatever happens meanwhile.
    fn replace(&self, name: &str, content: &[u8]) -> Result<(), CopyError> {
        let path = self.folder.join(name);
        let unfinished = path.with_extension("unfinished");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(content)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| CopyError::Io { path: path.clone(), source })
    }
}

impl KeptStream {
    fn state(&self, documents: &BTreeMap<&str, Bytes>) -> Result<State, CopyError> {
        let stream = Stream::from_document(&self.document, Strictness::Recorded).map_err(CopyError::Stream)?;
        let sources: Option<BTreeMap<SourceKind, Bytes>> = stream
            .sources
            .iter()
            .map(|(kind, hash)| Some((kind.clone(), documents.get(hash.to_string().as_str())?.clone())))
            .collect();
        Ok(State {
            stream,
            revision: Revision(self.revision),
            changed_at: self.changed_at,
            owns_its_second: self.owns_its_second,
            sources: sources.ok_or(CopyError::Damaged)?,
        })
    }
}
