//! `[auth]`

use super::{
    error::{ConfigError, positive},
    issuers::IssuerSettings,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Authentication: this service's tokens, and external issuers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The file of the Ed25519 key that signs this service's tokens (PKCS#8, PEM, mode 0600). Created if missing.
    pub signing_key_file: Option<PathBuf>,
    /// The longest lifetime of this service's tokens. `lockkeeper token create` may exceed it; the audit log records that.
    pub max_token_lifetime: SignedDuration,
    /// External issuers whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self { signing_key_file: None, max_token_lifetime: SignedDuration::from_hours(90 * 24), issuers: Vec::new() }
    }
}

impl AuthSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        positive("auth.max_token_lifetime", self.max_token_lifetime)?;
        let mut seen = BTreeSet::new();
        for (index, issuer) in self.issuers.iter().enumerate() {
            issuer.validate(index)?;
            if !seen.insert(&issuer.issuer) {
                let setting = format!("auth.issuers[{index}].issuer");
                return Err(ConfigError::value(&setting, "appears twice: put all rules of an issuer into one entry"));
            }
        }
        Ok(())
    }

    /// Returns the path of the signing key; by default it is in the data directory.
    #[must_use]
    pub fn signing_key(&self, data_dir: &Path) -> PathBuf {
        self.signing_key_file.clone().unwrap_or_else(|| data_dir.join("signing-key.pem"))
    }
}
