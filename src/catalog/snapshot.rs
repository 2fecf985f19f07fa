//! The last good catalog on disk. A process that starts while the database is unavailable serves from it.
//!
//! The file `catalog` has a line with the version of the format, a line of JSON, upstream's documents one after the other, and the SHA-256
//! of all that. The file `heard` has the time of the last contact with the database. Both are replaced atomically.

use super::{hashed_file::HashedFile, streams::Catalog};
use crate::{
    domain::{
        document::{self, Problem, StreamDocument, Strictness, parts, shape::StopDocument},
        hash::ContentHash,
        ids::{ProductName, ProtocolName},
        stream::{Revision, SourceKind, Stream},
    },
    files::{self, Folder},
    store::{ProductRecord, ProductStops, PublishedProduct, State},
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use thiserror::Error;

const FORMAT: &str = "lockkeeper catalog 1";
const CATALOG: &str = "catalog";
const CONTACT: &str = "heard";
/// The maximum size of a snapshot: some thousand streams with hundreds of releases, and their documents.
const MAX_BYTES: u64 = 1 << 30;
/// The maximum size of the file with the time of the last contact.
const MAX_CONTACT_BYTES: u64 = 4096;

/// Why a snapshot cannot be used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The folder or a file cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It has the format of another version of this program.
    #[error("it has another format than this version writes")]
    Format,
    /// It is truncated, or its hash does not match.
    #[error("it is damaged")]
    Damaged,
    /// Its JSON is not what this program writes.
    #[error("it cannot be parsed")]
    Json(#[from] serde_json::Error),
    /// A stream in it breaks a rule.
    #[error("a stream in it is invalid: {}", _0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Stream(Vec<Problem>),
}

/// The snapshot in one folder.
#[derive(Debug)]
pub struct SnapshotStore {
    folder: PathBuf,
    /// Of several processes with one folder, the one that holds this lock saves snapshots.
    lock: File,
    is_writer: AtomicBool,
    has_taken_over: AtomicBool,
}

/// The content of a snapshot.
#[derive(Debug)]
pub struct Snapshot {
    /// The id of the database from which it comes.
    pub installation: String,
    /// The last contact with the database.
    pub last_contact_at: Timestamp,
    /// The products; empty in snapshots of older versions.
    pub products: BTreeMap<ProductName, PublishedProduct>,
    /// The product stops that were active.
    pub stops: ProductStops,
    /// The streams.
    pub states: Vec<State>,
}

#[derive(Deserialize)]
struct Contents {
    installation: String,

    // words: "heard_at" is the name of the field in older snapshots
    #[serde(alias = "heard_at")]
    last_contact_at: Timestamp,
    #[serde(default)]
    products: BTreeMap<String, SnapshotProduct>,
    #[serde(default)]
    product_stops: BTreeMap<String, StopDocument>,
    #[serde(default)]
    product_stops_changed_at: Option<Timestamp>,
    streams: Vec<SnapshotStream>,
    /// The hashes of the documents that follow, and their lengths.
    documents: BTreeMap<String, usize>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotProduct {
    protocol: String,
    revision: i64,
    changed_at: Timestamp,
    /// The hashes of its published files, by path.
    files: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotStream {
    revision: i64,
    changed_at: Timestamp,
    owns_its_second: bool,
    document: StreamDocument,
}

#[derive(Serialize, Deserialize)]
struct Contact {
    installation: String,
    at: Timestamp,
}

impl SnapshotStore {
    /// Opens the folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// It cannot be created or written to.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let failed = |source| SnapshotError::Io { path: folder.into(), source };
        // Other accounts must not read this folder, but may enter its parent: the private PostgreSQL has its folder there.
        folder.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let lock = Folder::open(folder).and_then(|folder| folder.lock_file("lock")).map_err(failed)?;
        let is_writer = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        let store = Self { folder: folder.into(), lock, is_writer: is_writer.into(), has_taken_over: false.into() };
        if is_writer {
            store.remove_leftovers();
        }
        Ok(store)
    }

    /// Removes temporary files of killed writers. Only the process that holds the lock may do so.
    fn remove_leftovers(&self) {
        for name in [CATALOG, CONTACT] {
            files::remove_leftovers(&self.folder.join(name));
        }
    }

    /// Returns true if this process saves snapshots. If the process that did has ended, this one takes over.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        if !self.is_writer.load(Ordering::Relaxed) && self.lock.try_lock().is_ok() {
            self.is_writer.store(true, Ordering::Relaxed);
            self.has_taken_over.store(true, Ordering::Relaxed);
            self.remove_leftovers();
        }
        self.is_writer.load(Ordering::Relaxed)
    }

    /// Returns true if this process took over since the last call.
    #[must_use]
    pub fn was_taken_over(&self) -> bool {
        self.has_taken_over.swap(false, Ordering::Relaxed)
    }

    /// Reads the snapshot. Returns `None` if none was saved yet.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or has another format.
    pub fn read(&self) -> Result<Option<Snapshot>, SnapshotError> {
        let path = self.folder.join(CATALOG);
        let failed = |source| SnapshotError::Io { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Checked before the rest is read: a snapshot in another format is not a damaged one.
        let start = format!("{FORMAT}\n").into_bytes();
        let mut found = vec![0; start.len()];
        match file.read_exact(&mut found) {
            Ok(()) if found == start => {}
            Ok(()) => return Err(SnapshotError::Format),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(SnapshotError::Format),
            Err(error) => return Err(failed(error)),
        }
        let content = file.rewind().and_then(|()| files::read_open(&file, MAX_BYTES)).map_err(failed)?;
        let (content, hash) = content.split_last_chunk::<32>().ok_or(SnapshotError::Damaged)?;
        if ContentHash::from_content(content) != ContentHash(*hash) {
            return Err(SnapshotError::Damaged);
        }
        let rest = content.get(start.len()..).ok_or(SnapshotError::Damaged)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Damaged)?;
        let (text, blobs) = rest.split_at(end);
        let contents: Contents = serde_json::from_slice(text)?;
        let mut blobs = Bytes::copy_from_slice(blobs.get(1..).unwrap_or_default());
        let mut documents = BTreeMap::new();
        for (hash, length) in &contents.documents {
            if blobs.len() < *length {
                return Err(SnapshotError::Damaged);
            }
            documents.insert(hash.as_str(), blobs.split_to(*length));
        }
        let states = contents.streams.iter().map(|stream| stream.state(&documents)).collect::<Result<_, _>>()?;
        let contact = self.contact(&contents.installation);
        Ok(Some(Snapshot {
            last_contact_at: contact.map_or(contents.last_contact_at, |at| at.max(contents.last_contact_at)),
            products: contents.products(&documents)?,
            stops: product_stops(&contents)?,
            installation: contents.installation,
            states,
        }))
    }

    /// Reads the time of the last contact. A file that is missing or unreadable, or that belongs to another database, is ignored.
    fn contact(&self, installation: &str) -> Option<Timestamp> {
        let content = files::read(&self.folder.join(CONTACT), MAX_CONTACT_BYTES).ok()?;
        let contact: Contact = serde_json::from_slice(&content).ok()?;
        (contact.installation == installation).then_some(contact.at)
    }

    /// Saves a catalog and the time of the last contact with the database.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, catalog: &Catalog, last_contact_at: Timestamp) -> Result<(), SnapshotError> {
        let Some(installation) = catalog.installation() else { return Ok(()) };
        let path = self.folder.join(CATALOG);
        let failed = |source| SnapshotError::Io { path: path.clone(), source };
        let mut file = HashedFile::create(&path, MAX_BYTES).map_err(failed)?;
        write_catalog(&mut file, installation, catalog, last_contact_at).map_err(failed)?;
        file.commit().map_err(failed)?;
        self.save_contact(installation, last_contact_at)
    }

    /// Saves the time of the last contact with the database.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_contact(&self, installation: &str, at: Timestamp) -> Result<(), SnapshotError> {
        let contact = Contact { installation: installation.into(), at };
        self.replace(CONTACT, &serde_json::to_vec(&contact)?)
    }

    /// Replaces a file atomically.
    fn replace(&self, name: &str, content: &[u8]) -> Result<(), SnapshotError> {
        let path = self.folder.join(name);
        files::replace(&path, 0o600, content).map_err(|source| SnapshotError::Io { path: path.clone(), source })
    }
}

