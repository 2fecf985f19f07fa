//! All rows of all tables, out and in: what backups are made of. It knows no table by name but one, so that none is forgotten.

use super::{
    database::{Store, migrations},
    error::StoreError,
    transaction::Transaction,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use std::{collections::BTreeSet, fmt};
use thiserror::Error;

/// A table, and the columns that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// Their names, in the order in which rows have them.
    pub columns: Vec<String>,
}

/// The one table that has a row from the beginning.
const NEVER_EMPTY: &str = "installation";

/// Why rows cannot be put into a database.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// There is something already.
    #[error("the database is not empty, there is {0} in it: restore into a new one")]
    NotEmpty(String),
    /// They are of a schema that this program does not know.
    #[error(
        "it was made by a newer program, whose schema this one does not know (migration {0}); use that one, or a later one"
    )]
    Newer(i64),
    /// The tables are not those of its schema.
    #[error("its tables are not those of its schema: {0}")]
    Tables(String),
    /// Somebody else changed the schema meanwhile.
    #[error("the schema was changed meanwhile: stop every service that uses this database, and try again")]
    Disturbed,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tables that these migrations make; none if this program does not know all of them, and therefore cannot tell.
#[must_use]
pub fn made_by(schema: &[i64]) -> Option<BTreeSet<String>> {
    let migrations = migrations();
    let is_known = |version: &i64| migrations.iter().any(|migration| migration.version == *version);
    let applied = migrations.iter().filter(|migration| schema.contains(&migration.version));
    let name = |rest: &str| rest.split([' ', '(']).next().unwrap_or_default().to_owned();
    schema.iter().all(is_known).then(|| {
        applied.flat_map(|migration| migration.sql.as_str().split("\ncreate table ").skip(1).map(name)).collect()
    })
}

impl Transaction {
    /// The migrations that were applied, the oldest first; none where there is no schema.
    ///
    /// # Errors
    /// The database is away.
    pub async fn schema(&mut self) -> Result<Vec<i64>, StoreError> {
        let there: bool =
            sqlx::query_scalar("-- name: schema_there\nselect to_regclass('_sqlx_migrations') is not null")
                .fetch_one(self.connection())
                .await
                .map_err(StoreError::at("schema_there"))?;
        if !there {
            return Ok(Vec::new());
        }
        sqlx::query_scalar("-- name: schema\nselect version from _sqlx_migrations where success order by version")
            .fetch_all(self.connection())
            .await
            .map_err(StoreError::at("schema"))
    }

    /// All tables but those of extensions, each behind those that it refers to.
    ///
    /// # Errors
    /// The database is away.
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
            rows.into_iter().map(|(table, columns, behind)| (Table { table, columns }, behind)).collect();
        let mut placed: Vec<Table> = Vec::new();
        while !waiting.is_empty() {
            let is_placed = |name: &String| placed.iter().any(|table| table.table == *name);
            let (next, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, behind)| behind.iter().all(is_placed));
            if next.is_empty() {
                return Err(StoreError::corrupt("pg_constraint", "tables that refer to each other in a circle"));
            }
            placed.extend(next.into_iter().map(|(table, _)| table));
            waiting = rest;
        }
        Ok(placed)
    }

    /// Rows are written the same by every server, however it is set.
    ///
    /// # Errors
    /// The database is away.
    pub async fn write_plainly(&mut self) -> Result<(), StoreError> {
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

    /// The rows of a table: a line each, in the text format of PostgreSQL's `copy`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn rows_out<'a>(
        &'a mut self,
        table: &Table,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + use<'a>, StoreError> {
        let statement = format!("-- name: rows_out\ncopy {table} to stdout");
        let rows = self.connection().copy_out_raw(&statement).await.map_err(StoreError::at("rows_out"))?;
        Ok(rows.map(|chunk| chunk.map_err(StoreError::at("rows_out"))))
    }

    /// Puts rows into a table. They come in pieces, with whole lines or parts of them.
    ///
    /// # Errors
    /// The database is away, or the rows are none of this table.
    pub async fn rows_in<E: From<StoreError>>(
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
                    copy.abort("the rows end here").await.map_err(at())?;
                    return Err(error);
                }
            }
        }
        copy.finish().await.map_err(at())?;
        Ok(())
    }

    /// Makes tables that nobody uses meanwhile empty: the one row that there is from the beginning goes too.
    ///
    /// # Errors
    /// There is more in them, or the database is away.
    pub async fn make_empty(&mut self, tables: &[Table]) -> Result<(), RestoreError> {
        for table in tables {
            let name = quoted(&table.table);
            let statement = format!("-- name: lock_table\nlock table {name} in access exclusive mode");
            self.run("lock_table", statement).await?;
            if table.table == NEVER_EMPTY {
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

    /// Numbers that the database gives go on behind those that there are.
    ///
    /// # Errors
    /// The database is away.
    pub async fn go_on_counting(&mut self) -> Result<(), StoreError> {
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
    /// Gives an empty database the schema that it had after these migrations.
    ///
    /// # Errors
    /// The database is not empty, or this program does not know one of them.
    pub async fn prepare_restore(&self, schema: &[i64]) -> Result<(), RestoreError> {
        let known: BTreeSet<i64> = migrations().iter().map(|migration| migration.version).collect();
        if let Some(unknown) = schema.iter().find(|version| !known.contains(version)) {
            return Err(RestoreError::Newer(*unknown));
        }
        let mut transaction = self.begin("prepare_restore").await?;
        let there = transaction.schema().await?;
        if there != schema {
            let tables = transaction.tables().await?;
            // What is not ours is left alone, even where it is empty.
            if let Some(table) = tables.first().filter(|_| there.is_empty()) {
                return Err(RestoreError::NotEmpty(table.table.clone()));
            }
            transaction.make_empty(&tables).await?;
            // Of a newer schema nobody can tell whose a table is; it has just been seen to be empty.
            let ours = made_by(&there);
            let is_ours = |name: &&str| ours.as_ref().is_none_or(|ours| ours.contains(*name));
            let names = tables.iter().map(|table| table.table.as_str()).filter(is_ours);
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
    fn names_out_of_a_file_stay_names() {
        let table = Table { table: "a\"; drop table b".into(), columns: vec!["c".into(), "d\"".into()] };
        assert_eq!(table.to_string(), "\"a\"\"; drop table b\" (\"c\", \"d\"\"\")");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
