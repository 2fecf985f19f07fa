//! Small HTTP servers that answer as a test defines, and record the requested paths.

use super::wire::unless_closed;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A response: status, header lines and body.
pub(crate) struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }

    /// Adds header lines.
    pub(crate) fn with(self, headers: &str) -> Self {
        Self { headers: format!("{}{headers}", self.headers), ..self }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self { headers: format!("location: {to}\r\n"), ..Self::new(302, "") }
    }
}

/// A running server.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    requested: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Starts a server that answers each path and query with the result of the function.
    pub(crate) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(move |connection, requested| serve(connection, requested, &answer))
    }

    /// Starts the same server over HTTPS, with a self-signed certificate.
    pub(crate) fn start_tls(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self::listen(move |connection, requested| {
            let session = ServerConnection::new(config.clone()).unwrap();
            serve(StreamOwned::new(session, connection), requested, &answer);
        })
    }

    /// Starts a server that answers each request as the function writes it. The function gets the head of the request, which is recorded, too.
    pub(crate) fn start_raw(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::listen(move |mut connection, requested| {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                if unless_closed(connection.read(&mut byte)).unwrap_or(0) == 0 {
                    return;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            requested.lock().unwrap().push(head.clone());
            answer(&head, &mut connection);
        })
    }

    fn listen(serve: impl Fn(TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requested = Arc::<Mutex<Vec<String>>>::default();
        let (serve, seen) = (Arc::new(serve), requested.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (serve, seen) = (serve.clone(), seen.clone());
                std::thread::spawn(move || serve(connection, &seen));
            }
        });
        Self { address, requested }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requested paths and queries.
    pub(crate) fn requested_paths(&self) -> Vec<String> {
        self.requested.lock().unwrap().clone()
    }
}

/// Answers one request, unless the client closes the connection.
fn serve(connection: impl Read + Write, requested: &Mutex<Vec<String>>, answer: &impl Fn(&str) -> Reply) {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if unless_closed(reader.read_line(&mut head)).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    requested.lock().unwrap().push(path.to_owned());
    let Reply { status, headers, body } = answer(path);
    let mut reply = format!("HTTP/1.1 {status} -\r\n{headers}content-length: {}\r\n", body.len()).into_bytes();
    reply.extend_from_slice(b"connection: close\r\n\r\n");
    reply.extend_from_slice(&body);
    let mut connection = reader.into_inner();
    unless_closed(connection.write_all(&reply).and_then(|()| connection.flush()));
}
