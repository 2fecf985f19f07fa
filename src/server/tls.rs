//! HTTPS with a certificate from files, which are read again when they change.

use crate::{
    http::certificate::{TlsError, certified},
    telemetry::Metrics,
};
use arc_swap::ArcSwap;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_rustls::TlsAcceptor;

/// The certificate for new connections, and its files.
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<LoadedCertificate>,
}

/// A loaded certificate, and when it expires, in seconds since 1970.
struct LoadedCertificate {
    acceptor: TlsAcceptor,
    expires_at: Option<i64>,
}

impl LoadedCertificate {
    fn new(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let certified = certified(certificate, key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(certified.config)), expires_at: certified.expires_at })
    }
}

/// How often the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

impl Tls {
    pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(LoadedCertificate::new(certificate, key)?);
        Ok(Self { certificate: certificate.into(), key: key.into(), current })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.load().acceptor.clone()
    }

    /// Registers the metric of the certificate's expiry.
    pub(super) fn watch(self: &Arc<Self>, metrics: &Metrics) {
        let tls = Arc::clone(self);
        metrics.gauge(
            "lockkeeper.tls.certificate_expiry_timestamp",
            "s",
            "When the TLS certificate expires",
            move || {
                #[expect(clippy::cast_precision_loss, reason = "seconds are exact for millions of years")]
                let at = tls.current.load().expires_at.map(|at| at as f64);
                at.map(|at| (at, Vec::new())).into_iter().collect()
            },
        );
    }

    /// Checks periodically whether the files were replaced, and reloads them.
    pub(super) async fn follow_for_ever(&self) {
        let mut known = self.written_at();
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            ticks.tick().await;
            let now = self.written_at();
            // After a failure the files are tried again even if they do not change: a change of permissions does not change the time.
            if now != known && self.reload() {
                known = now;
            }
        }
    }

    fn reload(&self) -> bool {
        match LoadedCertificate::new(&self.certificate, &self.key) {
            Ok(loaded) => {
                self.current.store(Arc::new(loaded));
                tracing::info!("certificate reloaded");
                true
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "new certificate cannot be used, keeping the old one"
                );
                false
            }
        }
    }

    fn written_at(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|found| found.modified()).ok())
    }
}
