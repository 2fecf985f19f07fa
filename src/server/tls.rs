//! HTTPS: a certificate from files, read again when they change.

use crate::telemetry::Metrics;
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

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

/// The certificate that is shown to new connections.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    shown: ArcSwap<Shown>,
}

/// What new connections get, and until when that is good, in seconds since 1970.
struct Shown {
    acceptor: TlsAcceptor,
    expires_at: Option<i64>,
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl Tls {
    pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let shown = ArcSwap::from_pointee(read(certificate, key)?);
        Ok(Self { certificate: certificate.into(), key: key.into(), shown })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.shown.load().acceptor.clone()
    }

    /// Shows when the certificate expires.
    pub(super) fn watch(self: &Arc<Self>, metrics: &Metrics) {
        let tls = Arc::clone(self);
        metrics.gauge("lockkeeper.tls.certificate_expiry_timestamp", "s", "When our certificate expires", move || {
            #[expect(clippy::cast_precision_loss, reason = "seconds are exact for millions of years")]
            let at = tls.shown.load().expires_at.map(|at| at as f64);
            at.map(|at| (at, Vec::new())).into_iter().collect()
        });
    }

    /// Looks now and then whether the files were replaced.
    pub(super) async fn follow_for_ever(&self) {
        let mut known = self.written_at();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let now = self.written_at();
            // Files that are of no use yet are looked at again: they may be made readable, which no time tells.
            if now != known && self.renew() {
                known = now;
            }
        }
    }

    fn renew(&self) -> bool {
        match read(&self.certificate, &self.key) {
            Ok(shown) => {
                self.shown.store(Arc::new(shown));
                tracing::info!("the certificate was renewed");
                true
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the new certificate is of no use; the old one is shown"
                );
                false
            }
        }
    }

    fn written_at(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Shown, TlsError> {
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
    Ok(Shown { acceptor: TlsAcceptor::from(Arc::new(config)), expires_at })
}

/// When a certificate expires (RFC 5280, section 4.1.2.5), in seconds since 1970.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
