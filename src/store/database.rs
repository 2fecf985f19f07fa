//! The pool of connections, and the schema.

use super::error::StoreError;
use crate::config::DatabaseSettings;
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::str::FromStr;

/// A schema that is ahead of this program is no error: migrations are made so that the program before goes on working.
fn migrations() -> sqlx::migrate::Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.set_ignore_missing(true);
    migrations
}

/// Everything that is kept.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: PgPool,
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
    pub fn open(address: &Address, settings: &DatabaseSettings) -> Self {
        let options = address.0.clone().application_name("lockkeeper").log_statements(tracing::log::LevelFilter::Trace);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.connect_timeout())
            .connect_lazy_with(options);
        Self { pool }
    }

    /// Brings the schema up to date. Processes that do so together queue on a lock; each migration runs once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrations().run(&self.pool).await.map_err(StoreError::Migrate)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
