//! Hostile clients: other clients are answered, whatever a client does with its connections.

use crate::support::{
    client, eventually,
    manager::{Desk, STABLE, document, with_reason},
    postgres::Database,
    program::import,
    server::Server,
    upstream,
    wire::{
        self, Certificate, GOAWAY, HEADERS, PREFACE, SETTINGS, connect_from, hello, is_closed, is_closed_under,
        next_of, ping, receive_windows, receives, unless_closed,
    },
};
use jiff::SignedDuration;
use reqwest::Client;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU32,
    sync::Arc,
    thread,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64";
const LIVE: &str = "/healthz/live";
/// The address that opens as many connections as it can.
const ATTACKER: u8 = 66;

/// Creates a database with a stream of this many releases.
async fn database(releases: usize) -> Database {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(releases).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    database
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Opens connections of one client that never send anything.
fn silent(client: u8, count: usize, to: SocketAddr) -> Vec<TcpStream> {
    (0..count).map(|_| connect_from(client, to)).collect()
}

/// Opens HTTP/2 connections of one client that never send a request.
fn idle(client: u8, count: usize, to: SocketAddr) -> Vec<TcpStream> {
    let open = |_| {
        let mut connection = connect_from(client, to);
        connection.write_all(&hello(None)).unwrap();
        connection
    };
    (0..count).map(open).collect()
}

/// Opens HTTP/2 connections like [`idle`], and waits until each has a permit, whichever thread accepts it. Tries again while the permits
/// of earlier connections are not released yet.
fn idle_with_permits(client: u8, count: usize, to: SocketAddr) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..60 {
        let mut new = idle(client, count - connections.len(), to);
        new.retain_mut(|connection| receives(connection, SETTINGS));
        connections.append(&mut new);
        if connections.len() == count {
            return connections;
        }
    }
    panic!("no permit was released");
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Sends a request and reads the answer up to its `content-length`: the connection may be kept open.
fn exchange(connection: &mut (impl Read + Write), request: &str) -> String {
    unless_closed(connection.write_all(request.as_bytes()));
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count == 1) {
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

/// Sends a request on a connection of its own.
async fn request_from(client: u8, to: SocketAddr, path: &str) -> String {
    let request = get(path);
    blocking(move || exchange(&mut connect_from(client, to), &request)).await
}

fn http2() -> Client {
    Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

fn https(certificate: &Certificate, to: SocketAddr, http1: bool) -> Client {
    drop(client());
    let root = reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([root]).resolve("localhost", to);
    if http1 { builder.http1_only() } else { builder }.build().unwrap()
}

async fn status(client: &Client, url: &str) -> u16 {
    client.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_are_closed_in_every_protocol() {
    let (database, certificate) = (database(2).await, Certificate::new());
    let short = |settings: &mut lockkeeper::config::Settings| {
        settings.limits.head_timeout = SignedDuration::from_secs(1);
    };
    let plain = Server::start_with(&database, short).await;
    let secure = Server::start_with(&database, |settings| {
        short(settings);
        settings.tls = certificate.settings();
    })
    .await;
    let (to, secure_to) = (plain.agents, secure.agents);
    let closed = blocking(move || {
        // On a busy machine a connection may be closed before everything is sent.
        let connect = |sent: &[u8]| {
            let mut connection = connect_from(1, to);
            unless_closed(connection.write_all(sent));
            connection
        };
        let tls = |protocol: &[u8], sent: &[u8]| {
            let mut connection = certificate.tls(connect_from(1, secure_to), protocol);
            unless_closed(connection.write_all(sent));
            connection
        };
        let http2_poll = [hello(None), wire::get(1, POLL)].concat();
        let after_head = format!("HEAD {POLL} HTTP/1.1\r\nhost: x\r\n\r\n");
        thread::scope(|scope| {
            let waiting = [
                ("nothing", scope.spawn(|| is_closed(connect(b"")))),
                ("half a request", scope.spawn(|| is_closed(connect(b"GET /v1")))),
                ("a poll", scope.spawn(|| is_closed(connect(get(POLL).as_bytes())))),
                ("a HEAD request", scope.spawn(|| is_closed(connect(after_head.as_bytes())))),
                ("half a preface", scope.spawn(|| is_closed(connect(&PREFACE[..9])))),
                ("a preface", scope.spawn(|| is_closed(connect(PREFACE)))),
                ("settings", scope.spawn(|| is_closed(connect(&hello(None))))),
                ("a poll by HTTP/2", scope.spawn(|| is_closed(connect(&http2_poll)))),
                ("pings", scope.spawn(|| is_closed_under(connect(&hello(None)), &ping()))),
                ("pings after a poll", scope.spawn(|| is_closed_under(connect(&http2_poll), &ping()))),
                ("no handshake", scope.spawn(|| is_closed(connect_from(1, secure_to)))),
                ("half a handshake", {
                    let mut connection = connect_from(1, secure_to);
                    unless_closed(connection.write_all(&[0x16, 0x03, 0x01, 0x02]));
                    scope.spawn(|| is_closed(connection))
                }),
                ("TLS", scope.spawn(|| is_closed(tls(b"http/1.1", b"")))),
                ("TLS, half a request", scope.spawn(|| is_closed(tls(b"http/1.1", b"GET /v1")))),
                ("TLS, a poll", scope.spawn(|| is_closed(tls(b"http/1.1", get(POLL).as_bytes())))),
                ("TLS, nothing of HTTP/2", scope.spawn(|| is_closed(tls(b"h2", b"")))),
                ("TLS, settings", scope.spawn(|| is_closed(tls(b"h2", &hello(None))))),
                ("TLS, a poll by HTTP/2", scope.spawn(|| is_closed(tls(b"h2", &http2_poll)))),
            ];
            waiting.map(|(what, waiting)| (what, waiting.join().unwrap()))
        })
    })
    .await;
    let open: Vec<&str> = closed.into_iter().filter(|(_, closed)| !closed).map(|(what, _)| what).collect();
    assert!(open.is_empty(), "kept open after {open:?}");
    plain.stop().await;
    secure.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_answers_do_not_keep_a_connection_open() {
    let database = database(400).await;
    let server = Server::start_with(&database, |settings| {
        settings.limits.head_timeout = SignedDuration::from_millis(300);
    })
    .await;
    let to = server.agents;
    let closed = blocking(move || {
        thread::scope(|scope| {
            // An empty window, one that is too small for the answer, and the default one; with pings, so that the connection is not dead.
            let waiting = [Some(0), Some(100), None].map(|window| {
                scope.spawn(move || {
                    let mut connection = connect_from(1, to);
                    connection.write_all(&[hello(window), wire::get(1, POLL)].concat()).unwrap();
                    // New requests do not keep it open either.
                    let more = [ping(), wire::get(3, POLL)].concat();
                    connection.write_all(&more).unwrap();
                    is_closed_under(connection, &ping())
                })
            });
            waiting.map(|waiting| waiting.join().unwrap())
        })
    })
    .await;
    assert_eq!(closed, [true; 3]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_get_the_whole_answer() {
    let database = database(400).await;
    let server = Server::start(&database).await;
    let (full, to) = (server.get(POLL).await.1, server.agents);
    let read = blocking(move || {
        let slowly = |sent: &str| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(2048).unwrap();
            socket.connect(&to.into()).unwrap();
            let mut connection = TcpStream::from(socket);
            connection.write_all(sent.as_bytes()).unwrap();
            let (mut answer, mut some) = (Vec::new(), [0; 1000]);
            while let Ok(count @ 1..) = connection.read(&mut some) {
                answer.extend_from_slice(&some[..count]);
            }
            String::from_utf8(answer).unwrap()
        };
        let close = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        // Answered by the accept loop, on a kept connection, and by hyper.
        [close.clone(), get(POLL) + &close, format!("GET {POLL} HTTP/1.0\r\n\r\n")].map(|sent| slowly(&sent))
    })
    .await;
    assert!(full.len() > 50_000, "{}", full.len());
    for (answer, count) in read.iter().zip([1, 2, 1]) {
        assert_eq!(answer.matches(&full).count(), count);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_leaves_permits_for_polls_probes_and_managers() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| settings.limits.max_connections = 40).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let poll = "/os/v1/graph?stream=stable&basearch=x86_64&oci=true";
    let to = server.agents;
    let held = blocking(move || idle(ATTACKER, 40, to)).await;
    eventually("the address reaches its limit", async || {
        server.metric("lockkeeper_connections_refused_total{reason=\"address\"}").await != "0"
    })
    .await;
    let answer = request_from(1, to, poll).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(status(&http2(), &format!("http://{to}{poll}")).await, 200);
    // Other clients with the same address cannot poll either, but probes and emergency stops are answered.
    let answer = request_from(ATTACKER, to, poll).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 10\r\n"), "{answer}");
    for path in [LIVE, "/healthz/ready", "/metrics"] {
        let answer = request_from(ATTACKER, to, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let stop = format!("http://{to}{}", with_reason(&format!("{STABLE}/emergency-stop")));
    let client = Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 1, ATTACKER]));
    let stopped = client.build().unwrap().post(stop).bearer_auth(admin.token.as_ref().unwrap());
    let stopped = stopped.header("if-match", "*").send().await.unwrap();
    assert_eq!(stopped.status(), 200, "{}", stopped.text().await.unwrap());
    drop(held);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn managers_and_probes_are_answered_while_agents_hold_all_permits() {
    let (database, certificate) = (database(2).await, Certificate::new());
    let full = |settings: &mut lockkeeper::config::Settings| {
        settings.limits.max_connections = 4;
        settings.limits.connections_per_address = NonZeroU32::new(4);
    };
    let plain = Server::start_with(&database, full).await;
    let secure = Server::start_with(&database, |settings| {
        full(settings);
        settings.tls = certificate.settings();
    })
    .await;
    let (to, secure_to) = (plain.agents, secure.agents);
    let certificate = Arc::new(certificate);
    let held = blocking({
        let certificate = certificate.clone();
        move || {
            let secure = (0..4).map(|_| {
                let mut connection = certificate.tls(connect_from(ATTACKER, secure_to), b"h2");
                connection.write_all(&hello(None)).unwrap();
                assert!(receives(&mut connection, SETTINGS));
                connection
            });
            (idle_with_permits(ATTACKER, 4, to), secure.collect::<Vec<_>>())
        }
    })
    .await;
    eventually("all permits are taken", async || request_from(1, to, POLL).await.starts_with("HTTP/1.1 503 ")).await;
    // Uses new clients for each request: a kept connection would already have a permit.
    let secure_url = format!("https://localhost:{}", secure_to.port());
    let statuses = async |path: &str| {
        let secure_url = format!("{secure_url}{path}");
        [
            status(&client(), &format!("http://{to}{path}")).await,
            status(&http2(), &format!("http://{to}{path}")).await,
            status(&https(&certificate, secure_to, true), &secure_url).await,
            status(&https(&certificate, secure_to, false), &secure_url).await,
        ]
    };
    eventually("all permits behind TLS are taken", async || statuses(POLL).await == [503; 4]).await;
    for path in [LIVE, "/healthz/ready", "/metrics", "/fleet/unknown-payloads", "/api/v1", "/api/v1/openapi.json"] {
        assert_eq!(statuses(path).await, [200; 4], "{path}");
    }
    assert_eq!(statuses("/api/v1/products").await, [401; 4]);
    for path in ["/", "/healthz", "/prod/streams/stable/releases.json", "/api/v1/graph", "/api/v1/nothing"] {
        assert_eq!(statuses(path).await, [503; 4], "{path}");
    }
    // A connection that was opened for a probe cannot be used for polls.
    let answers = blocking(move || {
        let mut connection = connect_from(1, to);
        let answers = [LIVE, LIVE, POLL].map(|path| exchange(&mut connection, &get(path)));
        assert!(is_closed(connection));
        answers
    })
    .await;
    assert!(answers[0].starts_with("HTTP/1.1 200 ") && answers[1].starts_with("HTTP/1.1 200 "), "{answers:?}");
    assert!(answers[2].starts_with("HTTP/1.1 503 ") && answers[2].contains("connection: close\r\n"), "{answers:?}");
    drop(held);
    eventually("permits are released", async || request_from(1, to, POLL).await.starts_with("HTTP/1.1 200 ")).await;
    plain.stop().await;
    secure.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_keep_managers_out() {
    let database = database(2).await;
    let server = Server::start_with(&database, |settings| settings.limits.max_connections = 4).await;
    let to = server.agents;
    let mut held =
        blocking(move || (1..=4).flat_map(|client| idle_with_permits(client, 1, to)).collect::<Vec<_>>()).await;
    eventually("all permits are taken", async || request_from(9, to, POLL).await.starts_with("HTTP/1.1 503 ")).await;
    // More connections than may wait, from one address and from many. Each may wait for a second.
    let more = blocking(move || {
        let mut more = idle(ATTACKER, 300, to);
        more.extend((100..=250).flat_map(|client| idle(client, 2, to)));
        more
    });
    let more = more.await;
    for client in [9, ATTACKER, 100] {
        let answer = request_from(client, to, LIVE).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // They are closed after that time.
    let closed = blocking(move || more.into_iter().filter(|connection| is_closed(connection)).count()).await;
    assert_eq!(closed, 602);
    held.clear();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn separate_listeners_have_separate_permits() {
    let database = database(2).await;
    let server = Server::start_with(&database, |settings| {
        settings.limits.max_connections = 4;
        settings.limits.manager_connections = 8;
        settings.listeners.agents = Some("127.0.0.2:0".into());
        settings.listeners.managers = Some("127.0.0.3:0".into());
        settings.listeners.status = Some("127.0.0.4:0".into());
    })
    .await;
    let sides = [(server.agents, POLL, 4), (server.managers, "/api/v1", 8), (server.status, LIVE, 8)];
    let statuses = async |client: u8| {
        let mut statuses = Vec::new();
        for (to, path, _) in sides {
            statuses.push(request_from(client, to, path).await[9..12].to_owned());
        }
        statuses
    };
    for (full, (to, _, size)) in sides.into_iter().enumerate() {
        // Each of four clients takes a quarter of the permits.
        let held =
            blocking(move || (1..=4).flat_map(|client| idle_with_permits(client, size / 4, to)).collect::<Vec<_>>())
                .await;
        let expected: Vec<&str> = (0..3).map(|side| if side == full { "503" } else { "200" }).collect();
        eventually("only one listener is full", async || statuses(9).await == expected).await;
        drop(held);
        eventually("permits are released", async || statuses(9).await == ["200"; 3]).await;
        let held = blocking(move || idle_with_permits(ATTACKER, size / 4, to)).await;
        eventually("the address reaches its limit", async || statuses(ATTACKER).await == expected).await;
        eventually("other addresses are answered", async || statuses(9).await == ["200"; 3]).await;
        drop(held);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxies_may_have_all_connections() {
    let database = database(2).await;
    let server = Server::start_with(&database, |settings| {
        settings.limits.max_connections = 8;
        settings.limits.trusted_proxies = vec!["127.0.1.0/28".parse().unwrap()];
    })
    .await;
    let to = server.agents;
    let held = blocking(move || silent(7, 7, to)).await;
    let answer = request_from(7, to, POLL).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(held);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_ends_its_connection_while_the_pool_is_crowded() {
    let (database, certificate) = (database(2).await, Certificate::new());
    let crowded = |settings: &mut lockkeeper::config::Settings| {
        settings.limits.max_connections = 8;
        settings.limits.connections_per_address = NonZeroU32::new(8);
    };
    let plain = Server::start_with(&database, crowded).await;
    let secure = Server::start_with(&database, |settings| {
        crowded(settings);
        settings.tls = certificate.settings();
    })
    .await;
    let (to, secure_to, certificate) = (plain.agents, secure.agents, Arc::new(certificate));
    for count in [0, 4] {
        let is_crowded = count > 0;
        let others = move |to| (2..2 + count).flat_map(|client| silent(client, 1, to)).collect::<Vec<_>>();
        let held = blocking(move || [to, secure_to].map(others)).await;
        for path in [POLL, "/prod/streams/stable/releases.json"] {
            let by_http1 = async || {
                let certificate = certificate.clone();
                let requests = move || {
                    let answer = exchange(&mut connect_from(1, to), &get(path));
                    [answer, exchange(&mut certificate.tls(connect_from(1, secure_to), b"http/1.1"), &get(path))]
                };
                blocking(requests).await.map(|answer| answer.contains("connection: close\r\n")) == [is_crowded; 2]
            };
            let by_http2 = async || {
                let certificate = certificate.clone();
                let requests = move || {
                    ends_as_expected(connect_from(1, to), path, is_crowded)
                        && ends_as_expected(certificate.tls(connect_from(1, secure_to), b"h2"), path, is_crowded)
                };
                blocking(requests).await
            };
            // Other threads accept and close the connections: closed ones may still be counted, and new ones not yet.
            eventually("HTTP/1.1 is answered as expected", &by_http1).await;
            if is_crowded {
                assert!(by_http1().await && by_http2().await, "{path}");
            } else {
                eventually("HTTP/2 is answered as expected", &by_http2).await;
            }
        }
        drop(held);
    }
    plain.stop().await;
    secure.stop().await;
}

/// Sends a request by HTTP/2. Returns true if the connection then ends, or accepts another request, as expected.
fn ends_as_expected(mut connection: impl Read + Write, path: &str, is_end_expected: bool) -> bool {
    unless_closed(connection.write_all(&[hello(None), wire::get(1, path)].concat()));
    if !receives(&mut connection, HEADERS) {
        return false;
    }
    if is_end_expected {
        return receives(&mut connection, GOAWAY) && !receives(&mut connection, u8::MAX);
    }
    unless_closed(connection.write_all(&wire::get(3, path)));
    next_of(&mut connection, &[HEADERS, GOAWAY]) == Some(HEADERS)
}

/// No memory limit counts the bytes that a client has sent and no handler has read.
#[tokio::test(flavor = "multi_thread")]
async fn http2_flow_control_windows_are_small() {
    let database = database(2).await;
    let server = Server::start(&database).await;
    let to = server.agents;
    let windows = blocking(move || {
        let mut connection = connect_from(1, to);
        connection.write_all(&hello(None)).unwrap();
        receive_windows(&mut connection)
    });
    assert_eq!(windows.await, (64 << 10, 128 << 10));
    server.stop().await;
}
