//! Sockets, and the loops that accept from them.

use super::{
    connection::{Manners, until},
    front::Front,
    places::Places,
    tls::Tls,
};
use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// An address that was taken.
#[derive(Debug)]
pub(super) struct Bound {
    /// What the settings say.
    pub(super) configured: SocketAddr,
    /// What it is: a port of 0 means any.
    pub(super) address: SocketAddr,
    /// One for each loop.
    sockets: Vec<std::net::TcpListener>,
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

impl Bound {
    /// Takes an address for so many loops. The kernel spreads connections over the sockets of one address; the first one is
    /// taken alone, so that another process cannot have it too.
    pub(super) fn to(configured: SocketAddr, loops: usize) -> io::Result<Self> {
        let first = socket(configured, false)?;
        let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // Elsewhere the kernel gives all connections to one of them.
        let loops = if cfg!(target_os = "linux") { loops } else { 1 };
        if loops > 1 {
            first.set_reuse_port(true)?;
        }
        let others = (1..loops).map(|_| socket(address, true));
        let sockets = std::iter::once(Ok(first)).chain(others).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { configured, address, sockets: sockets.into_iter().map(Into::into).collect() })
    }

    /// The sockets, one for each loop.
    pub(super) fn into_sockets(self) -> Vec<std::net::TcpListener> {
        tracing::info!(address = %self.address, "listening");
        self.sockets
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // What lingers of an earlier process is no obstacle.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Everything that an accept loop needs.
#[derive(Clone)]
pub(super) struct Loop {
    pub(super) front: Arc<Front>,
    pub(super) manners: Arc<Manners>,
    pub(super) places: Places,
    /// For those for whom there is no place.
    pub(super) door: Places,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Loop {
    /// Accepts until it is told to stop, then takes those who wait at the door, and finishes what is in flight.
    pub(super) async fn run(mut self, socket: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(socket)?;
        let open = Places::of(usize::MAX);
        let mut stopped = pin!(until(self.stopping.clone()));
        loop {
            tokio::select! {
                biased;
                accepted = listener.accept() => self.take(accepted, &open).await,
                () = &mut stopped => break,
            }
        }
        while let Some(Ok(waiting)) = listener.accept().now_or_never() {
            self.take(Ok(waiting), &open).await;
        }
        drop(listener);
        open.all_free().await;
        Ok(())
    }

    async fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>, open: &Places) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return after(&error).await,
        };
        let here = open.take();
        let Some(place) = self.places.take() else {
            self.front.metrics.connection_refused();
            if let Some(place) = self.door.take() {
                tokio::spawn(async move {
                    turn_away(stream).await;
                    drop((place, here));
                });
            }
            return;
        };
        let (front, manners, stopping) = (self.front.clone(), self.manners.clone(), self.stopping.clone());
        let tls = self.tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            manners.serve(front, stream, peer.ip(), tls, stopping).await;
            drop((place, here));
        });
    }
}

/// A client that is gone already is its own business; without room for another socket one waits until there is some.
async fn after(error: &io::Error) {
    let is_the_clients =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !is_the_clients.contains(&error.kind()) {
        tracing::error!(error = error as &dyn std::error::Error, "connections cannot be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// Says that there is no room. What the client sends is read, for otherwise the answer would be lost on its way.
async fn turn_away(mut stream: TcpStream) {
    let answer = async {
        stream.write_all(TOO_MANY).await?;
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Who does not listen is cut off.
    let _ = tokio::time::timeout(TURNING_AWAY, answer).await;
}
