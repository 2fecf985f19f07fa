//! Copies all rows of all tables out and in, for backups. It finds tables in the system catalog, so a new table is never missed.

use super::{
    database::{Store, migrations},
    error::StoreError,
    events, image_checks,
    transaction::Transaction,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use std::{collections::BTreeSet, fmt};
use thiserror::Error;

/// A table and its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table's name.
    pub table: String,
    /// The names of its columns, in the order of the values in a row.
    pub columns: Vec<String>,
}

/// Returns true for tables that have rows in an otherwise empty database: those that a process fills by itself.
fn is_never_empty(table: &str) -> bool {
    table == "installation" || !is_backed_up(table)
}

/// Returns true for all tables but those that a restored database fills anew.
#[must_use]
pub fn is_backed_up(table: &str) -> bool {
    !events::TABLES.contains(&table) && !image_checks::TABLES.contains(&table)
}

/// Errors of restoring rows into a database.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The database is not empty.
    #[error("the database is not empty: it contains {0}; restore into a new database")]
    NotEmpty(String),
    /// The backup has a schema that this program does not know.
    #[error(
        "the backup comes from a newer version of lockkeeper (unknown migration {0}); restore it with that version or a later one"
    )]
    Newer(i64),
    /// The backup's tables do not match its schema.
    #[error("the tables in the backup do not match its schema: {0}")]
    Tables(String),
    /// Another process changed the schema during the restore.
    #[error("the schema changed during the restore: stop every service that uses this database, and try again")]
    SchemaChanged,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the tables that these migrations create, or `None` if this program does not know all of the migrations.
#[must_use]
pub fn tables_of_migrations(schema: &[i64]) -> Option<BTreeSet<String>> {
    let migrations = migrations();
    let is_known = |version: &i64| migrations.iter().any(|migration| migration.version == *version);
    let applied = migrations.iter().filter(|migration| schema.contains(&migration.version));
    let name = |rest: &str| rest.split([' ', '(']).next().unwrap_or_default().to_owned();
    schema.iter().all(is_known).then(|| {
        applied.flat_map(|migration| migration.sql.as_str().split("\ncreate table ").skip(1).map(name)).collect()
    })
}

