//! Settings: defaults, then a file, then the environment, then flags. One file per section, which validates itself. Protocols bring
//! sections of their own: [`load`] is given them.
//!
//! `lockkeeper.example.toml` documents every setting and is tested against these types. The code that uses settings lives elsewhere.

mod api;
mod auth;
mod catalog;
mod database;
mod error;
mod host_pattern;
mod issuers;
mod limits;
mod listen;
mod load;
mod log;
mod registries;
mod section;
mod settings;
mod telemetry;
mod tls;

pub use api::{AnonymousRole, ApiSettings};
pub use auth::AuthSettings;
pub use catalog::CatalogSettings;
pub use database::DatabaseSettings;
pub use error::ConfigError;
pub use host_pattern::{HostPattern, HostPatternError, registry_url};
pub use issuers::{IssuerSettings, RuleSettings, is_loopback, is_protected};
pub use limits::LimitSettings;
pub use listen::{ListenSettings, Listeners};
pub use load::{Flags, Sources, load};
pub use log::{LogFormat, LogSettings};
pub use registries::RegistrySettings;
pub use section::{ProtocolSection, Section};
pub use settings::Settings;
pub use telemetry::TelemetrySettings;
pub use tls::TlsSettings;
