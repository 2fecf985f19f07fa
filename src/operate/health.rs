//! Is a service that runs by these settings ready?

use crate::config::{ConfigError, Settings};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use thiserror::Error;

/// How long it may take to say so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why it cannot be said.
#[derive(Debug, Error)]
pub enum HealthError {
    /// Where to ask is not known.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers.
    #[error("nobody answers at {url}")]
    Silent {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Does it answer polls, and shall it get any?
    Ready,
    /// Does the process run?
    Live,
}

/// Asks the service's status address, on this machine. True if it is so, and what it says.
///
/// # Errors
/// Nobody answers.
pub async fn ask(settings: &Settings, question: Question) -> Result<(bool, String), HealthError> {
    let path = match question {
        Question::Ready => "/healthz/ready",
        Question::Live => "/healthz/live",
    };
    let url = format!("{}{path}", base(settings)?);
    let failed = |source| HealthError::Silent { url: url.clone(), source };
    let answer = client().map_err(failed)?.get(&url).send().await.map_err(failed)?;
    let is_so = answer.status().is_success();
    Ok((is_so, answer.text().await.map_err(failed)?))
}

/// Who is asked is this machine, whatever name its certificate has.
fn client() -> reqwest::Result<reqwest::Client> {
    // A provider chosen before stays; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).timeout(PATIENCE).build()
}

fn base(settings: &Settings) -> Result<String, ConfigError> {
    let listeners = settings.listeners()?;
    let speaks_tls = settings.tls.files().is_some() && !listeners.is_for_probes_alone(listeners.status);
    let scheme = if speaks_tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", reachable(listeners.status)))
}

/// An address that stands for all of a machine's is reached at its own one.
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
    fn it_is_asked_where_it_listens() {
        let mut settings = Settings { listen: "0.0.0.0:80".into(), ..Settings::default() };
        assert_eq!(base(&settings).unwrap(), "http://127.0.0.1:80");
        settings.tls.certificate = Some("a".into());
        settings.tls.key = Some("b".into());
        assert_eq!(base(&settings).unwrap(), "https://127.0.0.1:80");
        settings.listeners.status = Some("[::]:81".into());
        assert_eq!(base(&settings).unwrap(), "http://[::1]:81");
    }
}
