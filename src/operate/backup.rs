//! Writes, checks and restores backups: the whole database in one file.

use super::backup_file::{BackupReader, BackupWriter, Part};
pub use super::{
    backup_error::{BackupError, Limit},
    backup_file::Header,
};
use crate::store::{
    Store,
    dump::{RestoreError, Table, is_backed_up, tables_of_migrations},
};
use bytes::Bytes;
use futures_util::{StreamExt, pin_mut};
use jiff::Timestamp;
use std::path::Path;

/// A summary of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its header.
    pub header: Header,
    /// The number of tables.
    pub tables: usize,
    /// The number of rows of all tables.
    pub rows: u64,
    /// Tables of other programs, which were skipped.
    pub left_out: Vec<String>,
    /// The checksum of its content.
    pub sha256: String,
}

/// Writes a consistent copy of the database to a new file.
///
/// # Errors
/// The database is unavailable, or the file exists or cannot be written.
pub async fn write(store: &Store, to: &Path, made_at: Timestamp) -> Result<Summary, BackupError> {
    let mut transaction = store.begin_read("backup").await?;
    transaction.use_portable_formats().await?;
    let migrations = transaction.schema().await?;
    if migrations.is_empty() {
        return Err(BackupError::NoSchema);
    }
    let header = Header::new(made_at, transaction.installation().await?, migrations);
    // With a newer schema, unknown tables are included.
    let known = tables_of_migrations(&header.migrations);
    let is_known = |table: &Table| known.as_ref().is_none_or(|known| known.contains(&table.table));
    let tables = transaction.tables().await?.into_iter().filter(|table| is_backed_up(&table.table));
    let (tables, others): (Vec<Table>, Vec<Table>) = tables.partition(is_known);
    let left_out = others.into_iter().map(|table| table.table).collect();
    let mut writer = BackupWriter::begin(to, &header)?;
    let mut count = 0;
    for table in &tables {
        writer.table(table)?;
        let rows = transaction.copy_rows_out(table).await?;
        pin_mut!(rows);
        while let Some(chunk) = rows.next().await {
            let chunk = chunk?;
            count += count_lines(&chunk);
            writer.rows(&chunk)?;
        }
        writer.end_table()?;
    }
    transaction.commit().await?;
    Ok(Summary { header, tables: tables.len(), rows: count, left_out, sha256: writer.finish()? })
}

/// Reads a whole backup and verifies its checksum.
///
/// # Errors
/// The file cannot be read, or is damaged.
pub fn check(from: &Path) -> Result<Summary, BackupError> {
    let (mut reader, header) = BackupReader::begin(from)?;
    let (mut tables, mut rows) = (0, 0);
    loop {
        match reader.part()? {
            Part::Seal(sha256) => return Ok(Summary { header, tables, rows, left_out: Vec::new(), sha256 }),
            Part::Table(_) => tables += 1,
        }
        while reader.row()?.is_some() {
            rows += 1;
        }
    }
}

/// Is called with the name of each table that was restored, and its number of rows.
pub type OnTable<'a> = &'a (dyn Fn(&str, u64) + Sync);

/// Restores a backup into an empty database under the schema of the backup, and then migrates the schema.
///
/// # Errors
/// The backup is damaged or from a newer version, or the database is not empty or unavailable. The database then stays empty.
pub async fn restore(store: &Store, from: &Path, restored: OnTable<'_>) -> Result<Summary, BackupError> {
    let mut summary = check(from)?;
    let (mut reader, header) = BackupReader::begin(from)?;
    if header != summary.header {
        return Err(BackupError::Damaged);
    }
    store.prepare_restore(&header.migrations).await?;
    let mut transaction = store.begin("restore").await?;
    transaction.use_portable_formats().await?;
    let present = transaction.tables().await?;
    transaction.lock_empty_tables(&present).await?;
    if transaction.schema().await? != header.migrations {
        return Err(RestoreError::SchemaChanged.into());
    }
    let known = tables_of_migrations(&header.migrations).unwrap_or_default();
    let mut missing: Vec<Table> =
        present.into_iter().filter(|table| is_backed_up(&table.table) && known.contains(&table.table)).collect();
    loop {
        let table = match reader.part()? {
            Part::Table(table) => table,
            // Checked again, since the file may have been replaced.
            Part::Seal(sha256) if sha256 == summary.sha256 => break,
            Part::Seal(_) => return Err(BackupError::Damaged),
        };
        // Tables of other programs, included by a version that did not know the schema.
        if !known.contains(&table.table) {
            while reader.row()?.is_some() {}
            summary.left_out.push(table.table);
            continue;
        }
        let Some(index) = missing.iter().position(|expected| *expected == table) else {
            return Err(RestoreError::Tables(format!("{table} is not expected")).into());
        };
        missing.remove(index);
        let mut rows = 0;
        let next = || {
            let row = reader.row()?;
            rows += u64::from(row.is_some());
            Ok::<_, BackupError>(row.map(Bytes::from))
        };
        transaction.copy_rows_in(&table, next).await?;
        restored(&table.table, rows);
    }
    if let Some(table) = missing.first() {
        return Err(RestoreError::Tables(format!("{table} is missing")).into());
    }
    transaction.reset_sequences().await?;
    transaction.commit().await?;
    store.migrate().await?;
    Ok(summary)
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
