//! Checks the health of the service that runs with these settings on this machine.

use crate::{
    config::{ConfigError, Settings},
    outbound::{self, BodyError},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use thiserror::Error;

/// How long a response may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response, in bytes: readiness names every stream.
const MAX_BYTES: usize = 4 << 20;

/// Errors of a health check.
#[derive(Debug, Error)]
pub enum HealthError {
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service does not respond.
    #[error("no response from {url}")]
    NoResponse {
        /// The URL.
        url: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The response cannot be read completely.
    #[error("cannot read the response of {url}")]
    InvalidResponse {
        /// The URL.
        url: String,
        /// The cause.
        source: BodyError,
    },
}

/// A health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Whether the service answers polls and should receive them.
    Ready,
    /// Whether the process is alive.
    Live,
}

/// Sends a probe to the service's status address on this machine. Returns whether it succeeded, and the body of the response.
///
/// # Errors
/// The service does not respond.
pub async fn probe(settings: &Settings, probe: Probe) -> Result<(bool, String), HealthError> {
    let path = match probe {
        Probe::Ready => "/healthz/ready",
        Probe::Live => "/healthz/live",
    };
    let url = format!("{}{path}", base(settings)?);
    let failed = |source| HealthError::NoResponse { url: url.clone(), source };
    let invalid = |source| HealthError::InvalidResponse { url: url.clone(), source };
    let response = client().map_err(failed)?.get(&url).send().await.map_err(failed)?;
    let succeeded = response.status().is_success();
    Ok((succeeded, outbound::text(response, MAX_BYTES).await.map_err(invalid)?))
}

/// Creates a client that ignores the name in the certificate, since it only connects to this machine.
fn client() -> reqwest::Result<reqwest::Client> {
    outbound::client_builder().no_proxy().tls_danger_accept_invalid_certs(true).timeout(TIMEOUT).build()
}

fn base(settings: &Settings) -> Result<String, ConfigError> {
    let listeners = settings.listeners()?;
    let uses_tls = settings.tls.files().is_some() && !listeners.is_probes_only(listeners.status);
    let scheme = if uses_tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", reachable(listeners.status)))
}

/// Returns an address to connect to: loopback for a wildcard address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_uses_the_status_address() {
        let mut settings = Settings { listen: "0.0.0.0:80".into(), ..Settings::default() };
        assert_eq!(base(&settings).unwrap(), "http://127.0.0.1:80");
        settings.tls.certificate = Some("a".into());
        settings.tls.key = Some("b".into());
        assert_eq!(base(&settings).unwrap(), "https://127.0.0.1:80");
        settings.listeners.status = Some("[::]:81".into());
        assert_eq!(base(&settings).unwrap(), "http://[::1]:81");
    }
}