/// The same fields as [`Contents`], to be written: its streams are converted to documents one after the other.
#[derive(Serialize)]
struct WrittenContents<'a> {
    installation: &'a str,
    last_contact_at: Timestamp,
    products: BTreeMap<String, SnapshotProduct>,
    product_stops: BTreeMap<String, StopDocument>,
    product_stops_changed_at: Option<Timestamp>,
    streams: WrittenStreams<'a>,
    documents: BTreeMap<&'a str, usize>,
}

struct WrittenStreams<'a>(&'a Catalog);

impl Serialize for WrittenStreams<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.streams().map(|(_, entry)| {
            let state = entry.state();
            SnapshotStream {
                revision: state.revision.0,
                changed_at: state.changed_at,
                owns_its_second: state.owns_its_second,
                document: state.stream.to_document(),
            }
        }))
    }
}

/// Writes a catalog without its hash. Of all documents of its streams, one is in memory at a time.
fn write_catalog(
    to: &mut impl Write,
    installation: &str,
    catalog: &Catalog,
    last_contact_at: Timestamp,
) -> io::Result<()> {
    let mut documents: BTreeMap<String, &Bytes> = BTreeMap::new();
    let mut products = BTreeMap::new();
    for (name, record, files) in catalog.records() {
        let hashed =
            files.iter().map(|(path, content)| (path, ContentHash::from_content(content).to_string(), content));
        let hashed: Vec<_> = hashed.collect();
        documents.extend(hashed.iter().map(|(_, hash, content)| (hash.clone(), *content)));
        products.insert(
            name.to_string(),
            SnapshotProduct {
                protocol: record.protocol.to_string(),
                revision: record.revision,
                changed_at: record.changed_at,
                files: hashed.into_iter().map(|(path, hash, _)| (path.clone(), hash)).collect(),
            },
        );
    }
    for (_, entry) in catalog.streams() {
        let state = entry.state();
        let sources = state.stream.sources.iter().filter_map(|(kind, hash)| Some((hash, state.sources.get(kind)?)));
        documents.extend(sources.map(|(hash, content)| (hash.to_string(), content)));
    }
    let stops = catalog.stops();
    let contents = WrittenContents {
        installation,
        last_contact_at,
        products,
        product_stops: stops.active.iter().map(|(product, stop)| (product.to_string(), document::stop(stop))).collect(),
        product_stops_changed_at: stops.changed_at,
        streams: WrittenStreams(catalog),
        documents: documents.iter().map(|(hash, content)| (hash.as_str(), content.len())).collect(),
    };
    writeln!(to, "{FORMAT}")?;
    serde_json::to_writer(&mut *to, &contents)?;
    to.write_all(b"\n")?;
    documents.values().try_for_each(|content| to.write_all(content))
}

