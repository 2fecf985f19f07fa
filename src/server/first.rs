//! The first request of a connection, answered as soon as it is accepted. Agents open a connection for every poll and close it
//! again: most need no more than this, no runtime and no registration with the kernel. What is anything but a plain poll that has
//! arrived whole is left to the full HTTP server.

use super::front::{Asked, Front};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::{IpAddr, TcpStream},
};

/// What is left to do on a connection.
pub(super) enum Left {
    /// Nothing: it is over.
    Nothing,
    /// To serve whatever comes; this was read already.
    Serve(Bytes),
    /// To send the rest of an answer, and then perhaps to serve what comes.
    Send {
        /// What was not taken yet.
        rest: Vec<u8>,
        /// Is it over then?
        last: bool,
    },
}

/// A poll and its headers fit in here; what does not is no plain poll.
const MOST_BYTES: usize = 2048;
const MOST_HEADERS: usize = 32;
/// What an answer to a poll may depend on.
const HEADERS: [HeaderName; 3] =
    [header::ACCEPT_ENCODING, header::IF_NONE_MATCH, HeaderName::from_static("x-forwarded-for")];

/// Answers what has arrived already, if it is a poll; where it is crowded, that was it.
pub(super) fn answer_first(front: &Front, stream: &mut TcpStream, peer: IpAddr, crowded: bool) -> Left {
    let mut buffer = [0; MOST_BYTES];
    let read = match stream.read(&mut buffer) {
        Ok(0) => return Left::Nothing,
        Ok(count) => buffer.get(..count).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Left::Serve(Bytes::new()),
        Err(_) => return Left::Nothing,
    };
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let Some(poll) = Poll::parse(read, &mut headers) else { return Left::Serve(Bytes::copy_from_slice(read)) };
    let (path, query) = poll.target.split_once('?').map_or((poll.target, None), |(path, query)| (path, Some(query)));
    let Some(response) = front.poll(&Asked { path, query, headers: &poll.headers, peer }) else {
        return Left::Serve(Bytes::copy_from_slice(read));
    };
    let last = poll.last || crowded;
    let head = head(&response, &front.date(), last);
    send(stream, &head, response.body(), last)
}

/// A request that may be answered here.
struct Poll<'a> {
    target: &'a str,
    headers: HeaderMap,
    /// The client will close, and wants us to.
    last: bool,
}

impl<'a> Poll<'a> {
    /// A whole GET of HTTP/1.1 without a body and with nothing behind it, or nothing.
    fn parse<'h>(read: &'a [u8], room: &'h mut [httparse::Header<'a>]) -> Option<Self> {
        let mut request = httparse::Request::new(room);
        let whole = request.parse(read).ok()? == httparse::Status::Complete(read.len());
        if !whole || request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let target = request.path.filter(|target| target.starts_with('/'))?;
        let (mut headers, mut last) = (HeaderMap::new(), false);
        for header in request.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("connection") {
                last = match header.value {
                    value if value.eq_ignore_ascii_case(b"close") => true,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => false,
                    _ => return None,
                };
            } else if ["content-length", "transfer-encoding", "upgrade", "expect"].into_iter().any(is) {
                return None;
            } else if let Some(name) = HEADERS.iter().find(|name| is(name.as_str())) {
                headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
            }
        }
        Some(Self { target, headers, last })
    }
}

/// The head of a response (RFC 9112).
fn head(response: &Response<Bytes>, date: &str, last: bool) -> Vec<u8> {
    let status = response.status();
    let mut head = Vec::with_capacity(512);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", status.canonical_reason().unwrap_or_default().as_bytes()]);
    for (name, value) in response.headers() {
        put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    if status != StatusCode::NOT_MODIFIED {
        put(&[b"\r\ncontent-length: ", itoa::Buffer::new().format(response.body().len()).as_bytes()]);
    }
    if last {
        put(&[b"\r\nconnection: close"]);
    }
    put(&[b"\r\ndate: ", date.as_bytes(), b"\r\n\r\n"]);
    head
}

/// Sends as much as is taken at once.
fn send(stream: &mut TcpStream, head: &[u8], body: &[u8], last: bool) -> Left {
    let sent = match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
        Ok(sent) => sent,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(_) => return Left::Nothing,
    };
    match (sent == head.len() + body.len(), last) {
        (true, true) => Left::Nothing,
        (true, false) => Left::Serve(Bytes::new()),
        (false, last) => {
            let rest = head.iter().chain(body).skip(sent).copied().collect();
            Left::Send { rest, last }
        }
    }
}
