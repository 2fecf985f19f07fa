//! The pool of connections, and the schema.

use super::error::StoreError;
use crate::{config::DatabaseSettings, telemetry::Metrics};
use sqlx::{
    ConnectOptions, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeMap, str::FromStr};

/// A schema that is ahead of this program is no error: migrations are made so that the program before goes on working.
pub(super) fn migrations() -> sqlx::migrate::Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
}

/// Everything that is kept.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: PgPool,
    pub(super) metrics: Metrics,
}

/// How to reach a database.
#[derive(Debug, Clone)]
pub struct Address(PgConnectOptions);

impl Address {
    /// Reads a `postgres://` URL.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        PgConnectOptions::from_str(url).map(Self).map_err(StoreError::Address)
    }
}

impl Store {
    /// Opens a pool. Nothing is connected yet: a database that is away does not keep a process from starting.
    #[must_use]
    pub fn open(address: &Address, settings: &DatabaseSettings, metrics: Metrics) -> Self {
        let options = address.0.clone().application_name("lockkeeper").log_statements(tracing::log::LevelFilter::Trace);
        // Every server that is good enough writes floats exactly by itself, and poolers refuse what they do not know.
        let options = options.extra_float_digits(None);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.connect_timeout())
            .connect_lazy_with(options);
        Self { pool, metrics }
    }

    /// Brings the schema up to date. Processes that do so together queue on a lock; each migration runs once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // The lock on which processes queue is a connection's, which a pooler of transactions cannot give.
        if self.is_up_to_date().await? {
            return Ok(());
        }
        migrations().run(&self.pool).await.map_err(StoreError::Migrate)
    }

    /// Does the schema have all that this program needs?
    ///
    /// # Errors
    /// The database is away, or a migration of it was another one than ours of that name.
    pub async fn is_up_to_date(&self) -> Result<bool, StoreError> {
        let mut transaction = self.begin_read("schema_version").await?;
        let is_there: bool = sqlx::query_scalar(
            "-- name: schema_is_there
            select to_regclass('_sqlx_migrations') is not null",
        )
        .fetch_one(transaction.connection())
        .await
        .map_err(StoreError::at("schema_is_there"))?;
        if !is_there {
            return Ok(false);
        }
        let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "-- name: schema_version
            select version, checksum from _sqlx_migrations where success",
        )
        .fetch_all(transaction.connection())
        .await
        .map_err(StoreError::at("schema_version"))?;
        let applied: BTreeMap<i64, Vec<u8>> = applied.into_iter().collect();
        for migration in migrations().iter() {
            match applied.get(&migration.version) {
                None => return Ok(false),
                Some(checksum) if *checksum == *migration.checksum => {}
                Some(_) => return Err(StoreError::Migrate(MigrateError::VersionMismatch(migration.version))),
            }
        }
        Ok(true)
    }

    /// Tells how many connections there are that do nothing, and that work.
    pub fn connections(&self) -> impl Fn() -> (u32, u32) + Send + Sync + use<> {
        let pool = self.pool.clone();
        move || {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            (idle, pool.size().saturating_sub(idle))
        }
    }

    /// Where what is done here is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
