//! `[catalog]`

use super::error::{ConfigError, positive, to_std};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The copy of everything in memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSettings {
    /// How often the store is asked for changes whose notification did not arrive.
    pub poll_interval: SignedDuration,
    /// Listen for notifications, so that changes show at once.
    pub notifications: bool,
    /// How long the store may be silent before every share stands still: what was paused meanwhile cannot be known.
    pub freeze_after: SignedDuration,
    /// Keep the last good state below `data_dir`, to serve it when a process starts while the database is away.
    pub keep_copy: bool,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            poll_interval: SignedDuration::from_secs(1),
            notifications: true,
            freeze_after: SignedDuration::from_mins(10),
            keep_copy: true,
        }
    }
}

impl CatalogSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        positive("catalog.poll_interval", self.poll_interval)?;
        positive("catalog.freeze_after", self.freeze_after)
    }

    /// How often to ask.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        to_std(self.poll_interval)
    }
}
