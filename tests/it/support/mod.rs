//! Helpers of the integration tests.

pub(crate) mod collector;
pub(crate) mod contract;
pub(crate) mod fixtures;
pub(crate) mod ids;
pub(crate) mod imitated_registry;
pub(crate) mod issuer;
pub(crate) mod manager;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod registry;
pub(crate) mod replace;
pub(crate) mod server;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod site;
pub(crate) mod time;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::{future::Future, time::Duration};

/// Returns the rules of the protocols that a service speaks by default.
pub(crate) fn dialects() -> std::sync::Arc<lockkeeper::domain::dialect::Dialects> {
    lockkeeper::server::Registry::new(&lockkeeper::config::Settings::default()).unwrap().dialects()
}

/// Waits until a condition holds. Tests must not depend on how long that takes; the timeout only ends a test that fails.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !condition().await {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), waiting).await.is_ok(), "timed out waiting until {what}");
}

/// Returns an HTTP client that ignores proxy settings.
pub(crate) fn client() -> reqwest::Client {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        // Another test of this process installed the same one.
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
    reqwest::Client::builder().no_proxy().build().unwrap()
}