impl Contents {
    fn products(
        &self,
        documents: &BTreeMap<&str, Bytes>,
    ) -> Result<BTreeMap<ProductName, PublishedProduct>, SnapshotError> {
        let products = self.products.iter().map(|(name, product)| {
            let name = ProductName::parse(name).map_err(|_| SnapshotError::Damaged)?;
            let protocol = ProtocolName::parse(&product.protocol).map_err(|_| SnapshotError::Damaged)?;
            let record = ProductRecord {
                protocol,
                revision: product.revision,
                changed_at: product.changed_at,
                is_deleted: false,
            };
            let file = |(path, hash): (&String, &String)| Some((path.clone(), documents.get(hash.as_str())?.clone()));
            let files = product.files.iter().map(file).collect::<Option<_>>().ok_or(SnapshotError::Damaged)?;
            Ok((name, PublishedProduct { record, files }))
        });
        products.collect()
    }
}

fn product_stops(contents: &Contents) -> Result<ProductStops, SnapshotError> {
    let active = contents.product_stops.iter().map(|(product, stop)| {
        let product = ProductName::parse(product).map_err(|_| SnapshotError::Damaged)?;
        Ok((product, parts::stop(stop).map_err(SnapshotError::Stream)?))
    });
    let active = active.collect::<Result<_, SnapshotError>>()?;
    Ok(ProductStops { active, changed_at: contents.product_stops_changed_at })
}

impl SnapshotStream {
    fn state(&self, documents: &BTreeMap<&str, Bytes>) -> Result<State, SnapshotError> {
        let stream =
            Stream::from_document(&self.document, Strictness::Recorded).map_err(SnapshotError::Stream)?.numbered();
        let stream = stream.compacted();
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
            sources: sources.ok_or(SnapshotError::Damaged)?,
        })
    }
}
