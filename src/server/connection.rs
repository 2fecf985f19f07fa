//! Serves a connection: TLS if configured, then HTTP/1.1 or HTTP/2.

use super::{
    activity::{self, Activity, TrackedBody, Verdict},
    admission::Admission,
    endpoint::Endpoint,
    fast_path::{FastPath, FastResponse, MAX_BYTES},
    preface::{PREFACE, PrefixedIo, read_beginning},
    send::{send_answer, send_file},
};
use crate::config::LimitSettings;
use bytes::Bytes;
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The configuration of connections.
pub(super) struct ConnectionConfig {
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
    head_timeout: Duration,
}

const MAX_HEADERS: usize = 64;
const MAX_STREAMS: u32 = 128;
/// The HTTP/2 flow-control window of one request body.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// The HTTP/2 flow-control window of a connection. Larger than that of one body, so that an unread body does not block all others.
const CONNECTION_WINDOW_BYTES: u32 = 128 << 10;
/// The TLS send buffer. A larger one would be faster for large answers, but every slow client would take that much memory.
const MAX_ENCRYPTED_BYTES: usize = 16 << 10;

/// What a client sent.
enum Received {
    /// Nothing: the connection is closed.
    Closed,
    /// A plain poll, whose answer is ready.
    Poll,
    /// Another request, or the beginning of one.
    Other(Bytes),
}

impl ConnectionConfig {
    pub(super) fn new(limits: &LimitSettings) -> Self {
        let head_timeout = limits.head_timeout.unsigned_abs();
        let mut http1 = conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            // A client may close its side after its request: a poll is still answered, whether by the fast path or by the full server.
            .half_close(true)
            .max_buf_size(limits.head_bytes)
            .max_headers(MAX_HEADERS);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(activity::MAX_PART_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_STREAMS);
        Self { http1, http2, head_timeout }
    }

    /// Returns the time that a client may take to send a request head, or to accept some of an answer.
    pub(super) fn io_timeout(&self) -> Duration {
        self.head_timeout
    }

    /// Serves a connection with TLS.
    pub(super) async fn serve_tls(
        &self,
        endpoint: Arc<Endpoint>,
        stream: TcpStream,
        admission: Arc<Admission>,
        tls: TlsAcceptor,
        stopping: CancellationToken,
    ) {
        let accept = tls.accept_with(stream, |session| session.set_buffer_limit(Some(MAX_ENCRYPTED_BYTES)));
        // Boxed, so that the memory of a handshake is freed after it.
        let Ok(Ok(stream)) = Box::pin(tokio::time::timeout(self.head_timeout, accept)).await else { return };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.serve_http(is_http2, stream, endpoint, admission, stopping).await;
    }

    /// Serves a connection to its end or, after `stopping`, to the end of the open request. `first` is what was already read from it.
    /// Plain polls are answered here, if there is a fast path; hyper takes over with the first other request.
    pub(super) async fn serve(
        &self,
        endpoint: Arc<Endpoint>,
        mut stream: TcpStream,
        admission: Arc<Admission>,
        first: Bytes,
        stopping: CancellationToken,
    ) {
        let first = match &endpoint.fast_path {
            Some(fast_path) if first.is_empty() && admission.is_regular() => {
                self.answer_polls(fast_path, &mut stream, &admission, &stopping).await
            }
            _ => Some(first),
        };
        let Some(first) = first else { return };
        let first = tokio::select! {
            biased;
            first = read_beginning(&mut stream, first) => first,
            () = tokio::time::sleep(self.head_timeout) => return,
            // A client without an open request does not delay the stop.
            () = stopping.cancelled() => return,
        };
        let Ok(first) = first else { return };
        let is_http2 = first.starts_with(PREFACE);
        self.serve_http(is_http2, PrefixedIo { first, stream }, endpoint, admission, stopping).await;
    }

    /// Answers plain polls. Returns the beginning of the first other request, or nothing if the connection ends.
    async fn answer_polls(
        &self,
        fast_path: &FastPath,
        stream: &mut TcpStream,
        admission: &Admission,
        stopping: &CancellationToken,
    ) -> Option<Bytes> {
        let mut answer = FastResponse::default();
        let mut io_timeout = pin!(tokio::time::sleep(self.head_timeout));
        let mut stopped = pin!(stopping.cancelled());
        loop {
            let received = tokio::select! {
                biased;
                received = poll_fn(|context| poll_request(context, fast_path, stream, admission, &mut answer)) => received,
                () = &mut io_timeout => return None,
                // A client without an open request does not delay the stop.
                () = &mut stopped => return None,
            };
            match received {
                Received::Closed => return None,
                Received::Other(first) => return Some(first),
                Received::Poll => {}
            }
            // Taken, so that a waiting connection needs no memory for them.
            let (head, body) = (std::mem::take(&mut answer.head), std::mem::take(&mut answer.body));
            let delivered = match answer.file.take() {
                Some(file) => send_file(stream, &head, file.file(), body.len(), self.head_timeout).await,
                None => send_answer(stream, &head, &body, self.head_timeout).await,
            };
            if answer.is_last || delivered.is_err() {
                return None;
            }
            io_timeout.as_mut().reset(Instant::now() + self.head_timeout);
        }
    }

