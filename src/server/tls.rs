//! HTTPS: a certificate from files, read again when they change.

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

impl Shown {
    fn of(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let certified = certified(certificate, key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(certified.config)), expires_at: certified.expires_at })
    }
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl Tls {
    pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let shown = ArcSwap::from_pointee(Shown::of(certificate, key)?);
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
        match Shown::of(&self.certificate, &self.key) {
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
