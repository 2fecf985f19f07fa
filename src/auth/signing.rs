//! The private key that tokens of our own are signed with: a file that only its owner reads.

use crate::domain::hash::ContentHash;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding};
use jsonwebtoken::EncodingKey;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("the signing key {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the signing key {} is open to others; make it readable by its owner alone (mode 0600)", _0.display())]
    Open(PathBuf),
    /// It is no key.
    #[error("the signing key {} is no Ed25519 private key in PKCS#8 and PEM", _0.display())]
    NoKey(PathBuf),
}

/// An Ed25519 key.
pub struct SigningKey {
    /// The name of the key, which follows from its public half.
    pub kid: String,
    /// Its public half.
    pub public: [u8; 32],
    pub(super) private: EncodingKey,
}

impl SigningKey {
    /// Reads a key; makes one where there is none yet.
    ///
    /// # Errors
    /// The file cannot be read or made, is open to others, or holds no key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.into(), source };
        match std::fs::metadata(path) {
            Ok(found) if found.mode() & others(&found) != 0 => return Err(KeyError::Open(path.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let no_key = || KeyError::NoKey(path.into());
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(&text).map_err(|_| no_key())?;
        let der = key.to_pkcs8_der().map_err(|_| no_key())?;
        let public = key.verifying_key().to_bytes();
        let kid = ContentHash::of(&public).to_string().chars().take(16).collect();
        Ok(Self { kid, public, private: EncodingKey::from_ed_der(der.as_bytes()) })
    }
}

/// Who may not read it. A file of root's may be read by its group: so secrets are handed to an account that owns nothing.
fn others(found: &std::fs::Metadata) -> u32 {
    if found.uid() == 0 { 0o037 } else { 0o077 }
}

/// Makes a key beside its place and moves it there: of several processes that do so at once, one wins.
fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key = ed25519_dalek::SigningKey::generate(&mut rand_core::OsRng);
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&unfinished, path);
    std::fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
