//! Certificates and their private keys, read from files.

use crate::files;
use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or has no PEM section of the expected kind.
    #[error("{}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The certificate and the key do not match.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// The maximum size of a certificate or key file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// A TLS configuration, and when its certificate expires.
pub struct Certified {
    /// The configuration, for HTTP/1.1 and HTTP/2.
    pub config: ServerConfig,
    /// When the certificate expires, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// Reads a certificate and its key from PEM files and checks that they match.
///
/// # Errors
/// A file cannot be read or has no PEM section of the expected kind, or the key does not match the certificate.
pub fn certified(certificate: &Path, key: &Path) -> Result<Certified, TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let read = |path| files::read(path, MAX_BYTES).map_err(|error| failed(path)(pem::Error::Io(error)));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
    let chain = chain.map_err(failed(certificate))?;
    let expires_at = chain.first().and_then(expiry);
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(failed(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certified { config, expires_at })
}

/// Returns when a certificate expires (RFC 5280, section 4.1.2.5), in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
