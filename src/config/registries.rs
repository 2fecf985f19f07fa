//! `[registries]`

use super::{error::ConfigError, host_pattern::HostPattern};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which registries images are read from, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySettings {
    /// The registries that callers of the API may name. Local commands may name any registry.
    pub allow: Vec<HostPattern>,
    /// The registries, token servers and blob servers that may have private, loopback and link-local addresses.
    pub private: Vec<HostPattern>,
    /// A file with credentials, in the format of container tools (`auth.json`).
    pub auth_file: Option<PathBuf>,
    /// How often the images that nodes are sent to are asked for. Zero: never.
    pub check_interval: SignedDuration,
    /// Whether a release is published only if registries have its images.
    pub require_images: bool,
    /// How often the repositories that streams follow are asked for new tags.
    pub follow_interval: SignedDuration,
    /// A file with the secret by which registries authenticate when they report changes. Without it, such reports are not accepted.
    pub webhook_secret_file: Option<PathBuf>,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            private: Vec::new(),
            auth_file: None,
            check_interval: SignedDuration::from_hours(24),
            require_images: false,
            follow_interval: SignedDuration::from_mins(5),
            webhook_secret_file: None,
        }
    }
}

/// The shortest time between two looks at a followed repository.
const MIN_FOLLOW_INTERVAL: SignedDuration = SignedDuration::from_secs(10);

impl RegistrySettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.check_interval.is_negative() {
            return Err(ConfigError::value("registries.check_interval", "must be 0s or longer"));
        }
        if self.follow_interval < MIN_FOLLOW_INTERVAL {
            return Err(ConfigError::value("registries.follow_interval", "must be 10s or longer"));
        }
        Ok(())
    }
}
