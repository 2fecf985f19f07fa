//! Listening sockets, and the loops that accept connections.

use super::{
    admission::Admission,
    connection::ConnectionConfig,
    endpoint::Endpoint,
    fast_path::{FastResponse, NextStep, answer_first},
    pool::{Pool, Refused},
    rejection_slots::{self, RejectionSlots, Ticket},
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
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// An address that the service listens on.
#[derive(Debug)]
pub(super) struct Bound {
    /// The address in the settings.
    pub(super) configured: SocketAddr,
    /// The actual address: port 0 in the settings means any port.
    pub(super) address: SocketAddr,
    /// One socket for each loop.
    sockets: Vec<std::net::TcpListener>,
}

/// The number of connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

impl Bound {
    /// Binds an address for this number of loops. The kernel spreads connections over the sockets of one address. The first socket is
    /// bound exclusively, which fails if another process uses the address.
    pub(super) fn to(configured: SocketAddr, loops: usize) -> io::Result<Self> {
        let first = socket(configured, false)?;
        let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // Other systems than Linux pass all connections to one of the sockets.
        let loops = if cfg!(target_os = "linux") { loops } else { 1 };
        if loops > 1 {
            first.set_reuse_port(true)?;
        }
        let others = (1..loops).map(|_| socket(address, true));
        let sockets = std::iter::once(Ok(first)).chain(others).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { configured, address, sockets: sockets.into_iter().map(Into::into).collect() })
    }

    /// Returns the sockets, one for each loop.
    pub(super) fn into_sockets(self) -> Vec<std::net::TcpListener> {
        tracing::info!(address = %self.address, "listening");
        self.sockets
    }
}

fn socket(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process that have not timed out yet do not block the address.
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    // Connections inherit this option. Without it, a small answer may wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Everything that an accept loop needs.
#[derive(Clone)]
pub(super) struct Loop {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) connection_config: Arc<ConnectionConfig>,
    pub(super) pool: Pool,
    /// Permits for managers and probes when `pool` has none left.
    pub(super) reserved: Pool,
    /// Where connections without a permit wait.
    pub(super) rejection_slots: RejectionSlots,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) stopping: CancellationToken,
}

/// The number of connections that are accepted before open connections get their turn.
const ACCEPT_BATCH: usize = 64;

