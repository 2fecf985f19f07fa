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
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self { poll_interval: SignedDuration::from_secs(1) }
    }
}

impl CatalogSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        positive("catalog.poll_interval", self.poll_interval)
    }

    /// How often to ask.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        to_std(self.poll_interval)
    }
}
