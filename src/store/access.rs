//! Access to the database: the one at the configured URL, or the private PostgreSQL.

use super::{
    database::{Address, Store},
    embedded::{Cluster, EmbeddedError},
    error::StoreError,
};
use crate::{config::DatabaseSettings, telemetry::Metrics};
use std::path::Path;
use thiserror::Error;

/// A store, and the private cluster that backs it, if any.
#[derive(Debug)]
pub struct Access {
    store: Store,
    url: String,
    cluster: Option<Cluster>,
}

/// Errors of opening or closing the database.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The URL is invalid.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private PostgreSQL cannot be used.
    #[error("cannot use the private PostgreSQL")]
    Embedded(#[from] EmbeddedError),
}

impl Access {
    /// Opens the configured database, or starts the private one. A configured database need not be reachable yet.
    ///
    /// # Errors
    /// The URL is invalid, or the private PostgreSQL does not start.
    pub async fn open(settings: &DatabaseSettings, data_dir: &Path) -> Result<Self, AccessError> {
        Self::open_with_metrics(settings, data_dir, Metrics::off()).await
    }

    /// Opens the database as [`open`](Self::open) does, and records metrics of its transactions.
    ///
    /// # Errors
    /// The URL is invalid, or the private PostgreSQL does not start.
    pub async fn open_with_metrics(
        settings: &DatabaseSettings,
        data_dir: &Path,
        metrics: Metrics,
    ) -> Result<Self, AccessError> {
        let cluster = match &settings.url {
            Some(_) => None,
            None => Some(Cluster::join(data_dir, settings.postgres_bin.as_deref()).await?),
        };
        let url = match (&settings.url, &cluster) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url(),
            (None, None) => String::new(),
        };
        Ok(Self { store: Store::open(&Address::parse(&url)?, settings, metrics), url, cluster })
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the URL of the database, including any password in it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Restarts the private PostgreSQL if it is not running. Does nothing for an external database.
    ///
    /// # Errors
    /// It does not start.
    pub async fn ensure_running(&self) -> Result<(), AccessError> {
        match &self.cluster {
            Some(cluster) => Ok(cluster.ensure_running().await?),
            None => Ok(()),
        }
    }

    /// Closes all connections, and stops the private PostgreSQL if no other process uses it.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn close(self) -> Result<(), AccessError> {
        self.store.close().await;
        match self.cluster {
            Some(cluster) => Ok(cluster.leave().await?),
            None => Ok(()),
        }
    }
}
