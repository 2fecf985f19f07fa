//! `[catalog]`

use super::error::{ConfigError, positive, to_std};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The in-memory catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSettings {
    /// How often to check the database for changes whose notification did not arrive.
    pub poll_interval: SignedDuration,
    /// Whether to listen for change notifications, which make changes visible at once.
    pub notifications: bool,
    /// How long after the last contact with the database shares are frozen, since a pause made since then is unknown.
    pub stale_after: SignedDuration,
    /// How long after the last contact with the database nothing is offered any more, since an emergency stop made since then is
    /// unknown. Absent: never.
    pub close_after: Option<SignedDuration>,
    /// Whether to keep a snapshot below `data_dir`, which is served if a process starts while the database is unavailable.
    pub keep_snapshot: bool,
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            poll_interval: SignedDuration::from_secs(1),
            notifications: true,
            stale_after: SignedDuration::from_mins(10),
            close_after: None,
            keep_snapshot: true,
        }
    }
}

impl CatalogSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        positive("catalog.poll_interval", self.poll_interval)?;
        positive("catalog.stale_after", self.stale_after)?;
        self.close_after.map_or(Ok(()), |close_after| positive("catalog.close_after", close_after))
    }

    /// Returns how often to check the database for changes.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        to_std(self.poll_interval)
    }
}
