//! The way to the database, whichever it is: one that a URL names, or the private one.

use super::{
    database::{Address, Store},
    embedded::{Cluster, EmbeddedError},
    error::StoreError,
};
use crate::{config::DatabaseSettings, telemetry::Metrics};
use std::path::Path;
use thiserror::Error;

/// A store, and the private cluster below it where there is one.
#[derive(Debug)]
pub struct Access {
    store: Store,
    url: String,
    cluster: Option<Cluster>,
}

/// Why there is no way to the database.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The address is none.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private PostgreSQL does not run.
    #[error("the private PostgreSQL cannot be used")]
    Embedded(#[from] EmbeddedError),
}

impl Access {
    /// Opens the database that the settings name, or starts the private one. One that is named may be away for now.
    ///
    /// # Errors
    /// The address is none, or the private PostgreSQL does not start.
    pub async fn open(settings: &DatabaseSettings, data_dir: &Path) -> Result<Self, AccessError> {
        Self::metered(settings, data_dir, Metrics::off()).await
    }

    /// The same, counted.
    ///
    /// # Errors
    /// The same.
    pub async fn metered(settings: &DatabaseSettings, data_dir: &Path, metrics: Metrics) -> Result<Self, AccessError> {
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

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The URL of the database, with whatever secret stands in it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts the private PostgreSQL again if it is not running; of another database nothing can be done.
    ///
    /// # Errors
    /// It does not start.
    pub async fn revive(&self) -> Result<(), AccessError> {
        match &self.cluster {
            Some(cluster) => Ok(cluster.ensure_running().await?),
            None => Ok(()),
        }
    }

    /// Closes all connections, and stops the private PostgreSQL if nobody else uses it.
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
