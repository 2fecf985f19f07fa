//! What the stories are told with.

pub(crate) mod collector;
pub(crate) mod contract;
pub(crate) mod fixtures;
pub(crate) mod issuer;
pub(crate) mod manager;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod upstream;

use std::{future::Future, time::Duration};

/// Waits until something is so; how long that takes proves nothing, only that it comes at all.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), waiting).await.is_ok(), "it never came that {what}");
}

/// A client that goes nowhere but where it is told.
pub(crate) fn client() -> reqwest::Client {
    // One that another test installed is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
