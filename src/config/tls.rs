//! `[tls]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// HTTPS on the listeners for agents and managers; without these settings they use plain HTTP.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// A PEM file with the certificate and its intermediate certificates.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the private key.
    pub key: Option<PathBuf>,
}

impl TlsSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err(ConfigError::value("tls.key", "is required with tls.certificate")),
            (None, Some(_)) => Err(ConfigError::value("tls.certificate", "is required with tls.key")),
            _ => Ok(()),
        }
    }

    /// Returns the files, if HTTPS is configured.
    #[must_use]
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.certificate.as_deref()?, self.key.as_deref()?))
    }
}
