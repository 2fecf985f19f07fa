//! `[database]`

use super::error::{ConfigError, positive, to_std};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// A `postgres://` URL; without one, a private PostgreSQL runs below the data directory.
    pub url: Option<String>,
    /// The folder of the private PostgreSQL's programs; absent: searched for.
    pub postgres_bin: Option<PathBuf>,
    /// The largest number of connections that this process opens, at least 2.
    pub max_connections: u32,
    /// How long to wait for a connection before an operation fails.
    pub connect_timeout: SignedDuration,
    /// Whether to migrate the schema at start; otherwise `serve` waits until it is migrated.
    pub migrate: bool,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            postgres_bin: None,
            max_connections: 10,
            connect_timeout: SignedDuration::from_secs(5),
            migrate: true,
        }
    }
}

impl DatabaseSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_connections < 2 {
            return Err(ConfigError::value(
                "database.max_connections",
                "must be at least 2: one connection receives notifications",
            ));
        }
        positive("database.connect_timeout", self.connect_timeout)
    }

    /// Returns how long to wait for a connection.
    #[must_use]
    pub fn connect_timeout(&self) -> std::time::Duration {
        to_std(self.connect_timeout)
    }
}
