//! One connection: TLS if that is wanted, HTTP/1.1 or HTTP/2, one request after the other.

use super::{
    front::Front,
    places::Place,
    quick::{MOST_BYTES, Quick},
    send::{send, send_file},
};
use crate::config::LimitSettings;
use bytes::{Buf, Bytes};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::Instant,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// How connections are served.
pub(super) struct Manners {
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
    head_timeout: Duration,
}

/// What begins every connection of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MOST_HEADERS: usize = 64;
const MOST_STREAMS: u32 = 128;

impl Manners {
    pub(super) fn of(limits: &LimitSettings) -> Self {
        let head_timeout = limits.head_timeout.unsigned_abs();
        let mut http1 = conn::http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(limits.head_bytes)
            .max_headers(MOST_HEADERS);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(head_timeout)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(MOST_STREAMS);
        Self { http1, http2, head_timeout }
    }

    /// How long somebody is waited for.
    pub(super) fn patience(&self) -> Duration {
        self.head_timeout
    }

    /// Serves a connection in TLS.
    pub(super) async fn serve_tls(
        &self,
        front: Arc<Front>,
        stream: TcpStream,
        peer: IpAddr,
        tls: TlsAcceptor,
        stopping: watch::Receiver<bool>,
    ) {
        let Ok(Ok(stream)) = tokio::time::timeout(self.head_timeout, tls.accept(stream)).await else { return };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speak(is_http2, stream, front, peer, stopping).await;
    }

    /// Serves a connection, of which something was read already, to its end; after `stopping`, to the end of the request that is
    /// being answered. Plain polls are answered here; with the first request that is anything else, hyper takes over.
    pub(super) async fn serve(
        &self,
        front: Arc<Front>,
        mut stream: TcpStream,
        peer: IpAddr,
        first: Bytes,
        place: &Place,
        stopping: watch::Receiver<bool>,
    ) {
        let mut answer = Quick::default();
        let mut read = Vec::with_capacity(MOST_BYTES);
        read.extend_from_slice(&first);
        let mut patience = pin!(tokio::time::sleep(self.head_timeout));
        let mut stopped = pin!(until(stopping.clone()));
        loop {
            while read.is_empty() || (read.len() < PREFACE.len() && PREFACE.starts_with(&read)) {
                tokio::select! {
                    biased;
                    count = stream.read_buf(&mut read) => match count {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    },
                    () = &mut patience => return,
                    // Who has asked nothing yet is not waited for.
                    () = &mut stopped => return,
                }
            }
            if !answer.to(&front, &read, peer, place.is_crowded()) {
                break;
            }
            read.clear();
            let (head, body) = (answer.head.as_slice(), std::mem::take(&mut answer.body));
            let sent = match answer.file.take() {
                Some(file) => send_file(&stream, head, file.file(), body.len(), self.head_timeout).await,
                None => send(&mut stream, &mut Buf::chain(head, body), self.head_timeout).await,
            };
            if answer.last || sent.is_err() {
                return;
            }
            patience.as_mut().reset(Instant::now() + self.head_timeout);
        }
        let is_http2 = read.starts_with(PREFACE);
        let stream = Begun { first: read.into(), stream };
        self.speak(is_http2, stream, front, peer, stopping).await;
    }

    async fn speak(
        &self,
        is_http2: bool,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        front: Arc<Front>,
        peer: IpAddr,
        stopping: watch::Receiver<bool>,
    ) {
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let front = front.clone();
            async move { front.answer(request, peer).await }
        });
        let stopped = until(stopping);
        // Who takes nothing of an answer for that long is cut off.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.head_timeout));
        let stream = Box::pin(stream);
        // How a connection ends is the client's business: there is nobody to tell of an error. What was sent before the word to stop
        // came is looked at before it is heeded.
        if is_http2 {
            let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = stopped => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        } else {
            let mut connection = pin!(self.http1.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = stopped => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
    }
}

/// Waits for the word to stop. The sender going away means the same.
pub(super) async fn until(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// A connection of which something was read already.
struct Begun {
    first: Bytes,
    stream: TcpStream,
}

impl AsyncRead for Begun {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, to);
        }
        let length = self.first.len().min(to.remaining());
        to.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::places::Places, *};
    use crate::{clock::SystemClock, http::access::AccessLog, telemetry::Metrics};
    use axum::Router;
    use std::sync::atomic::AtomicBool;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        runtime::Handle,
    };

    fn front() -> Arc<Front> {
        Arc::new(Front {
            agents: None,
            router: Router::new().fallback(async || "done"),
            main: Handle::current(),
            places: Places::of(1),
            clock: Arc::new(SystemClock),
            metrics: Metrics::off(),
            access: AccessLog::of(0.0, None),
            throttle: None,
            is_traced: false,
            scheme: "http",
            draining: Arc::new(AtomicBool::new(false)),
        })
    }

    #[tokio::test]
    async fn what_was_sent_before_the_word_to_stop_is_answered() {
        const WRITE: &[u8] = b"PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nbody";
        let (front, manners) = (front(), Manners::of(&LimitSettings::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_word, stopping) = watch::channel(true);
        // Which of two things is looked at first may be drawn by chance.
        for _ in 0..50 {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            client.write_all(WRITE).await.unwrap();
            let place = Places::of(1).take().unwrap();
            let first = Bytes::from_static(WRITE.split_at(20).0);
            // What was read already is not in the socket any more.
            let mut stream = stream;
            stream.read_exact(&mut [0; 20]).await.unwrap();
            manners.serve(front.clone(), stream, peer.ip(), first, &place, stopping.clone()).await;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer:?}");
        }
    }
}
