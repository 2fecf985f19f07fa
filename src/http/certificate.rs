//! Certificates and their private keys, read from files.

use crate::files;
use rustls::{
    CipherSuite, ServerConfig,
    crypto::{CryptoProvider, ring},
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
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Clients that list AES-256 first accept AES-128, too.
    config.ignore_client_order = true;
    // A ticket costs each connection a system call. The few sessions that rustls keeps are those of other agents when an agent polls
    // again, and a resumed handshake saves a tenth of the time: the key exchange costs more than the signature.
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certified { config, expires_at })
}

/// Returns the cryptography of connections. Agents open a connection for every poll, so most of the cost of a poll is the handshake. Its
/// key schedule is much faster with SHA-256, which processors compute, than with SHA-384: AES-128 comes before AES-256.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// Returns when a certificate expires (RFC 5280, section 4.1.2.5), in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    #[test]
    fn connections_use_sha_256_even_if_the_client_prefers_sha_384() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        let server = certified(&certificate, &key).unwrap().config;
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut answered = Vec::new();
            server.write_tls(&mut answered).unwrap();
            client.read_tls(&mut answered.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        let suite = server.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
