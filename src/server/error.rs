//! Errors of the service.

use crate::{
    auth::IssuerError, config::ConfigError, exchange::documents::DocumentError, http::certificate::TlsError,
    protocol::ClaimClash, registry::RegistryError, store::AccessError, telemetry::OtlpError,
};
use std::net::SocketAddr;
use thiserror::Error;

/// Why the service failed to start or to stop.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A stream document is invalid.
    #[error("cannot read the stream documents for an empty database")]
    Document(#[from] DocumentError),
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The task that follows the database panicked.
    #[error("the task that follows the database panicked")]
    Bug(#[source] tokio::task::JoinError),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The secret of webhooks cannot be used.
    #[error(transparent)]
    WebhookSecret(#[from] RegistryError),
    /// The settings of a token issuer are invalid.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The exporter to the collector cannot be set up.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// Two protocols claim the same requests.
    #[error(transparent)]
    Claims(#[from] ClaimClash),
    /// The certificate for HTTPS cannot be used.
    #[error("cannot use the TLS certificate")]
    Tls(#[from] TlsError),
}
