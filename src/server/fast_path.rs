//! The fast path for plain polls, which `limits.fast_path` switches off: prepared answers are sent without hyper. A plain poll is an
//! HTTP/1.1 GET that has arrived completely, with nothing after it.
//!
//! Agents open a connection for every poll. The first request is answered as soon as the connection is accepted. A connection that is
//! closed after that needs neither a task nor a registration with the kernel.

use super::agents::{AgentAnswers, PreparedRequest, TRACEPARENT};
use crate::{catalog::BodyFile, clock::SharedClock, http::host::is_valid_host};
use bytes::{Buf, Bytes, buf::Chain};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use std::{
    collections::HashSet,
    io::{ErrorKind, IoSlice, Read, Write},
    net::{IpAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Answers plain polls without hyper. A listener without it leaves all requests to hyper.
pub(super) struct FastPath {
    agents: Arc<AgentAnswers>,
    /// The headers that prepared answers depend on.
    headers: Box<[HeaderName]>,
    clock: SharedClock,
    /// True during shutdown: responses tell clients to close their connections.
    draining: Arc<AtomicBool>,
}

impl FastPath {
    pub(super) fn new(agents: Arc<AgentAnswers>, clock: SharedClock, draining: Arc<AtomicBool>) -> Self {
        let headers = agents.protocols.headers().cloned().chain([FORWARDED]).collect::<HashSet<_>>();
        Self { headers: headers.into_iter().collect(), agents, clock, draining }
    }
}

/// The next step on a connection.
pub(super) enum NextStep {
    /// Nothing: the connection ends.
    Nothing,
    /// Serve the connection; these bytes were already read.
    Serve(Bytes),
    /// Send the rest of an answer, and then serve the connection unless it ends.
    Send {
        /// What was not sent yet. The body is shared by all clients that get the same answer.
        rest: Chain<Bytes, Bytes>,
        /// The connection ends after this answer.
        is_last: bool,
    },
}

/// The maximum size of a plain poll with its headers.
pub(super) const MAX_BYTES: usize = 2048;
const MAX_HEADERS: usize = 32;
/// Bodies up to this size are copied behind their head, so that one buffer is sent. Most node views are smaller.
const MAX_COPIED_BYTES: usize = 2048;
/// Room for most heads.
const TYPICAL_HEAD_BYTES: usize = 384;
/// The header with the addresses of clients behind proxies.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Answers the request that has already arrived, if it is a plain poll. If `is_crowded`, the connection ends after the answer. Without
/// `fast_path`, only reads the request, so that a stop right after it does not lose it. The memory of `answer` is reused.
pub(super) fn answer_first(
    fast_path: Option<&FastPath>,
    answer: &mut FastResponse,
    stream: &mut TcpStream,
    peer: IpAddr,
    is_crowded: bool,
) -> NextStep {
    let mut buffer = [0; MAX_BYTES];
    let read = match stream.read(&mut buffer) {
        Ok(0) => return NextStep::Nothing,
        Ok(count) => buffer.get(..count).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return NextStep::Serve(Bytes::new()),
        Err(_) => return NextStep::Nothing,
    };
    if !fast_path.is_some_and(|fast_path| answer.prepare(fast_path, read, peer, is_crowded)) {
        return NextStep::Serve(Bytes::copy_from_slice(read));
    }
    let (head, body, is_last) = (answer.head.as_slice(), std::mem::take(&mut answer.body), answer.is_last);
    // Whether the body is also a file does not matter here: what the socket does not take at once is shared by all clients.
    answer.file = None;
    let written = if body.is_empty() {
        stream.write(head)
    } else {
        stream.write_vectored(&[IoSlice::new(head), IoSlice::new(&body)])
    };
    let sent = match written {
        Ok(sent) => sent,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(_) => return NextStep::Nothing,
    };
    if sent < head.len() + body.len() {
        return NextStep::Send { rest: rest(head, &body, sent), is_last };
    }
    if is_last { NextStep::Nothing } else { NextStep::Serve(Bytes::new()) }
}

/// Returns the part of a head and a body after the first `sent` bytes. The body is not copied, however many clients are slow.
fn rest(head: &[u8], body: &Bytes, sent: usize) -> Chain<Bytes, Bytes> {
    let body = body.slice(sent.saturating_sub(head.len())..);
    Bytes::copy_from_slice(head.get(sent..).unwrap_or_default()).chain(body)
}

/// The answer to a plain poll, ready to be sent. Its memory is reused for the next answer.
#[derive(Debug, Default)]
pub(super) struct FastResponse {
    /// The head, followed by a small body.
    pub(super) head: Vec<u8>,
    /// The body, unless it is small.
    pub(super) body: Bytes,
    /// The body as a file, if there is one.
    pub(super) file: Option<BodyFile>,
    /// This answer is the last one of its connection.
    pub(super) is_last: bool,
    /// A time in seconds, and its text in the `date` header.
    date: (i64, String),
}

impl FastResponse {
    /// Prepares the answer to the request that was read. Returns false if it is not a plain poll.
    pub(super) fn prepare(&mut self, fast_path: &FastPath, read: &[u8], peer: IpAddr, is_crowded: bool) -> bool {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let is_traced = |parent: &[u8]| fast_path.agents.is_traced(parent);
        let Some(poll) = PlainPoll::parse(is_traced, &fast_path.headers, read, &mut headers) else { return false };
        let (path, query) =
            poll.target.split_once('?').map_or((poll.target, None), |(path, query)| (path, Some(query)));
        let Some(claimed) = fast_path.agents.claim(&Method::GET, path, &poll.headers) else { return false };
        let request = PreparedRequest { path, query, headers: &poll.headers, body: Bytes::new(), peer };
        let Some(mut response) = fast_path.agents.answer(&claimed, request) else { return false };
        self.is_last = poll.is_last || is_crowded || fast_path.draining.load(Ordering::Relaxed);
        let now = fast_path.clock.now();
        if self.date.0 != now.as_second() || self.date.1.is_empty() {
            self.date = (now.as_second(), httpdate::fmt_http_date(now.into()));
        }
        self.write_head(&response);
        self.file = response.extensions_mut().remove();
        let body = response.into_body();
        if body.len() <= MAX_COPIED_BYTES {
            self.head.extend_from_slice(&body);
            self.body = Bytes::new();
        } else {
            self.body = body;
        }
        true
    }

    /// Writes the head of a response (RFC 9112).
    fn write_head(&mut self, response: &Response<Bytes>) {
        let (status, is_last) = (response.status(), self.is_last);
        self.head.clear();
        let copied = response.body().len();
        self.head.reserve(TYPICAL_HEAD_BYTES + if copied <= MAX_COPIED_BYTES { copied } else { 0 });
        self.push(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" "]);
        self.push(&[status.canonical_reason().unwrap_or_default().as_bytes()]);
        for (name, value) in response.headers() {
            self.push(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        if status != StatusCode::NOT_MODIFIED {
            self.push(&[b"\r\ncontent-length: ", itoa::Buffer::new().format(response.body().len()).as_bytes()]);
        }
        if is_last {
            self.push(&[b"\r\nconnection: close"]);
        }
        self.head.extend_from_slice(b"\r\ndate: ");
        self.head.extend_from_slice(self.date.1.as_bytes());
        self.push(&[b"\r\n\r\n"]);
    }

    fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.head.extend_from_slice(part);
        }
    }
}

/// A request that may be answered on the fast path.
struct PlainPoll<'a> {
    target: &'a str,
    headers: HeaderMap,
    /// The client asks to close the connection after the answer.
    is_last: bool,
}

