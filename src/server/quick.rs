//! Plain polls, answered without ceremony: a GET of HTTP/1.1 that has arrived whole, with nothing behind it. Everything else is left
//! to the full HTTP server.
//!
//! Agents open a connection for every poll. The first request is answered as soon as it is accepted; whoever closes then needs no
//! more than this, no task and no registration with the kernel.

use super::front::{Asked, Front, TRACEPARENT};
use crate::catalog::BodyFile;
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
pub(super) const MOST_BYTES: usize = 2048;
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
    let mut answer = Quick::default();
    if !answer.to(front, read, peer, crowded) {
        return Left::Serve(Bytes::copy_from_slice(read));
    }
    let sent = match stream.write_vectored(&[IoSlice::new(&answer.head), IoSlice::new(&answer.body)]) {
        Ok(sent) => sent,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(_) => return Left::Nothing,
    };
    if sent < answer.head.len() + answer.body.len() {
        let rest = answer.head.iter().chain(&answer.body).skip(sent).copied().collect();
        return Left::Send { rest, last: answer.last };
    }
    if answer.last { Left::Nothing } else { Left::Serve(Bytes::new()) }
}

/// The answer to a plain poll, ready to be sent. Its memory may be used for the next.
#[derive(Debug, Default)]
pub(super) struct Quick {
    pub(super) head: Vec<u8>,
    pub(super) body: Bytes,
    /// The same as a file, where there is one.
    pub(super) file: Option<BodyFile>,
    /// Is it the last of its connection?
    pub(super) last: bool,
    /// A second, and how headers say it.
    date: (i64, String),
}

impl Quick {
    /// Answers what was read, if it is a plain poll.
    pub(super) fn to(&mut self, front: &Front, read: &[u8], peer: IpAddr, crowded: bool) -> bool {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let Some(poll) = Poll::parse(front, read, &mut headers) else { return false };
        let (path, query) =
            poll.target.split_once('?').map_or((poll.target, None), |(path, query)| (path, Some(query)));
        let asked = Asked { path, query, headers: &poll.headers, peer };
        let Some(mut response) = front.poll(&asked) else { return false };
        self.last = poll.last || crowded || front.is_draining();
        let now = front.clock.now();
        if self.date.0 != now.as_second() || self.date.1.is_empty() {
            self.date = (now.as_second(), httpdate::fmt_http_date(now.into()));
        }
        self.write_head(&response);
        self.file = response.extensions_mut().remove();
        self.body = response.into_body();
        true
    }

    /// The head of a response (RFC 9112).
    fn write_head(&mut self, response: &Response<Bytes>) {
        let (status, last) = (response.status(), self.last);
        self.head.clear();
        self.put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" "]);
        self.put(&[status.canonical_reason().unwrap_or_default().as_bytes()]);
        for (name, value) in response.headers() {
            self.put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        if status != StatusCode::NOT_MODIFIED {
            self.put(&[b"\r\ncontent-length: ", itoa::Buffer::new().format(response.body().len()).as_bytes()]);
        }
        if last {
            self.put(&[b"\r\nconnection: close"]);
        }
        self.head.extend_from_slice(b"\r\ndate: ");
        self.head.extend_from_slice(self.date.1.as_bytes());
        self.put(&[b"\r\n\r\n"]);
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.head.extend_from_slice(part);
        }
    }
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
    fn parse<'h>(front: &Front, read: &'a [u8], room: &'h mut [httparse::Header<'a>]) -> Option<Self> {
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
                last |= match header.value {
                    value if value.eq_ignore_ascii_case(b"close") => true,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => false,
                    _ => return None,
                };
            } else if ["content-length", "transfer-encoding", "upgrade", "expect"].into_iter().any(is)
                || is(TRACEPARENT) && front.follows(header.value)
            {
                return None;
            } else if let Some(name) = HEADERS.iter().find(|name| is(name.as_str())) {
                headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
            }
        }
        Some(Self { target, headers, last })
    }
}