impl Transaction {
    /// Returns the applied migrations, oldest first; empty if there is no schema.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn schema(&mut self) -> Result<Vec<i64>, StoreError> {
        let has_schema: bool =
            sqlx::query_scalar("-- name: schema_there\nselect to_regclass('_sqlx_migrations') is not null")
                .fetch_one(self.connection())
                .await
                .map_err(StoreError::at("schema_there"))?;
        if !has_schema {
            return Ok(Vec::new());
        }
        sqlx::query_scalar("-- name: schema\nselect version from _sqlx_migrations where success order by version")
            .fetch_all(self.connection())
            .await
            .map_err(StoreError::at("schema"))
    }

    /// Returns all tables except those of extensions; each follows the tables that it refers to.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let rows: Vec<(String, Vec<String>, Vec<String>)> = sqlx::query_as(
            "-- name: tables
            select relname::text, (select coalesce(array_agg(attname::text order by attnum), '{}') from pg_attribute
                    where attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''),
                (select coalesce(array_agg(referred.relname::text), '{}') from pg_constraint
                    join pg_class referred on referred.oid = confrelid
                    where contype = 'f' and conrelid = pg_class.oid and confrelid <> conrelid)
            from pg_class
            where relkind = 'r' and relnamespace = current_schema()::regnamespace and relname <> '_sqlx_migrations'
                and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid
                    and deptype = 'e')
            order by relname",
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("tables"))?;
        let mut waiting: Vec<(Table, Vec<String>)> =
            rows.into_iter().map(|(table, columns, referred)| (Table { table, columns }, referred)).collect();
        let mut sorted: Vec<Table> = Vec::new();
        while !waiting.is_empty() {
            let is_sorted = |name: &String| sorted.iter().any(|table| table.table == *name);
            let (next, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, referred)| referred.iter().all(is_sorted));
            if next.is_empty() {
                return Err(StoreError::corrupt("pg_constraint", "the foreign keys of tables form a cycle"));
            }
            sorted.extend(next.into_iter().map(|(table, _)| table));
            waiting = rest;
        }
        Ok(sorted)
    }

    /// Sets output formats for this transaction, so that rows have the same text whatever the server's settings are.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn use_portable_formats(&mut self) -> Result<(), StoreError> {
        sqlx::raw_sql(
            "-- name: write_plainly
            set local datestyle = 'ISO, YMD'; set local timezone = 'UTC'; set local extra_float_digits = 1;
            set local bytea_output = 'hex'; set local intervalstyle = 'iso_8601'",
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("write_plainly"))
    }

    /// Returns the rows of a table, one line each, in the text format of PostgreSQL's `copy`.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn copy_rows_out<'a>(
        &'a mut self,
        table: &Table,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + use<'a>, StoreError> {
        let statement = format!("-- name: rows_out\ncopy {table} to stdout");
        let rows = self.connection().copy_out_raw(&statement).await.map_err(StoreError::at("rows_out"))?;
        Ok(rows.map(|chunk| chunk.map_err(StoreError::at("rows_out"))))
    }

    /// Writes rows into a table. `next` returns chunks of any size, which may split lines.
    ///
    /// # Errors
    /// The database is unavailable, or the rows do not fit the table.
    pub async fn copy_rows_in<E: From<StoreError>>(
        &mut self,
        table: &Table,
        mut next: impl FnMut() -> Result<Option<Bytes>, E>,
    ) -> Result<(), E> {
        let statement = format!("-- name: rows_in\ncopy {table} from stdin");
        let at = || StoreError::at("rows_in");
        let mut copy = self.connection().copy_in_raw(&statement).await.map_err(at())?;
        loop {
            match next() {
                Ok(Some(rows)) => drop(copy.send(rows).await.map_err(at())?),
                Ok(None) => break,
                Err(error) => {
                    copy.abort("reading the rows failed").await.map_err(at())?;
                    return Err(error);
                }
            }
        }
        copy.finish().await.map_err(at())?;
        Ok(())
    }

    /// Locks tables, checks that they are empty, and deletes the rows that an empty database has.
    ///
    /// # Errors
    /// A table has other rows, or the database is unavailable.
    pub async fn lock_empty_tables(&mut self, tables: &[Table]) -> Result<(), RestoreError> {
        for table in tables {
            let name = quoted(&table.table);
            let statement = format!("-- name: lock_table\nlock table {name} in access exclusive mode");
            self.run("lock_table", statement).await?;
            if is_never_empty(&table.table) {
                self.run("empty_table", format!("-- name: empty_table\ndelete from {name}")).await?;
                continue;
            }
            let statement = format!("-- name: is_empty\nselect not exists (select from {name})");
            let is_empty: bool = sqlx::query_scalar(AssertSqlSafe(statement))
                .fetch_one(self.connection())
                .await
                .map_err(StoreError::at("is_empty"))?;
            if !is_empty {
                return Err(RestoreError::NotEmpty(table.table.clone()));
            }
        }
        Ok(())
    }

    /// Sets the sequences of identity columns to continue after the largest value in use.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn reset_sequences(&mut self) -> Result<(), StoreError> {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "-- name: counted_columns
            select table_name::text, column_name::text from information_schema.columns
            where table_schema = current_schema() and is_identity = 'YES'",
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("counted_columns"))?;
        for (table, column) in columns {
            let (name, counted) = (quoted(&table), quoted(&column));
            let statement = format!(
                "-- name: go_on_counting
                select setval(pg_get_serial_sequence({}, {}), coalesce(max({counted}), 0) + 1, false) from {name}",
                literal(&name),
                literal(&column),
            );
            self.run("go_on_counting", statement).await?;
        }
        Ok(())
    }

    async fn run(&mut self, name: &'static str, statement: String) -> Result<(), StoreError> {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(self.connection()).await;
        done.map(drop).map_err(StoreError::at(name))
    }
}

impl Store {
    /// Brings an empty database to the schema that these migrations create.
    ///
    /// # Errors
    /// The database is not empty, or this program does not know one of the migrations.
    pub async fn prepare_restore(&self, schema: &[i64]) -> Result<(), RestoreError> {
        let known: BTreeSet<i64> = migrations().iter().map(|migration| migration.version).collect();
        if let Some(unknown) = schema.iter().find(|version| !known.contains(version)) {
            return Err(RestoreError::Newer(*unknown));
        }
        let mut transaction = self.begin("prepare_restore").await?;
        let present = transaction.schema().await?;
        if present != schema {
            let tables = transaction.tables().await?;
            // Tables of other programs are not touched, not even empty ones.
            if let Some(table) = tables.first().filter(|_| present.is_empty()) {
                return Err(RestoreError::NotEmpty(table.table.clone()));
            }
            transaction.lock_empty_tables(&tables).await?;
            // With a newer schema, the owner of a table is unknown. All tables have just been found empty.
            let known = tables_of_migrations(&present);
            let is_known = |name: &&str| known.as_ref().is_none_or(|known| known.contains(*name));
            let names = tables.iter().map(|table| table.table.as_str()).filter(is_known);
            for name in names.chain(["_sqlx_migrations"]) {
                let statement = format!("-- name: drop_table\ndrop table if exists {} cascade", quoted(name));
                transaction.run("drop_table", statement).await?;
            }
        }
        transaction.commit().await?;
        let newest = schema.last().copied().unwrap_or_default();
        Ok(migrations().run_to(newest, &self.pool).await.map_err(StoreError::Migrate)?)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        write!(formatter, "{} ({})", quoted(&self.table), columns.join(", "))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_column_names_are_quoted() {
        let table = Table { table: "a\"; drop table b".into(), columns: vec!["c".into(), "d\"".into()] };
        assert_eq!(table.to_string(), "\"a\"\"; drop table b\" (\"c\", \"d\"\"\")");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
