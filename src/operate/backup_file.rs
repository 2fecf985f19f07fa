//! The format of backups: lines of text, compressed with Zstandard.
//!
//! The first line is a JSON header. Then, for each table, a line of JSON with its name and columns, its rows
//! as PostgreSQL's `copy` writes them as text, and a line `\.`. The last line is JSON with the SHA-256 of all lines before it.
//!
//! A file may be hostile, and a few kilobytes can unpack to any size. So the unpacked size is limited when reading. The same limits
//! apply when writing, so that every backup can be restored.

use super::backup_error::{BackupError, Limit};
use crate::{
    domain::hash::ContentHash,
    files::{self, AtomicFile},
    store::dump::Table,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

/// The name of the format.
const FORMAT: &str = "lockkeeper backup 1";
/// The line after the last row of a table.
const END: &str = "\\.";
/// The compression level: zstd's default.
const LEVEL: i32 = 3;

/// The longest line of JSON, in bytes: a table's column names, or the numbers of all migrations.
const MAX_JSON_LINE: usize = 1 << 20;
/// The longest row, in bytes. An upstream document has up to 64 MiB, which are 128 MiB in hexadecimal digits. The document of a
/// revision is JSON, which escaping makes longer.
const MAX_ROW: usize = 256 << 20;
/// The base-2 logarithm of the largest window: 8 MiB, which every decoder must support (RFC 8878, section 3.1.1.1.2). Files written
/// here use 2 MiB.
const MAX_WINDOW_LOG: u32 = 23;
/// The largest ratio of unpacked size to file size. A history of equal documents of 90 kB, which packs best, reaches 2,500.
const MAX_RATIO: u64 = 8192;
/// The unpacked size that is allowed for every file: one row.
const MIN_TOTAL_LIMIT: u64 = MAX_ROW as u64;
/// The unpacked size that no file may exceed: 1 TiB.
const MAX_TOTAL_LIMIT: u64 = 1 << 40;

/// Returns the largest unpacked size for a file of this size.
fn max_total(size: u64) -> u64 {
    size.saturating_mul(MAX_RATIO).clamp(MIN_TOTAL_LIMIT, MAX_TOTAL_LIMIT)
}

/// The first line of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(super) format: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// When it was written.
    pub made_at: Timestamp,
    /// The id of the database that it was written from.
    pub installation: String,
    /// The migrations that were applied to that database.
    pub(super) migrations: Vec<i64>,
}

impl Header {
    pub(super) fn new(made_at: Timestamp, installation: String, migrations: Vec<i64>) -> Self {
        Self { format: FORMAT.into(), program: env!("CARGO_PKG_VERSION").into(), made_at, installation, migrations }
    }
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

/// Writes a backup, under a temporary name until it is complete.
pub(super) struct BackupWriter {
    to: PathBuf,
    out: zstd::Encoder<'static, AtomicFile>,
    hash: Sha256,
    /// The bytes of the current line, and of all lines.
    line: usize,
    total: u64,
}

impl BackupWriter {
    pub(super) fn begin(to: &Path, header: &Header) -> Result<Self, BackupError> {
        if to.exists() {
            return Err(BackupError::Exists(to.into()));
        }
        let draft = AtomicFile::create(to, 0o600);
        let out = draft.and_then(|draft| zstd::Encoder::new(draft, LEVEL)).map_err(BackupError::file(to))?;
        let mut writer = Self { to: to.into(), out, hash: Sha256::new(), line: 0, total: 0 };
        writer.json(header)?;
        Ok(writer)
    }

    pub(super) fn table(&mut self, table: &Table) -> Result<(), BackupError> {
        self.json(table)
    }

    pub(super) fn rows(&mut self, rows: &[u8]) -> Result<(), BackupError> {
        for part in rows.split_inclusive(|byte| *byte == b'\n') {
            self.line += part.len();
            if self.line > MAX_ROW {
                return Err(too_large(&self.to, Limit::Line(MAX_ROW)));
            }
            if part.ends_with(b"\n") {
                self.line = 0;
            }
        }
        self.total += rows.len() as u64;
        self.hash.update(rows);
        self.out.write_all(rows).map_err(BackupError::file(&self.to))
    }

