//! Sockets, and the loops that accept from them.

use super::{
    connection::{Manners, until},
    front::Front,
    places::{Place, Places},
    quick::{Left, answer_first},
    send::send,
    tls::Tls,
};
use bytes::Bytes;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest, unix::AsyncFd},
    net::TcpStream,
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
    // Connections inherit it: without it a small answer may wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
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

/// How many connections are taken before those that are open get their turn.
const TAKEN_AT_ONCE: usize = 64;

impl Loop {
    /// Accepts until it is told to stop, then takes those who wait at the door, and finishes what is in flight.
    pub(super) async fn run(self, socket: std::net::TcpListener) -> io::Result<()> {
        #[expect(deprecated, reason = "what is unsound there is a type that changes its socket; this one does not")]
        let listener = AsyncFd::with_interest(socket, Interest::READABLE)?;
        let open = Places::of(usize::MAX);
        let mut stopped = pin!(until(self.stopping.clone()));
        loop {
            tokio::select! {
                biased;
                ready = listener.readable() => {
                    let mut ready = ready?;
                    if !self.take_waiting(listener.get_ref(), &open).await {
                        ready.clear_ready();
                    }
                }
                () = &mut stopped => break,
            }
            tokio::task::yield_now().await;
        }
        // Those who waited when the word came; whoever comes later finds another process, or nobody.
        for _ in 0..usize::try_from(BACKLOG).unwrap_or(0) / TAKEN_AT_ONCE {
            if !self.take_waiting(listener.get_ref(), &open).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(listener);
        open.all_free().await;
        Ok(())
    }

    /// Takes those who wait. May there be more of them?
    async fn take_waiting(&self, listener: &std::net::TcpListener, open: &Places) -> bool {
        for _ in 0..TAKEN_AT_ONCE {
            match accept(listener) {
                Ok((stream, peer)) => self.take(stream, peer, open),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => after(&error).await,
            }
        }
        true
    }

    fn take(&self, mut stream: std::net::TcpStream, peer: IpAddr, open: &Places) {
        let Some(place) = self.places.take() else {
            self.front.metrics.connection_refused();
            if let (Some(place), Ok(stream)) = (self.door.take(), TcpStream::from_std(stream)) {
                tokio::spawn(async move {
                    turn_away(stream).await;
                    drop(place);
                });
            }
            return;
        };
        let left = match &self.tls {
            None => answer_first(&self.front, &mut stream, peer, place.is_crowded()),
            Some(_) => Left::Serve(Bytes::new()),
        };
        if matches!(left, Left::Nothing) {
            return;
        }
        let (Some(here), Ok(stream)) = (open.take(), TcpStream::from_std(stream)) else { return };
        let (front, manners, stopping) = (self.front.clone(), self.manners.clone(), self.stopping.clone());
        let tls = self.tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            match (tls, left) {
                (Some(tls), _) => manners.serve_tls(front, stream, peer, tls, stopping).await,
                (None, left) => go_on(&manners, front, stream, peer, left, &place, stopping).await,
            }
            drop((place, here));
        });
    }
}

async fn go_on(
    manners: &Manners,
    front: Arc<Front>,
    mut stream: TcpStream,
    peer: IpAddr,
    left: Left,
    place: &Place,
    stopping: watch::Receiver<bool>,
) {
    let first = match left {
        Left::Nothing => return,
        Left::Serve(first) => first,
        Left::Send { rest, last } => {
            let sent = send(&mut stream, &mut rest.as_slice(), manners.patience()).await;
            if last || sent.is_err() {
                return;
            }
            Bytes::new()
        }
    };
    manners.serve(front, stream, peer, first, place, stopping).await;
}

/// A connection that waits already, made not to block by the same call.
fn accept(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, IpAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket.into(), peer.ip()))
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
