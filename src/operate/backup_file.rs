//! The format of backups: lines of text, compressed with Zstandard.
//!
//! The first line is JSON and says what it is a backup of. Then, for each table, a line of JSON with its name and columns, its rows
//! as PostgreSQL's `copy` writes them as text, and a line `\.`. The last line is JSON with the SHA-256 of all lines before it.

use super::backup_error::BackupError;
use crate::{domain::hash::ContentHash, store::dump::Table};
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What the format is called.
const FORMAT: &str = "lockkeeper backup 1";
/// Behind the last row of a table.
const END: &str = "\\.";
/// How hard is compressed: zstd's own default.
const LEVEL: i32 = 3;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(super) format: String,
    /// The version of the program that made it.
    pub program: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The name of the store that it is of.
    pub installation: String,
    /// The migrations that had been applied.
    pub(super) migrations: Vec<i64>,
}

impl Header {
    pub(super) fn of(made_at: Timestamp, installation: String, migrations: Vec<i64>) -> Self {
        Self { format: FORMAT.into(), program: env!("CARGO_PKG_VERSION").into(), made_at, installation, migrations }
    }
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

/// A backup that is being written, under another name until it is whole.
pub(super) struct Writing {
    to: PathBuf,
    unfinished: PathBuf,
    out: zstd::Encoder<'static, File>,
    hash: Sha256,
}

impl Writing {
    pub(super) fn begin(to: &Path, header: &Header) -> Result<Self, BackupError> {
        if to.exists() {
            return Err(BackupError::Exists(to.into()));
        }
        let mut unfinished = to.as_os_str().to_owned();
        unfinished.push(format!(".{}.unfinished", uuid::Uuid::new_v4().simple()));
        let unfinished = PathBuf::from(unfinished);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        let out = file.and_then(|file| zstd::Encoder::new(file, LEVEL)).map_err(BackupError::file(to))?;
        let mut writing = Self { to: to.into(), unfinished, out, hash: Sha256::new() };
        writing.json(header)?;
        Ok(writing)
    }

    pub(super) fn table(&mut self, table: &Table) -> Result<(), BackupError> {
        self.json(table)
    }

    pub(super) fn rows(&mut self, rows: &[u8]) -> Result<(), BackupError> {
        self.hash.update(rows);
        self.out.write_all(rows).map_err(BackupError::file(&self.to))
    }

    pub(super) fn end_table(&mut self) -> Result<(), BackupError> {
        self.rows(format!("{END}\n").as_bytes())
    }

    /// Seals it, and gives it its name. Returns the SHA-256.
    pub(super) fn finish(mut self) -> Result<String, BackupError> {
        let sha256 = hex(self.hash.clone());
        self.json(&Seal { sha256: sha256.clone() })?;
        let failed = BackupError::file(&self.to);
        let mut finish = || -> std::io::Result<()> {
            self.out.do_finish()?;
            self.out.get_ref().sync_all()?;
            name_once(&self.unfinished, &self.to)?;
            let folder = self.to.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        finish().map_err(failed)?;
        Ok(sha256)
    }

    fn json(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        let mut line = serde_json::to_vec(line).map_err(BackupError::Json)?;
        line.push(b'\n');
        self.rows(&line)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // It has its name by now, or is of no use.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

/// Of two that write to one name, the first one wins, on file systems without links too.
fn name_once(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(from, to) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
        }
        linked => linked,
    }
}

/// A backup that is being read, line by line.
pub(super) struct Reading {
    from: PathBuf,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    hash: Sha256,
}

/// What comes next.
pub(super) enum Part {
    Table(Table),
    /// The end, and the SHA-256 that all before it has.
    Seal(String),
}

impl Reading {
    pub(super) fn begin(from: &Path) -> Result<(Self, Header), BackupError> {
        let opened = File::open(from).and_then(zstd::Decoder::new).map_err(BackupError::file(from))?;
        let mut reading = Self { from: from.into(), lines: BufReader::new(opened), hash: Sha256::new() };
        let line = reading.line()?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| BackupError::Format)?;
        if header.format != FORMAT {
            return Err(BackupError::Format);
        }
        Ok((reading, header))
    }

    /// The next table, or the end.
    pub(super) fn part(&mut self) -> Result<Part, BackupError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Line {
            Table(Table),
            Seal(Seal),
        }
        let before = hex(self.hash.clone());
        let line = self.line()?;
        match serde_json::from_slice(&line).map_err(|_| BackupError::Damaged)? {
            Line::Table(table) => Ok(Part::Table(table)),
            Line::Seal(seal) if seal.sha256 == before && self.is_at_end()? => Ok(Part::Seal(before)),
            Line::Seal(_) => Err(BackupError::Damaged),
        }
    }

    /// The next row, with its line end; none behind the last one of a table.
    pub(super) fn row(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let line = self.line()?;
        Ok(Some(line).filter(|line| line.strip_suffix(b"\n") != Some(END.as_bytes())))
    }

    fn line(&mut self) -> Result<Vec<u8>, BackupError> {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).map_err(BackupError::file(&self.from))?;
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

fn hex(hash: Sha256) -> String {
    ContentHash(hash.finalize().into()).to_string()
}
