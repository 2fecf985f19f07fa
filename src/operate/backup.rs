//! Backups: a whole store in one file, and back.

use super::backup_file::{Part, Reading, Writing};
pub use super::{backup_error::BackupError, backup_file::Header};
use crate::store::{
    Store,
    dump::{RestoreError, Table, made_by},
};
use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use jiff::Timestamp;
use std::path::Path;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where it is from.
    pub header: Header,
    /// How many tables it has.
    pub tables: usize,
    /// How many rows these have together.
    pub rows: u64,
    /// Tables beside ours, which were left out.
    pub left_out: Vec<String>,
    /// The checksum of what is in it.
    pub sha256: String,
}

/// Writes all that is in a store at one instant to a file that is not there yet.
///
/// # Errors
/// The database is away, or the file cannot be written.
pub async fn write(store: &Store, to: &Path, made_at: Timestamp) -> Result<Summary, BackupError> {
    let mut transaction = store.begin_read("backup").await?;
    transaction.write_plainly().await?;
    let migrations = transaction.schema().await?;
    if migrations.is_empty() {
        return Err(BackupError::Nothing);
    }
    let header = Header::of(made_at, transaction.installation().await?, migrations);
    // What a newer program made has to be kept though it is not known here.
    let ours = made_by(&header.migrations);
    let is_ours = |table: &Table| ours.as_ref().is_none_or(|ours| ours.contains(&table.table));
    let (tables, others): (Vec<Table>, Vec<Table>) = transaction.tables().await?.into_iter().partition(is_ours);
    let left_out = others.into_iter().map(|table| table.table).collect();
    let mut writing = Writing::begin(to, &header)?;
    let mut count = 0;
    for table in &tables {
        writing.table(table)?;
        let rows = transaction.rows_out(table).await?;
        pin_mut!(rows);
        while let Some(chunk) = rows.next().await {
            let chunk = chunk?;
            count += lines(&chunk);
            writing.rows(&chunk)?;
        }
        writing.end_table()?;
    }
    transaction.commit().await?;
    Ok(Summary { header, tables: tables.len(), rows: count, left_out, sha256: writing.finish()? })
}

/// Reads a backup from its first line to its last, and holds it against its checksum.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub fn check(from: &Path) -> Result<Summary, BackupError> {
    let (mut reading, header) = Reading::begin(from)?;
    let (mut tables, mut rows) = (0, 0);
    loop {
        match reading.part()? {
            Part::Seal(sha256) => return Ok(Summary { header, tables, rows, left_out: Vec::new(), sha256 }),
            Part::Table(_) => tables += 1,
        }
        while reading.row()?.is_some() {
            rows += 1;
        }
    }
}

/// Puts a backup into an empty database, under the schema that it was made with, and brings that up to date.
///
/// # Errors
/// It is damaged or of a newer program, the database is not empty, or away. Then the database is as empty as before.
pub async fn restore(store: &Store, from: &Path) -> Result<Summary, BackupError> {
    let mut summary = check(from)?;
    let (mut reading, header) = Reading::begin(from)?;
    if header != summary.header {
        return Err(BackupError::Damaged);
    }
    store.prepare_restore(&header.migrations).await?;
    let mut transaction = store.begin("restore").await?;
    transaction.write_plainly().await?;
    let there = transaction.tables().await?;
    transaction.make_empty(&there).await?;
    if transaction.schema().await? != header.migrations {
        return Err(RestoreError::Disturbed.into());
    }
    let ours = made_by(&header.migrations).unwrap_or_default();
    let mut waiting: Vec<Table> = there.into_iter().filter(|table| ours.contains(&table.table)).collect();
    loop {
        let table = match reading.part()? {
            Part::Table(table) => table,
            // It may be another file by now.
            Part::Seal(sha256) if sha256 == summary.sha256 => break,
            Part::Seal(_) => return Err(BackupError::Damaged),
        };
        // A program that could not tell has kept what is nobody's here.
        if !ours.contains(&table.table) {
            while reading.row()?.is_some() {}
            summary.left_out.push(table.table);
            continue;
        }
        let Some(index) = waiting.iter().position(|known| *known == table) else {
            return Err(RestoreError::Tables(format!("{table} is none")).into());
        };
        waiting.remove(index);
        transaction.rows_in(&table, || reading.row().map(|row| row.map(Bytes::from))).await?;
    }
    if let Some(missing) = waiting.first() {
        return Err(RestoreError::Tables(format!("{missing} is missing")).into());
    }
    transaction.go_on_counting().await?;
    transaction.commit().await?;
    store.migrate().await?;
    Ok(summary)
}

fn lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
