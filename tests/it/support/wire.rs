//! Raw connections, for behaviour that no HTTP client library allows.

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::CertificateDer};
use socket2::{Domain, Socket, Type};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// The timeout for events that happen either at once or never.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Connects from a loopback address of its own for each client.
pub(crate) fn connect_from(client: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, client), 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Reads to the end of a connection. Returns false if it does not end.
pub(crate) fn is_closed(mut connection: impl Read) -> bool {
    let mut read = [0; 4096];
    loop {
        match connection.read(&mut read) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// Sends bytes repeatedly until the connection is closed. Returns false if it is not.
pub(crate) fn is_closed_under(mut connection: TcpStream, sent: &[u8]) -> bool {
    connection.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (begun, mut read) = (Instant::now(), [0; 4096]);
    while begun.elapsed() < TIMEOUT {
        if connection.write_all(sent).is_err() {
            return true;
        }
        match connection.read(&mut read) {
            Ok(0) => return true,
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            _ => {}
        }
    }
    false
}

/// The first bytes of an HTTP/2 connection.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Builds an HTTP/2 frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns the preface and a settings frame, which sets the initial window of streams if there is one.
pub(crate) fn hello(window: Option<u32>) -> Vec<u8> {
    let settings = window.map(|window| [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat());
    [PREFACE, &frame(SETTINGS, 0, 0, &settings.unwrap_or_default())].concat()
}

pub(crate) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

/// Builds a GET request in one frame that ends its stream.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    // By RFC 7541: `:method` GET, `:scheme` http, `:path`, `:authority`.
    let head = [&[0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()], path.as_bytes(), &[0x01, 1, b'x']].concat();
    assert!(path.len() < 127);
    frame(HEADERS, 0x5, stream, &head)
}

/// Reads a frame: its kind, flags, stream and payload. Returns `None` if the connection ends before.
fn read_frame(connection: &mut impl Read) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    connection.read_exact(&mut payload).ok()?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & !(1 << 31);
    Some((head[3], head[4], stream, payload))
}

/// Reads frames and answers pings until a frame of one of these kinds arrives. Returns its kind, or `None` if the connection ends.
pub(crate) fn next_of(connection: &mut (impl Read + Write), kinds: &[u8]) -> Option<u8> {
    loop {
        let (kind, flags, _, payload) = read_frame(connection)?;
        if kind == PING && flags & ACK == 0 {
            unless_closed(connection.write_all(&frame(PING, ACK, 0, &payload)));
        }
        if kinds.contains(&kind) {
            return Some(kind);
        }
    }
}

/// Reads frames and answers pings until a frame of this kind arrives. Returns false if the connection ends before.
pub(crate) fn receives(connection: &mut (impl Read + Write), kind: u8) -> bool {
    next_of(connection, &[kind]).is_some()
}

/// Reads the flow-control windows (RFC 9113, section 6.9) of a stream and of the connection.
pub(crate) fn receive_windows(connection: &mut impl Read) -> (u32, u32) {
    const DEFAULT: u32 = 65_535;
    let mut stream_window = DEFAULT;
    loop {
        let (kind, flags, stream, payload) = read_frame(connection).unwrap();
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        if kind == SETTINGS && flags & ACK == 0 {
            let window = payload.chunks(6).find(|setting| setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes());
            stream_window = window.map_or(DEFAULT, |setting| number(&setting[2..]));
        }
        if kind == WINDOW_UPDATE && stream == 0 {
            return (stream_window, DEFAULT + number(&payload));
        }
    }
}

/// A certificate for `localhost`, in files.
pub(crate) struct Certificate {
    folder: tempfile::TempDir,
    der: CertificateDer<'static>,
    pub(crate) pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), certified.signing_key.serialize_pem()).unwrap();
        Self { folder, der: certified.cert.der().clone(), pem: certified.cert.pem() }
    }

    pub(crate) fn settings(&self) -> lockkeeper::config::TlsSettings {
        let file = |name: &str| -> Option<PathBuf> { Some(Path::new(self.folder.path()).join(name)) };
        lockkeeper::config::TlsSettings { certificate: file("tls.crt"), key: file("tls.key") }
    }

    /// Wraps a connection in TLS. The handshake takes place with the first read or write.
    pub(crate) fn tls(&self, connection: TcpStream, protocol: &[u8]) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        StreamOwned::new(session, connection)
    }
}

/// Returns the value of a read or write, or `None` if the other side has closed the connection. Panics on any other error.
pub(crate) fn unless_closed<T>(result: std::io::Result<T>) -> Option<T> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let closed = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
            assert!(closed.contains(&error.kind()), "{error:?}");
            None
        }
    }
}
