//! Sockets and connections.

use axum::{Router, serve::ListenerExt};
use std::{future::Future, io, net::SocketAddr};
use tokio::net::TcpListener;

/// An address that was taken.
#[derive(Debug)]
pub(super) struct Bound {
    /// What the settings say.
    pub(super) configured: SocketAddr,
    /// What it is: a port of 0 means any.
    pub(super) address: SocketAddr,
    listener: TcpListener,
}

impl Bound {
    pub(super) async fn to(configured: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(configured).await?;
        Ok(Self { configured, address: listener.local_addr()?, listener })
    }

    /// Answers until `stopped` ends, then finishes what is in flight.
    pub(super) async fn serve(self, router: Router, stopped: impl Future<Output = ()> + Send + 'static) {
        tracing::info!(address = %self.address, "listening");
        let listener = self.listener.tap_io(|stream| {
            // Without it a small answer may wait for an acknowledgement; a socket that is gone needs nothing.
            let _ = stream.set_nodelay(true);
        });
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(error = &error as &dyn std::error::Error, address = %self.address, "stopped listening");
        }
    }
}
