//! `[auth]`

use super::{error::ConfigError, issuers::IssuerSettings};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Who may do what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The Ed25519 key that tokens of our own are signed with (PKCS#8, PEM, mode 0600); made where it is missing.
    pub signing_key_file: Option<PathBuf>,
    /// Whose tokens are taken besides our own.
    pub issuers: Vec<IssuerSettings>,
}

impl AuthSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for (place, issuer) in self.issuers.iter().enumerate() {
            issuer.validate(place)?;
            if !seen.insert(&issuer.issuer) {
                let setting = format!("auth.issuers[{place}].issuer");
                return Err(ConfigError::value(&setting, "is there twice; give one entry all the rules"));
            }
        }
        Ok(())
    }

    /// The file, which lies in the data directory unless another is named.
    #[must_use]
    pub fn signing_key(&self, data_dir: &Path) -> PathBuf {
        self.signing_key_file.clone().unwrap_or_else(|| data_dir.join("signing-key.pem"))
    }
}
