//! A certificate and its key, from files.

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of that kind.
    #[error("{}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not go together.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What HTTPS is spoken with.
pub struct Certified {
    /// For HTTP/1.1 and HTTP/2.
    pub config: ServerConfig,
    /// When the certificate expires, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// Reads a certificate and its key from PEM files, and sees that they go together.
///
/// # Errors
/// A file cannot be read, or holds nothing of that kind, or they do not go together.
pub fn certified(certificate: &Path, key: &Path) -> Result<Certified, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(failed(certificate))?;
    let expires_at = chain.first().and_then(expiry);
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certified { config, expires_at })
}

/// When a certificate expires (RFC 5280, section 4.1.2.5), in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
