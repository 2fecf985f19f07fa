//! All settings.

use super::{
    api::ApiSettings,
    auth::AuthSettings,
    catalog::CatalogSettings,
    database::DatabaseSettings,
    error::{ConfigError, positive},
    limits::LimitSettings,
    listen::{ListenSettings, Listeners},
    log::LogSettings,
    registries::RegistrySettings,
    section::ProtocolSection,
    telemetry::TelemetrySettings,
    tls::TlsSettings,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// All settings of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder for this machine's data: the private PostgreSQL, the snapshot, the signing key.
    pub data_dir: PathBuf,
    /// A folder of stream documents to seed an empty database.
    pub streams_dir: Option<PathBuf>,
    /// The address of every listener that has none of its own.
    pub listen: String,
    /// Addresses of individual listeners.
    pub listeners: ListenSettings,
    /// Whether to offer placeholder (synthetic) payloads on listeners other than loopback, too.
    pub offer_synthetic: bool,
    /// How long requests in flight may take to finish after a stop signal.
    pub shutdown_grace: jiff::SignedDuration,
    /// How long readiness fails after a stop signal before connections are closed.
    pub drain_delay: jiff::SignedDuration,
    /// The database.
    pub database: DatabaseSettings,
    /// The in-memory catalog.
    pub catalog: CatalogSettings,
    /// Limits on clients.
    pub limits: LimitSettings,
    /// HTTPS.
    pub tls: TlsSettings,
    /// Authentication.
    pub auth: AuthSettings,
    /// The API for release managers.
    pub api: ApiSettings,
    /// Registries that images are read from.
    pub registries: RegistrySettings,
    /// Logs.
    pub log: LogSettings,
    /// Metrics and traces.
    pub telemetry: TelemetrySettings,
    /// The sections of protocols by name, each with all of its keys. A section that is missing has its defaults.
    #[serde(skip)]
    pub protocols: BTreeMap<String, toml::Table>,
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
            limits: LimitSettings::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            api: ApiSettings::default(),
            registries: RegistrySettings::default(),
            log: LogSettings::default(),
            telemetry: TelemetrySettings::default(),
            protocols: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Validates all settings, except those of protocols.
    ///
    /// # Errors
    /// A setting is invalid; the error names the first one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.listeners()?;
        positive("shutdown_grace", self.shutdown_grace)?;
        if self.drain_delay.is_negative() {
            return Err(ConfigError::value("drain_delay", "must be 0s or longer"));
        }
        self.database.validate()?;
        self.catalog.validate()?;
        self.limits.validate()?;
        self.tls.validate()?;
        self.auth.validate()?;
        self.registries.validate()?;
        self.log.validate()?;
        self.telemetry.validate()
    }

    /// Returns the addresses of all listeners.
    ///
    /// # Errors
    /// An address is invalid.
    pub fn listeners(&self) -> Result<Listeners, ConfigError> {
        self.listeners.resolve(&self.listen)
    }

    /// Returns the settings of a protocol.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn protocol<T: ProtocolSection>(&self) -> Result<T, ConfigError> {
        let section: T = match self.protocols.get(T::NAME) {
            Some(table) => table.clone().try_into().map_err(|error| ConfigError::value(T::NAME, &error.to_string()))?,
            None => T::default(),
        };
        section.validate()?;
        Ok(section)
    }
}
