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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::{
        io::{Read, Write},
        net::TcpStream,
        sync::Arc,
    };
    use tokio::sync::{Notify, oneshot};

    #[tokio::test(flavor = "multi_thread")]
    async fn stopping_finishes_the_request_that_is_being_answered() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (begun.clone(), go_on.clone());
        let router = Router::new().route(
            "/",
            get(async move || {
                tell.notify_one();
                wait.notified().await;
                "finished"
            }),
        );
        let bound = Bound::to("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(router, async {
            let _ = stopped.await;
        }));
        let asking = tokio::task::spawn_blocking(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer
        });
        begun.notified().await;
        stop.send(()).unwrap();
        // Nobody is let in any more, and yet it goes on.
        while TcpStream::connect(address).is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!serving.is_finished());
        go_on.notify_one();
        assert!(asking.await.unwrap().ends_with("finished"));
        serving.await.unwrap();
    }
}
