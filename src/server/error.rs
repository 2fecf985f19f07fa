//! Why the service does not serve.

use crate::{
    auth::IssuerError, config::ConfigError, exchange::documents::DocumentError, http::certificate::TlsError,
    store::AccessError, telemetry::OtlpError,
};
use std::net::SocketAddr;
use thiserror::Error;

/// Why the service did not start, or did not stop well.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no database.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A stream document is wrong.
    #[error("the store cannot be started from these stream documents")]
    Document(#[from] DocumentError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A bug ended what follows the store.
    #[error("following the store ran into a bug")]
    Bug(#[source] tokio::task::JoinError),
    /// There is no room for another thread.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// The issuers of tokens cannot be trusted as they are set.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Nothing can be sent to the collector.
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    /// HTTPS cannot be spoken.
    #[error("the certificate cannot be used")]
    Tls(#[from] TlsError),
}
