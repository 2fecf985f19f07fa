//! `[registries]`

use super::host_pattern::HostPattern;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which registries images are read from, and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySettings {
    /// The registries that callers of the API may name. Local commands may name any registry.
    pub allow: Vec<HostPattern>,
    /// The registries, token servers and blob servers that may have private, loopback and link-local addresses.
    pub private: Vec<HostPattern>,
    /// A file with credentials, in the format of container tools (`auth.json`).
    pub auth_file: Option<PathBuf>,
}