impl Loop {
    /// Accepts connections until the service stops, then accepts those that still wait, and waits until all connections have ended.
    pub(super) async fn run(mut self, socket: std::net::TcpListener) -> io::Result<()> {
        // A token has a lock, which the connections of one loop should not share with those of others.
        self.stopping = self.stopping.child_token();
        #[expect(
            deprecated,
            reason = "it is unsound only for types that change their socket, which a listener does not"
        )]
        let listener = AsyncFd::with_interest(socket, Interest::READABLE)?;
        let connections = TaskTracker::new();
        let mut answer = FastResponse::default();
        let mut stopped = pin!(self.stopping.cancelled());
        loop {
            tokio::select! {
                biased;
                ready = listener.readable() => {
                    let mut ready = ready?;
                    if !self.accept_waiting(listener.get_ref(), &connections, &mut answer).await {
                        ready.clear_ready();
                    }
                }
                () = &mut stopped => break,
            }
            tokio::task::yield_now().await;
        }
        // Accepts the connections that waited when the stop began. The kernel passes later ones to another process, if there is one.
        for _ in 0..usize::try_from(BACKLOG).unwrap_or(0) / ACCEPT_BATCH {
            if !self.accept_waiting(listener.get_ref(), &connections, &mut answer).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(listener);
        connections.close();
        connections.wait().await;
        Ok(())
    }

    /// Accepts a batch of waiting connections. Returns true if more may be waiting.
    async fn accept_waiting(
        &self,
        listener: &std::net::TcpListener,
        connections: &TaskTracker,
        answer: &mut FastResponse,
    ) -> bool {
        for _ in 0..ACCEPT_BATCH {
            match accept(listener) {
                Ok((stream, peer)) => self.start(stream, peer, connections, answer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => handle_accept_error(&error).await,
            }
        }
        true
    }

    /// Starts to serve a connection.
    fn start(
        &self,
        mut stream: std::net::TcpStream,
        peer: IpAddr,
        connections: &TaskTracker,
        answer: &mut FastResponse,
    ) {
        let permit = match self.pool.acquire(peer) {
            Ok(permit) => permit,
            Err(refused) => return self.start_without_permit(stream, peer, refused, connections),
        };
        let next_step = match &self.tls {
            None => answer_first(self.endpoint.fast_path.as_ref(), answer, &mut stream, peer, permit.is_crowded()),
            Some(_) => NextStep::Serve(Bytes::new()),
        };
        if matches!(next_step, NextStep::Nothing) {
            return;
        }
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let admission = Arc::new(Admission::regular(peer, permit));
        connections.spawn(self.serve(stream, next_step, admission));
    }

    /// Starts to serve a connection for which there is no permit. If the listener has reserved routes, the first request decides whether
    /// the connection gets a reserved permit; otherwise it is rejected.
    fn start_without_permit(
        &self,
        stream: std::net::TcpStream,
        peer: IpAddr,
        refused: Refused,
        connections: &TaskTracker,
    ) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let ticket = self.rejection_slots.enter(peer);
        if self.endpoint.reserved.is_none() {
            self.endpoint.metrics.connection_refused(refused.reason());
            connections.spawn(async move { reject(stream, &ticket).await });
            return;
        }
        let metrics = self.endpoint.metrics.clone();
        let admission = Arc::new(Admission::reserved(peer, refused, self.reserved.clone(), ticket, metrics));
        let served = self.serve(stream, NextStep::Serve(Bytes::new()), admission.clone());
        connections.spawn(async move {
            tokio::select! {
                biased;
                () = served => {}
                () = admission.expired() => {}
            }
        });
    }

    fn serve(
        &self,
        mut stream: TcpStream,
        next_step: NextStep,
        admission: Arc<Admission>,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        let (endpoint, connection_config, stopping) =
            (self.endpoint.clone(), self.connection_config.clone(), self.stopping.clone());
        let tls = self.tls.as_ref().map(|tls| tls.acceptor());
        async move {
            let first = match next_step {
                NextStep::Nothing => return,
                NextStep::Serve(first) => first,
                NextStep::Send { mut rest, is_last } => {
                    if send(&mut stream, &mut rest, connection_config.io_timeout()).await.is_err() || is_last {
                        return;
                    }
                    Bytes::new()
                }
            };
            // Boxed, since the futures are large and a client that does not read the first answer needs neither.
            match tls {
                Some(tls) => Box::pin(connection_config.serve_tls(endpoint, stream, admission, tls, stopping)).await,
                None => Box::pin(connection_config.serve(endpoint, stream, admission, first, stopping)).await,
            }
        }
    }
}

/// Accepts a waiting connection and makes it non-blocking in the same system call.
fn accept(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, IpAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket.into(), peer.ip()))
}

/// Ignores errors of clients that are already gone. After any other error, such as too many open files, waits before the next try.
async fn handle_accept_error(error: &io::Error) {
    let client_errors =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !client_errors.contains(&error.kind()) {
        tracing::error!(error = error as &dyn std::error::Error, "accepting connections failed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Answers that there are too many connections. Reads what the client sends: closing with unread data could discard the answer.
async fn reject(mut stream: TcpStream, ticket: &Ticket) {
    let answer = async {
        stream.write_all(TOO_MANY_CONNECTIONS).await?;
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Disconnects clients that do not read the answer in time.
    let evicted = ticket.evicted();
    tokio::select! {
        biased;
        _ = answer => {}
        () = rejection_slots::wait_until_over(&evicted) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{connection::tests::endpoint, fast_path::NextStep},
        *,
    };
    use crate::config::LimitSettings;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_waiting_connection_needs_little_memory() {
        let limits = LimitSettings::default();
        let pool = Pool::new(2, 2, &[]);
        let stopping = CancellationToken::new();
        let (endpoint, connection_config) = (endpoint(), Arc::new(ConnectionConfig::new(&limits)));
        let rejection_slots = RejectionSlots::new(1, 1, &[]);
        let accepting = Loop {
            endpoint: endpoint.clone(),
            connection_config,
            pool: pool.clone(),
            reserved: pool.clone(),
            rejection_slots,
            tls: None,
            stopping,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let [one, other] = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let admission = Arc::new(Admission::regular(address.ip(), pool.acquire(address.ip()).unwrap()));
        // A client that does not read the first answer, and one that keeps its connection.
        let first = accepting.serve(one, NextStep::Serve(Bytes::new()), admission.clone());
        let kept = accepting.connection_config.serve(
            endpoint.clone(),
            other,
            admission,
            Bytes::new(),
            accepting.stopping.clone(),
        );
        assert!(size_of_val(&first) <= 1 << 10, "{}", size_of_val(&first));
        assert!(size_of_val(&kept) <= 2 << 10, "{}", size_of_val(&kept));
    }
}