    async fn serve_http(
        &self,
        is_http2: bool,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        endpoint: Arc<Endpoint>,
        admission: Arc<Admission>,
        stopping: CancellationToken,
    ) {
        // Disconnects clients that accept nothing of an answer for this long.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.head_timeout));
        let stream = TokioIo::new(Box::pin(stream));
        // Boxed, since the futures are large and most connections need neither.
        if is_http2 {
            Box::pin(self.serve_http2(stream, endpoint, admission, stopping)).await;
        } else {
            Box::pin(self.serve_http1(stream, endpoint, admission, stopping)).await;
        }
    }

    // Errors of a connection are ignored: the client causes them, and no response can reach it any more. The `select!`s below are biased,
    // so that a request sent before the stop is read before the stop takes effect.

    async fn serve_http1(
        &self,
        stream: impl Read + Write + Send + Unpin + 'static,
        endpoint: Arc<Endpoint>,
        admission: Arc<Admission>,
        stopping: CancellationToken,
    ) {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (endpoint, admission) = (endpoint.clone(), admission.clone());
            async move { endpoint.answer(request, &admission).await }
        });
        let mut connection = pin!(self.http1.serve_connection(stream, service));
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn serve_http2(
        &self,
        stream: impl Read + Write + Send + Unpin + 'static,
        endpoint: Arc<Endpoint>,
        admission: Arc<Admission>,
        stopping: CancellationToken,
    ) {
        let activity = Arc::new(Activity::new(self.head_timeout));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (endpoint, admission, activity) = (endpoint.clone(), admission.clone(), activity.clone());
            let guard = activity.begin();
            async move {
                let response = endpoint.answer(request, &admission).await;
                if admission.ends_after_answer() {
                    activity.request_end();
                }
                response.map(|response| response.map(|body| TrackedBody::new(body, guard)))
            }
        });
        let mut connection = pin!(self.http2.serve_connection(stream, service));
        let mut stopped = pin!(stopping.cancelled());
        let mut is_stopped = false;
        let mut check = pin!(tokio::time::sleep(self.head_timeout));
        loop {
            let verdict = tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = &mut stopped, if !is_stopped => {
                    is_stopped = true;
                    Verdict::End
                }
                () = activity.end_requested() => Verdict::End,
                () = &mut check => activity.verdict(Instant::now()),
            };
            match verdict {
                Verdict::Cut => return,
                Verdict::End if activity.begin_end() => connection.as_mut().graceful_shutdown(),
                Verdict::End | Verdict::Wait(_) => {}
            }
            if let Verdict::Wait(until) = activity.verdict(Instant::now()) {
                check.as_mut().reset(until);
            }
        }
    }
}

/// Reads what has arrived, and answers it if it is a plain poll. The buffer is on the stack, so that a waiting connection needs none.
fn poll_request(
    context: &mut Context<'_>,
    fast_path: &FastPath,
    stream: &mut TcpStream,
    admission: &Admission,
    answer: &mut FastResponse,
) -> Poll<Received> {
    let mut buffer = [MaybeUninit::uninit(); MAX_BYTES];
    let mut buffer = ReadBuf::uninit(&mut buffer);
    let received = match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
        Err(_) => Received::Closed,
        Ok(()) => match buffer.filled() {
            [] => Received::Closed,
            read if answer.prepare(fast_path, read, admission.peer(), admission.ends_after_answer()) => Received::Poll,
            read => Received::Other(Bytes::copy_from_slice(read)),
        },
    };
    Poll::Ready(received)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::{endpoint::RequestLimits, pool::Pool},
        *,
    };
    use crate::telemetry::Metrics;
    use axum::Router;
    use std::sync::atomic::AtomicBool;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        runtime::Handle,
    };

    pub(in super::super) fn endpoint() -> Arc<Endpoint> {
        Arc::new(Endpoint {
            agents: None,
            fast_path: None,
            answer_timeout: std::time::Duration::from_secs(10),
            router: Router::new().fallback(async || "done"),
            main: Handle::current(),
            reserved: None,
            request_limits: RequestLimits::new(1),
            metrics: Metrics::off(),
            trusted_proxies: Arc::new([]),
            scheme: "http",
            draining: Arc::new(AtomicBool::new(false)),
        })
    }

    #[tokio::test]
    async fn requests_sent_before_the_stop_are_answered() {
        const WRITE: &[u8] = b"PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nbody";
        let (endpoint, connection_config) = (endpoint(), ConnectionConfig::new(&LimitSettings::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stopping = CancellationToken::new();
        stopping.cancel();
        // Repeated, since an unbiased `select!` would choose at random.
        for _ in 0..50 {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            client.write_all(WRITE).await.unwrap();
            let permit = Pool::new(1, 1, &[]).acquire(peer.ip()).unwrap();
            let admission = Arc::new(Admission::regular(peer.ip(), permit));
            let first = Bytes::from_static(WRITE.split_at(20).0);
            // The first bytes were already read from the socket.
            let mut stream = stream;
            stream.read_exact(&mut [0; 20]).await.unwrap();
            connection_config.serve(endpoint.clone(), stream, admission, first, stopping.clone()).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer:?}");
        }
    }
}
