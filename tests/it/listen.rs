//! Listeners: a poll gets the same answer over every kind of connection, and limits apply.

use crate::support::{
    client, eventually, postgres::Database, program::import, server::Server, upstream, wire::unless_closed,
};
use jiff::SignedDuration;
use reqwest::Method;
use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU32,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0.5";

fn import_stream(database: &Database) {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(4).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
}

/// Sends each piece separately, and reads until the server closes the connection.
fn exchange(address: SocketAddr, pieces: &[&str]) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    for piece in pieces {
        // The server may have closed the connection already.
        unless_closed(connection.write_all(piece.as_bytes()));
    }
    let mut answer = String::new();
    unless_closed(connection.read_to_string(&mut answer));
    answer
}

/// Returns an open connection whose first poll was answered.
fn answered(address: SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(format!("GET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    let mut status = [0; 12];
    connection.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    connection
}

async fn send(address: SocketAddr, pieces: &[&str]) -> String {
    let pieces: Vec<String> = pieces.iter().map(ToString::to_string).collect();
    let work = move || exchange(address, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Splits an answer into its status, its headers without the date, sorted and in lower case, and its body.
fn split(answer: &str) -> (String, Vec<String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut headers: Vec<String> =
        lines.map(str::to_ascii_lowercase).filter(|line| !line.starts_with("date: ")).collect();
    headers.sort();
    (status, headers, body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_get_the_same_answer_over_every_kind_of_connection() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start(&database).await;
    for target in [
        POLL.to_owned(),
        format!("{POLL}&os_checksum={:064x}", 1),
        "/fedora-coreos/v1/graph?stream=stable&basearch=x86_64".into(),
        "/v1/graph?stream=nope&basearch=x86_64".into(),
        "/v1/graph".into(),
    ] {
        let close = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        // In one piece: answered by the accept loop. In two pieces: answered by the full HTTP server.
        let (at_once, in_pieces) =
            (send(server.agents, &[&close]).await, send(server.agents, &[&close[..9], &close[9..]]).await);
        let first = split(&at_once);
        assert_eq!(split(&in_pieces), first, "{target}");
        assert!(at_once.contains("\r\nconnection: close\r\n"), "{at_once}");
        // On a kept connection: one request after the other, and two at once.
        let keep = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        for pieces in [&[&*keep, &close][..], &[&format!("{keep}{close}")]] {
            let both = send(server.agents, pieces).await;
            assert_eq!(both.matches("HTTP/1.1 ").count(), 2, "{both}");
            assert_eq!(both.matches(&first.2).count(), 2, "{both}");
        }
        let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let response = http2.get(format!("http://{}{target}", server.agents)).send().await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!((response.status().as_str(), response.text().await.unwrap()), (&*first.0, first.2.clone()));
        let old = send(server.agents, &[&format!("GET {target} HTTP/1.0\r\n\r\n")]).await;
        assert_eq!((split(&old).0, split(&old).2), (first.0.clone(), first.2.clone()));
    }
    server.stop().await;
}

/// Sends a request, closes this side of the connection, and reads the whole response. Returns its status line and sorted headers except
/// the date, and its body.
async fn whole_response(address: SocketAddr, request: &str) -> (Vec<String>, Vec<u8>) {
    let request = request.to_owned();
    let exchange = move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut response = Vec::new();
        connection.read_to_end(&mut response).unwrap();
        let end = response.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = response.split_at(end.unwrap_or_else(|| panic!("no response to {request:?}")) + 4);
        let lines = std::str::from_utf8(head).unwrap().lines();
        let (dates, mut lines): (Vec<String>, Vec<String>) =
            lines.map(ToOwned::to_owned).partition(|line| line.starts_with("date: "));
        assert_eq!(dates.len(), 1, "{request:?}");
        // The order of headers has no meaning. hyper writes those that it adds itself last.
        lines[1..].sort();
        (lines, body.to_vec())
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// Sends a request to a service with the fast path and to one without it, and checks that the responses are the same. Returns the lines of
/// the head, and the body.
async fn same_response(servers: &[Server; 2], request: &str) -> (Vec<String>, Vec<u8>) {
    let [with, without] = servers;
    let expected = whole_response(without.agents, request).await;
    assert_eq!(whole_response(with.agents, request).await, expected, "{request}");
    expected
}

async fn status_of_both(servers: &[Server; 2], request: &str) -> String {
    same_response(servers, request).await.0[0].split(' ').nth(1).unwrap().to_owned()
}

/// Returns requests of a target with each method, each way to end the connection, and these headers.
fn requests(target: &str, headers: &str) -> Vec<String> {
    ["GET", "HEAD"]
        .iter()
        .flat_map(|method| {
            ["", "connection: close\r\n", "connection: keep-alive\r\n"]
                .map(|connection| format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{headers}{connection}\r\n"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_the_same_without_the_fast_path() {
    let database = Database::new().await;
    import_stream(&database);
    let start = async |fast_path| Server::start_with(&database, |settings| settings.limits.fast_path = fast_path).await;
    let servers = [start(true).await, start(false).await];
    let encoded = |encoding: &str| format!("GET {POLL} HTTP/1.1\r\nhost: x\r\naccept-encoding: {encoding}\r\n\r\n");
    let value = |head: &[String], name: &str| {
        head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(ToOwned::to_owned))
    };
    let mut tags = vec!["*".to_owned(), "\"unknown\"".into()];
    for encoding in ["identity", "gzip", "zstd"] {
        for server in &servers {
            eventually("the encoding is ready", async || {
                let (head, _) = whole_response(server.agents, &encoded(encoding)).await;
                encoding == "identity" || value(&head, "content-encoding").as_deref() == Some(encoding)
            })
            .await;
        }
        tags.push(value(&same_response(&servers, &encoded(encoding)).await.0, "etag").unwrap());
    }
    let mut statuses = BTreeSet::new();
    for encoding in ["identity", "gzip", "zstd", "gzip, zstd", "*", "gzip;q=0", "br"] {
        for condition in tags.iter().map(|tag| format!("if-none-match: {tag}\r\n")).chain([String::new()]) {
            for request in requests(POLL, &format!("accept-encoding: {encoding}\r\n{condition}")) {
                statuses.insert(status_of_both(&servers, &request).await);
            }
        }
    }
    assert_eq!(statuses, ["200", "304"].map(ToOwned::to_owned).into());
    for (target, status) in [
        (format!("{POLL}&os_checksum={:064x}", 1), "200"),
        (format!("{POLL}&os_checksum={:064x}&view=full", 1), "200"),
        (format!("{POLL}&os_checksum=unknown&node_uuid=x&group=workers&platform=metal&os_version=44"), "200"),
        (POLL.replace("/v1", "/fedora-coreos/v1"), "200"),
        (POLL.replace("/v1", "/fedora%2Dcoreos/v1"), "200"),
        (POLL.replace("stable", "st%61ble"), "200"),
        ("/v1/graph?stream=stable&basearch=s390x&oci=true".into(), "200"),
        (format!("{POLL}&unknown=a/b?c:d@e!f$g'(h)*i+j,k;l~m=n"), "200"),
        (format!("{POLL}&unknown={{}}|^`[]\u{e9}"), "200"),
        (format!("{POLL}#fragment"), "200"),
        (format!("{POLL}#&stream=next"), "200"),
        (format!("{POLL}&unknown=<\">"), "400"),
        (format!("{POLL}\\"), "200"),
        ("/v1/graph".into(), "400"),
        ("/v1/graph?".into(), "400"),
        ("/v1/graph?stream=stable".into(), "400"),
        ("/v1/graph?basearch=x86_64&stream=".into(), "400"),
        (format!("{POLL}&stream=stable"), "400"),
        (format!("{POLL}&oci=maybe"), "400"),
        (format!("{POLL}&view=half"), "400"),
        (POLL.replace("stable", "nope"), "404"),
        (POLL.replace("x86_64", "nope"), "404"),
        (POLL.replace("/v1", "/nope/v1"), "404"),
        (POLL.replace("/v1", "//v1"), "404"),
        ("/v1/graph/".into(), "404"),
    ] {
        for request in requests(&target, "") {
            assert_eq!(status_of_both(&servers, &request).await, status, "{request}");
        }
    }
    for (request, status) in [
        (format!("GET {POLL} HTTP/1.1\r\n\r\n"), "400"),
        (format!("GET {POLL} HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n"), "400"),
        (format!("GET {POLL} HTTP/1.0\r\n\r\n"), "200"),
        (format!("POST {POLL} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"), "405"),
        (format!("OPTIONS {POLL} HTTP/1.1\r\nhost: x\r\norigin: http://y\r\n\r\n"), "405"),
    ] {
        assert_eq!(status_of_both(&servers, &request).await, status, "{request}");
    }
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_the_same_without_the_fast_path() {
    let database = Database::new().await;
    import_stream(&database);
    let limited = async |fast_path| {
        Server::start_with(&database, |settings| {
            settings.limits.fast_path = fast_path;
            settings.limits.polls_per_address = NonZeroU32::new(1);
        })
        .await
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let not_ready = |fast_path: bool| {
        Server::start_without_database(folders[usize::from(fast_path)].path(), 1_790_000_000, |settings| {
            settings.limits.fast_path = fast_path;
        })
    };
    let unknown = "/nope/v1/graph?stream=nope&basearch=x86_64";
    for (servers, refusals) in [
        ([limited(true).await, limited(false).await], [(POLL, "429"), ("/v1/graph", "429"), (unknown, "429")]),
        ([not_ready(true), not_ready(false)], [(POLL, "503"), ("/v1/graph", "400"), (unknown, "503")]),
    ] {
        for (target, status) in refusals {
            for request in requests(target, "accept-encoding: gzip\r\n") {
                // Repeated, since one poll per second is admitted.
                eventually("both services refuse the poll", async || {
                    let [with, without] = &servers;
                    let responses =
                        [whole_response(with.agents, &request).await, whole_response(without.agents, &request).await];
                    let are_refused = responses.iter().all(|(head, _)| head[0].split(' ').nth(1) == Some(status));
                    if are_refused {
                        assert_eq!(responses[0], responses[1], "{request}");
                        assert!(responses[0].0.contains(&"access-control-allow-origin: *".to_owned()), "{responses:?}");
                    }
                    are_refused
                })
                .await;
            }
        }
        for server in servers {
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_has_its_own_etag() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start(&database).await;
    let get = async |encoding: &str, etag: Option<&str>| {
        let condition = etag.map(|tag| format!("if-none-match: {tag}\r\n")).unwrap_or_default();
        let request = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\naccept-encoding: {encoding}\r\n{condition}\r\n");
        let (address, request) = (server.agents, request);
        tokio::task::spawn_blocking(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(request.as_bytes()).unwrap();
            connection.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).unwrap();
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
        })
        .await
        .unwrap()
    };
    let header = |head: &str, name: &str| {
        head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };
    let (plain_head, plain) = get("identity", None).await;
    assert_eq!(
        (header(&plain_head, "content-encoding"), header(&plain_head, "vary").as_deref()),
        (None, Some("accept-encoding"))
    );
    let mut tags = vec![header(&plain_head, "etag").unwrap()];
    for encoding in ["gzip", "zstd"] {
        // No client waits for an encoder: until it is done, the answer is sent unencoded.
        let (head, body) = get(encoding, None).await;
        assert_eq!((header(&head, "content-encoding"), header(&head, "etag").as_ref()), (None, tags.first()));
        assert_eq!((header(&head, "vary").as_deref(), &body), (Some("accept-encoding"), &plain));
        eventually("the encoding is ready", async || {
            header(&get(encoding, None).await.0, "content-encoding").is_some()
        })
        .await;
        let (head, body) = get(encoding, None).await;
        assert_eq!(header(&head, "content-encoding").as_deref(), Some(encoding));
        let decoded = match encoding {
            "gzip" => {
                let mut decoded = Vec::new();
                flate2::read::GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
                decoded
            }
            _ => zstd::decode_all(&*body).unwrap(),
        };
        assert_eq!(decoded, plain);
        tags.push(header(&head, "etag").unwrap());
    }
    assert!(tags.iter().all(|tag| tag.starts_with('"')) && tags[0] != tags[1] && tags[1] != tags[2], "{tags:?}");
    for (tag, accepted) in [(&tags[0], "gzip"), (&tags[1], "gzip"), (&tags[2], "zstd"), (&tags[1], "gzip, zstd")] {
        let (head, body) = get(accepted, Some(tag)).await;
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
        assert_eq!(header(&head, "etag").as_ref(), Some(tag), "a cache has to know which of its answers is confirmed");
    }
    // A cache with an answer in a coding that this client does not accept must not send it.
    assert!(get("gzip", Some(&tags[2])).await.0.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_of_a_new_revision_do_not_wait_for_full_graphs_in_use() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    import_stream(&database);
    let server = Server::start(&database).await;
    let poll = async || {
        let response = server.request(Method::GET, POLL).header("accept-encoding", "gzip").send().await.unwrap();
        (response.headers().contains_key("content-encoding"), response.bytes().await.unwrap())
    };
    let rendered = async || {
        let labels = "{product=\"fedora-coreos\",stream=\"stable\"}";
        server.metric(&format!("lockkeeper_catalog_graphs_rendered_total{labels}")).await
    };
    let size = async || server.metric("lockkeeper_encodings_size_bytes").await;
    eventually("the encoding is ready", async || poll().await.0).await;
    let before = (poll().await.1, size().await);
    upstream::plain(20).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    server.shows("fedora-coreos/stable", 2).await;
    eventually("the new graph is encoded", async || {
        let now = size().await;
        now != "0" && now != before.1
    })
    .await;
    let (is_encoded, body) = poll().await;
    assert!(is_encoded && body.len() > before.0.len());
    assert_eq!(rendered().await, "1", "no poll of the new revision had to wait for a graph");
    server.stop().await;
}

/// A poll whose graph is not rendered yet takes another path through the service. It counts once there too.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_waits_for_its_graph_counts_once_against_its_address() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start_with(&database, |settings| settings.limits.polls_per_address = NonZeroU32::new(1)).await;
    let (status, _) = server.get(POLL).await;
    assert_eq!(status, 200);
    eventually("the next one is too many", async || server.get(POLL).await.0 == 429).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_bound_only_once() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let settings =
        lockkeeper::config::Settings { listen: server.agents.to_string(), ..lockkeeper::config::Settings::default() };
    let clock = std::sync::Arc::new(lockkeeper::clock::SystemClock);
    let second = lockkeeper::server::Service::bind(settings, clock).err().map(|error| error.to_string());
    assert_eq!(second, Some(format!("cannot listen on {}", server.agents)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_before_the_stop_are_answered() {
    let database = Database::new().await;
    import_stream(&database);
    for fast_path in [true, false] {
        let server = Server::start_with(&database, |settings| settings.limits.fast_path = fast_path).await;
        let address = server.agents;
        let connections = tokio::task::spawn_blocking(move || {
            let connect = |n: usize| {
                let mut connection = TcpStream::connect(address).unwrap();
                // Half of the connections send a request; the others are closed without an answer.
                if n.is_multiple_of(2) {
                    let request = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                    connection.write_all(request.as_bytes()).unwrap();
                }
                (n, connection)
            };
            (0..100).map(connect).collect::<Vec<_>>()
        });
        let connections = connections.await.unwrap();
        server.stop().await;
        for (n, mut connection) in connections {
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            assert_eq!(answer.starts_with("HTTP/1.1 200 "), n.is_multiple_of(2), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_get_503_with_retry_after() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start_with(&database, |settings| {
        settings.limits.max_connections = 2;
        settings.limits.connections_per_address = NonZeroU32::new(2);
        settings.listeners.status = Some("127.0.0.3:0".into());
        settings.listeners.agents = Some("127.0.0.2:0".into());
    })
    .await;
    let poll = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    // The second connection sends nothing: an answer would end it, since more than half of the permits are taken. A poll that is accepted
    // before it may have its permit, so it is opened again.
    let held = RefCell::new(vec![answered(server.agents)]);
    let refused = RefCell::new(String::new());
    eventually("all permits are taken", async || {
        held.borrow_mut().push(TcpStream::connect(server.agents).unwrap());
        let response = send(server.agents, &[&poll]).await;
        refused.replace(response);
        refused.borrow().starts_with("HTTP/1.1 503 ")
    })
    .await;
    let refused = refused.into_inner();
    assert!(refused.contains("retry-after: 10\r\n"), "{refused}");
    assert_ne!(server.metric("lockkeeper_connections_refused_total{reason=\"full\"}").await, "0");
    drop(held);
    eventually("permits are released", async || send(server.agents, &[&poll]).await.starts_with("HTTP/1.1 200 ")).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_or_too_slow_are_refused() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start_with(&database, |settings| {
        settings.limits.head_bytes = 8192;
        settings.limits.head_timeout = SignedDuration::from_millis(300);
    })
    .await;
    let long = format!("GET {POLL}&x={} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(9000));
    assert!(send(server.agents, &[&long]).await.starts_with("HTTP/1.1 4"), "a head that is too long");
    let many = format!("GET {POLL} HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(70));
    assert!(send(server.agents, &[&many]).await.starts_with("HTTP/1.1 431 "), "too many headers");
    // Incomplete requests, missing requests and idle connections are closed.
    assert_eq!(send(server.agents, &["GET /v1/gr"]).await, "");
    assert_eq!(send(server.agents, &[""]).await, "");
    let kept = send(server.agents, &[&format!("GET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n")]).await;
    assert!(kept.starts_with("HTTP/1.1 200 ") && kept.matches("HTTP/1.1").count() == 1, "{kept}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_per_address_are_limited() {
    let database = Database::new().await;
    import_stream(&database);
    let server = Server::start_with(&database, |settings| {
        settings.limits.polls_per_address = NonZeroU32::new(3);
        settings.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let poll = async |client: &str| {
        let response = server.request(Method::GET, POLL).header("x-forwarded-for", client).send().await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("retry-after"))
    };
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(poll("192.0.2.1").await);
    }
    assert!(answers[..3].iter().all(|answer| *answer == (200, false)), "{answers:?}");
    assert!(answers.contains(&(429, true)), "{answers:?}");
    assert_eq!(poll("192.0.2.2").await, (200, false), "another address");
    // Other methods and paths of polls count too.
    let other = POLL.replace("/v1/graph", "/fedora%2Dcoreos/v1/graph");
    for (method, path) in [(Method::HEAD, POLL), (Method::GET, other.as_str())] {
        let answer = server.request(method, path).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
        assert_eq!(answer.status(), 429, "{path}");
    }
    // Documents and images are limited too.
    for path in ["/updates/stable.json", "/fedora-coreos/prod/streams/stable/releases.json", "/images?stream=stable"] {
        let answer = server.request(Method::GET, path).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
        assert_eq!(answer.status(), 429, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
    }
    // The addresses of an IPv6 network count as one client.
    let mut networked = Vec::new();
    for host in 0..20 {
        networked.push(poll(&format!("2001:db8::{host}")).await);
    }
    assert!(networked.contains(&(429, true)), "{networked:?}");
    // An address that the client itself put into the header does not count.
    assert_eq!(poll("192.0.2.9, 192.0.2.3").await, (200, false));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_works_and_certificates_are_checked_at_the_start() {
    let database = Database::new().await;
    import_stream(&database);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with(&database, |settings| {
        settings.listeners.status = Some("127.0.0.3:0".into());
        settings.listeners.agents = Some("127.0.0.2:0".into());
        settings.tls.certificate = Some(certificate.clone());
        settings.tls.key = Some(key.clone());
    })
    .await;
    drop(client());
    let root = reqwest::Certificate::from_pem(certified.cert.pem().as_bytes()).unwrap();
    let https = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .resolve("localhost", server.agents)
        .build()
        .unwrap();
    let url = format!("https://localhost:{}{POLL}", server.agents.port());
    let response = https.get(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    // The separate status listener uses plain HTTP.
    assert_eq!(server.readiness().await["ready"], true);
    server.stop().await;

    std::fs::write(&key, "no key").unwrap();
    let settings = lockkeeper::config::Settings {
        listen: "127.0.0.1:0".into(),
        tls: lockkeeper::config::TlsSettings { certificate: Some(certificate), key: Some(key.clone()) },
        ..lockkeeper::config::Settings::default()
    };
    let clock = std::sync::Arc::new(lockkeeper::clock::SystemClock);
    let error = anyhow::Error::from(lockkeeper::server::Service::bind(settings, clock).err().unwrap());
    assert!(format!("{error:#}").contains(&key.display().to_string()), "{error:#}");
}
