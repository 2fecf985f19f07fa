//! The whole of it.

use super::{
    api::ApiSettings,
    auth::AuthSettings,
    catalog::CatalogSettings,
    database::DatabaseSettings,
    error::{ConfigError, positive},
    fcos::FcosSettings,
    limits::LimitSettings,
    listen::{ListenSettings, Listeners},
    log::LogSettings,
    telemetry::TelemetrySettings,
    tls::TlsSettings,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the private database and whatever else this machine alone needs is kept.
    pub data_dir: PathBuf,
    /// Stream documents to start an empty store from.
    pub streams_dir: Option<PathBuf>,
    /// One address for everything that has none of its own.
    pub listen: String,
    /// Addresses of their own.
    pub listeners: ListenSettings,
    /// Offer sample payloads on listeners that are not loopback too.
    pub offer_synthetic: bool,
    /// How long requests in flight have to finish after a signal to stop.
    pub shutdown_grace: jiff::SignedDuration,
    /// How long readiness says no, after a signal to stop, before connections are closed.
    pub drain_delay: jiff::SignedDuration,
    /// The database.
    pub database: DatabaseSettings,
    /// The copy of everything in memory.
    pub catalog: CatalogSettings,
    /// Fedora CoreOS agents.
    pub fcos: FcosSettings,
    /// What clients may take.
    pub limits: LimitSettings,
    /// HTTPS.
    pub tls: TlsSettings,
    /// Who may do what.
    pub auth: AuthSettings,
    /// The API for release managers.
    pub api: ApiSettings,
    /// Logs.
    pub log: LogSettings,
    /// Metrics and traces.
    pub telemetry: TelemetrySettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "./.lockkeeper".into(),
            streams_dir: None,
            listen: "127.0.0.1:8080".into(),
            listeners: ListenSettings::default(),
            offer_synthetic: false,
            shutdown_grace: jiff::SignedDuration::from_secs(30),
            drain_delay: jiff::SignedDuration::ZERO,
            database: DatabaseSettings::default(),
            catalog: CatalogSettings::default(),
            fcos: FcosSettings::default(),
            limits: LimitSettings::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            api: ApiSettings::default(),
            log: LogSettings::default(),
            telemetry: TelemetrySettings::default(),
        }
    }
}

impl Settings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// Names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.listeners()?;
        positive("shutdown_grace", self.shutdown_grace)?;
        if self.drain_delay.is_negative() {
            return Err(ConfigError::value("drain_delay", "has to be positive or 0s"));
        }
        self.database.validate()?;
        self.catalog.validate()?;
        self.fcos.validate()?;
        self.limits.validate()?;
        self.tls.validate()?;
        self.auth.validate()?;
        self.log.validate()?;
        self.telemetry.validate()
    }

    /// Where to listen for whom.
    ///
    /// # Errors
    /// An address is none.
    pub fn listeners(&self) -> Result<Listeners, ConfigError> {
        self.listeners.resolve(&self.listen)
    }
}
