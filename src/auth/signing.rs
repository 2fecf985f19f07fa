//! The private key that signs this service's tokens: a file that only its owner can read.

use crate::{domain::hash::ContentHash, files};
use ed25519_dalek::{
    VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Errors of opening a signing key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or created.
    #[error("cannot use the signing key {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users can read the file.
    #[error("the signing key {} is accessible to other users: set its mode to 0600", _0.display())]
    Open(PathBuf),
    /// The file holds no key.
    #[error("the signing key {} is not an Ed25519 private key in PKCS#8 and PEM", _0.display())]
    NoKey(PathBuf),
}

/// The number of hexadecimal digits of a key's id.
const KID_DIGITS: usize = 16;
/// The largest file of a key, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// An Ed25519 key pair.
pub struct SigningKey {
    /// The id of the key, derived from its public key.
    pub kid: String,
    /// The public key.
    pub public: [u8; 32],
    pub(super) private: EncodingKey,
}

impl SigningKey {
    /// Reads a key, or creates it if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or created, is accessible to other users, or holds no key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.into(), source };
        match std::fs::metadata(path) {
            Ok(found) if found.mode() & forbidden_mode(&found) != 0 => return Err(KeyError::Open(path.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        let text = files::read_text(path, MAX_BYTES).map_err(failed)?;
        let no_key = || KeyError::NoKey(path.into());
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(&text).map_err(|_| no_key())?;
        let der = key.to_pkcs8_der().map_err(|_| no_key())?;
        let public = key.verifying_key().to_bytes();
        let kid = ContentHash::from_content(&public).to_string().chars().take(KID_DIGITS).collect();
        Ok(Self { kid, public, private: EncodingKey::from_ed_der(der.as_bytes()) })
    }
}

/// Returns true for an Ed25519 public key on the curve that is not of small order. With a key of small order, anyone can sign.
pub(super) fn is_strong(public: &[u8]) -> bool {
    VerifyingKey::try_from(public).is_ok_and(|key| !key.is_weak())
}

/// The prefix of the message that is signed to derive a token's private id. JSON web tokens contain no NUL, so this is never the
/// signature of a token.
const PRIVATE_ID: &[u8] = b"lockkeeper token private id 1\0";

impl SigningKey {
    /// Derives a token's private id, 64 hexadecimal digits, from a random number. The result is deterministic, and needs both the
    /// key and the number.
    ///
    /// # Errors
    /// The key cannot sign.
    pub(super) fn private_id(&self, nonce: &[u8; 32]) -> Result<String, jsonwebtoken::errors::Error> {
        let message = [PRIVATE_ID, nonce].concat();
        let signature = jsonwebtoken::crypto::sign(&message, &self.private, Algorithm::EdDSA)?;
        Ok(ContentHash::from_content(signature.as_bytes()).to_string())
    }
}

/// Returns true if `kid` could be the id of a signing key.
pub(super) fn is_kid(kid: &str) -> bool {
    kid.len() == KID_DIGITS && kid.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the mode bits that the file must not have. A file of root may be group-readable, so that root can hand a key to an
/// unprivileged account.
fn forbidden_mode(found: &std::fs::Metadata) -> u32 {
    if found.uid() == 0 { 0o037 } else { 0o077 }
}

/// Creates a key file. If several processes do so at once, one wins, and all of them read its file afterwards.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let key = ed25519_dalek::SigningKey::generate(&mut rand_core::OsRng);
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    match files::create_new(path, 0o600, text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