impl<'a> PlainPoll<'a> {
    /// Parses a complete HTTP/1.1 GET request without a body and with nothing after it. Returns nothing for other requests.
    fn parse(
        is_traced: impl Fn(&[u8]) -> bool,
        kept: &[HeaderName],
        read: &'a [u8],
        buffer: &mut [httparse::Header<'a>],
    ) -> Option<Self> {
        let mut request = httparse::Request::new(buffer);
        let is_complete = request.parse(read).ok()? == httparse::Status::Complete(read.len());
        if !is_complete || request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let target = request.path.filter(|target| target.starts_with('/') && is_unambiguous(target.as_bytes()))?;
        let (mut headers, mut is_last, mut hosts) = (HeaderMap::new(), false, 0);
        for header in request.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("connection") {
                is_last |= match header.value {
                    value if value.eq_ignore_ascii_case(b"close") => true,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => false,
                    _ => return None,
                };
            } else if is("host") {
                hosts += 1;
                if hosts > 1 || !is_valid_host(header.value) {
                    return None;
                }
            } else if ["content-length", "transfer-encoding", "upgrade", "expect"].into_iter().any(is)
                || is(TRACEPARENT) && is_traced(header.value)
            {
                return None;
            } else if let Some(name) = kept.iter().find(|name| is(name.as_str())) {
                headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
            }
        }
        // The full HTTP server rejects a missing host.
        (hosts == 1).then_some(Self { target, headers, is_last })
    }
}

/// For each byte, whether a path and a query may contain it (RFC 3986, section 3).
const UNAMBIGUOUS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        #[expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "it is below 256")]
        {
            table[byte] = is_allowed_in_target(byte as u8);
        }
        byte += 1;
    }
    table
};

const fn is_allowed_in_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
                | b'?'
                | b'%'
        )
}

/// Returns true if a target has only characters that a path and a query may contain. hyper decides on all others: it refuses some and cuts
/// off fragments. Every poll is checked, and a loop without branches costs less than one that ends early.
fn is_unambiguous(target: &[u8]) -> bool {
    let is_allowed = |byte: &u8| UNAMBIGUOUS.get(usize::from(*byte)).copied().unwrap_or(false);
    target.iter().fold(true, |all, byte| all & is_allowed(byte))
}

/// Parses a request like [`answer_first`], for the fuzz targets. Returns the target, the headers that an answer depends on, and whether
/// the request is the last one of its connection.
pub(crate) fn parse_plain_poll(read: &[u8], is_traced: bool) -> Option<(&str, HeaderMap, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let kept = [header::ACCEPT_ENCODING, header::IF_NONE_MATCH, FORWARDED];
    let is_traced = |parent: &[u8]| is_traced && crate::telemetry::is_traced(parent);
    let poll = PlainPoll::parse(is_traced, &kept, read, &mut headers)?;
    Some((poll.target, poll.headers, poll.is_last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_body_is_not_copied() {
        let (head, body) = (b"head", Bytes::from(vec![b'x'; 1000]));
        for (sent, of_head, of_body) in [(0, 4, 1000), (3, 1, 1000), (4, 0, 1000), (5, 0, 999), (1003, 0, 1)] {
            let rest = rest(head, &body, sent);
            assert_eq!((rest.first_ref().len(), rest.last_ref().len()), (of_head, of_body), "{sent}");
            assert_eq!(rest.first_ref().as_ref(), &head[4 - of_head..]);
            assert_eq!(rest.last_ref().as_ptr(), body[1000 - of_body..].as_ptr(), "the body is not copied");
        }
    }
}