    pub(super) fn end_table(&mut self) -> Result<(), BackupError> {
        self.rows(format!("{END}\n").as_bytes())
    }

    /// Writes the checksum, publishes the file under its name, and returns the SHA-256.
    pub(super) fn finish(mut self) -> Result<String, BackupError> {
        let sha256 = hex(self.hash.clone());
        self.json(&Seal { sha256: sha256.clone() })?;
        let failed = BackupError::file(&self.to);
        let draft = self.out.finish().map_err(&failed)?;
        let limit = max_total(draft.size().map_err(&failed)?);
        if self.total > limit {
            return Err(too_large(&self.to, Limit::Total(limit)));
        }
        draft.commit_new().map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists(self.to.clone()),
            _ => failed(error),
        })?;
        Ok(sha256)
    }

    fn json(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        let mut line = serde_json::to_vec(line).map_err(BackupError::Json)?;
        line.push(b'\n');
        self.rows(&line)
    }
}

/// Reads a backup line by line.
pub(super) struct BackupReader {
    from: PathBuf,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    hash: Sha256,
    total: u64,
    max_total: u64,
}

/// The next part of a backup.
pub(super) enum Part {
    Table(Table),
    /// The end, and the SHA-256 of all lines before it.
    Seal(String),
}

impl BackupReader {
    pub(super) fn begin(from: &Path) -> Result<(Self, Header), BackupError> {
        let failed = BackupError::file(from);
        let file = File::open(from).map_err(&failed)?;
        let max_total = max_total(file.metadata().map_err(&failed)?.len());
        let mut unpacked = zstd::Decoder::new(file).map_err(&failed)?;
        unpacked.window_log_max(MAX_WINDOW_LOG).map_err(&failed)?;
        let lines = BufReader::new(unpacked);
        let mut reader = Self { from: from.into(), lines, hash: Sha256::new(), total: 0, max_total };
        let line = reader.line(MAX_JSON_LINE)?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| BackupError::Format)?;
        if header.format != FORMAT {
            return Err(BackupError::Format);
        }
        Ok((reader, header))
    }

    /// Returns the next table, or the end.
    pub(super) fn part(&mut self) -> Result<Part, BackupError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Line {
            Table(Table),
            Seal(Seal),
        }
        let before = hex(self.hash.clone());
        let line = self.line(MAX_JSON_LINE)?;
        match serde_json::from_slice(&line).map_err(|_| BackupError::Damaged)? {
            Line::Table(table) => Ok(Part::Table(table)),
            Line::Seal(seal) if seal.sha256 == before && self.is_at_end()? => Ok(Part::Seal(before)),
            Line::Seal(_) => Err(BackupError::Damaged),
        }
    }

    /// Returns the next row with its line end; `None` after the last row of a table.
    pub(super) fn row(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let line = self.line(MAX_ROW)?;
        Ok(Some(line).filter(|line| line.strip_suffix(b"\n") != Some(END.as_bytes())))
    }

    fn line(&mut self, limit: usize) -> Result<Vec<u8>, BackupError> {
        let line = files::read_line(&mut self.lines, limit).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => too_large(&self.from, Limit::Line(limit)),
            _ => BackupError::file(&self.from)(error),
        })?;
        self.total += line.len() as u64;
        if self.total > self.max_total {
            return Err(too_large(&self.from, Limit::Total(self.max_total)));
        }
        if line.last() != Some(&b'\n') {
            return Err(BackupError::Damaged);
        }
        self.hash.update(&line);
        Ok(line)
    }

    fn is_at_end(&mut self) -> Result<bool, BackupError> {
        Ok(self.lines.read(&mut [0]).map_err(BackupError::file(&self.from))? == 0)
    }
}

fn too_large(path: &Path, limit: Limit) -> BackupError {
    BackupError::TooLarge { path: path.into(), limit }
}

fn hex(hash: Sha256) -> String {
    ContentHash(hash.finalize().into()).to_string()
}
