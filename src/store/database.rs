//! The connection pool, and schema migrations.

use super::error::StoreError;
use crate::{config::DatabaseSettings, telemetry::Metrics};
use sqlx::{
    ConnectOptions, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeMap, str::FromStr};

/// Returns the migrations. A schema newer than this program is not an error: each migration keeps the previous version working.
pub(super) fn migrations() -> sqlx::migrate::Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
}

/// A handle to the database; clones share its connection pool.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: PgPool,
    pub(super) metrics: Metrics,
}

/// The parsed URL of a database.
#[derive(Debug, Clone)]
pub struct Address(PgConnectOptions);

impl Address {
    /// Parses a `postgres://` URL.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        PgConnectOptions::from_str(url).map(Self).map_err(StoreError::Address)
    }
}

impl Store {
    /// Creates a pool without connecting, so a process can start while the database is unavailable.
    #[must_use]
    pub fn open(address: &Address, settings: &DatabaseSettings, metrics: Metrics) -> Self {
        let options = address.0.clone().application_name("lockkeeper").log_statements(tracing::log::LevelFilter::Trace);
        // Supported servers write floats exactly by default, and poolers reject startup parameters that they do not know.
        let options = options.extra_float_digits(None);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.connect_timeout())
            .connect_lazy_with(options);
        Self { pool, metrics }
    }

    /// Applies pending migrations. Concurrent processes queue on a lock, and each migration runs once.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // The migration lock belongs to a session, which a transaction pooler does not provide: avoid it if possible.
        if self.is_up_to_date().await? {
            return Ok(());
        }
        migrations().run(&self.pool).await.map_err(StoreError::Migrate)
    }

    /// Returns true if every migration that this program knows has been applied.
    ///
    /// # Errors
    /// The database is unavailable, or an applied migration differs from the one in this program.
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

    /// Returns a function that counts idle and busy connections.
    pub fn connections(&self) -> impl Fn() -> (u32, u32) + Send + Sync + use<> {
        let pool = self.pool.clone();
        move || {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            (idle, pool.size().saturating_sub(idle))
        }
    }

    /// Returns the largest number of connections that this process opens.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        usize::try_from(self.pool.options().get_max_connections()).unwrap_or(usize::MAX)
    }

    /// Returns the metrics that transactions are recorded in.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
