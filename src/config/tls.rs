//! `[tls]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// HTTPS on the listeners for agents and managers; plain HTTP without.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// A PEM file with the certificate and those between it and the root.
    pub certificate: Option<PathBuf>,
    /// A PEM file with its private key.
    pub key: Option<PathBuf>,
}

impl TlsSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(ConfigError::value("tls.key", "is missing beside tls.certificate")),
            (None, Some(_)) => Err(ConfigError::value("tls.certificate", "is missing beside tls.key")),
            _ => Ok(()),
        }
    }

    /// The files, if HTTPS is wanted.
    #[must_use]
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.certificate.as_deref()?, self.key.as_deref()?))
    }
}
