//! Connections: every way of asking gives the same answer, and nobody takes more than there is.

use crate::support::{client, eventually, postgres::Database, program::import, server::Server, upstream};
use jiff::SignedDuration;
use reqwest::Method;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU32,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0.5";

fn stream(database: &Database) {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(4).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
}

/// Sends these pieces, each on its own, and reads what comes until the other side closes.
fn exchange(address: SocketAddr, pieces: &[&str]) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    for piece in pieces {
        // A server that had enough may close meanwhile.
        let _ = connection.write_all(piece.as_bytes());
    }
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    answer
}

async fn ask(address: SocketAddr, pieces: &[&str]) -> String {
    let pieces: Vec<String> = pieces.iter().map(ToString::to_string).collect();
    let asking = move || exchange(address, &pieces.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(asking).await.unwrap()
}

/// Status, body, and the names of the headers: their order and spelling are the server's.
fn taken_apart(answer: &str) -> (String, Vec<String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut headers: Vec<String> =
        lines.map(str::to_ascii_lowercase).filter(|line| !line.starts_with("date: ")).collect();
    headers.sort();
    (status, headers, body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_poll_comes_it_gets_the_same_answer() {
    let database = Database::new().await;
    stream(&database);
    let server = Server::start(&database).await;
    for target in [
        POLL.to_owned(),
        format!("{POLL}&os_checksum={:064x}", 1),
        "/fedora-coreos/v1/graph?stream=stable&basearch=x86_64".into(),
        "/v1/graph?stream=nope&basearch=x86_64".into(),
        "/v1/graph".into(),
    ] {
        let close = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        // At once: answered as soon as it is accepted. In two pieces: by the whole HTTP server.
        let (at_once, in_pieces) =
            (ask(server.agents, &[&close]).await, ask(server.agents, &[&close[..9], &close[9..]]).await);
        let first = taken_apart(&at_once);
        assert_eq!(taken_apart(&in_pieces), first, "{target}");
        assert!(at_once.contains("\r\nconnection: close\r\n"), "{at_once}");
        // Kept open: one after the other on one connection, and two at once.
        let keep = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        for pieces in [&[&*keep, &close][..], &[&format!("{keep}{close}")]] {
            let both = ask(server.agents, pieces).await;
            assert_eq!(both.matches("HTTP/1.1 ").count(), 2, "{both}");
            assert_eq!(both.matches(&first.2).count(), 2, "{both}");
        }
        let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let response = http2.get(format!("http://{}{target}", server.agents)).send().await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!((response.status().as_str(), response.text().await.unwrap()), (&*first.0, first.2.clone()));
        let old = ask(server.agents, &[&format!("GET {target} HTTP/1.0\r\n\r\n")]).await;
        assert_eq!((taken_apart(&old).0, taken_apart(&old).2), (first.0.clone(), first.2.clone()));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_are_representations_of_their_own() {
    let database = Database::new().await;
    stream(&database);
    let server = Server::start(&database).await;
    let get = async |encoding: &str, held: Option<&str>| {
        let held = held.map(|tag| format!("if-none-match: {tag}\r\n")).unwrap_or_default();
        let request = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\naccept-encoding: {encoding}\r\n{held}\r\n");
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
    for tag in &tags {
        let (head, body) = get("gzip", Some(tag)).await;
        assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_once() {
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
async fn who_was_let_in_before_the_end_is_answered() {
    let database = Database::new().await;
    stream(&database);
    let server = Server::start(&database).await;
    let address = server.agents;
    let connections = tokio::task::spawn_blocking(move || {
        let connect = |n: usize| {
            let mut connection = TcpStream::connect(address).unwrap();
            // Some have asked, some have only come; those are closed without a word.
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

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_told_to_come_back() {
    let database = Database::new().await;
    stream(&database);
    let server = Server::start_with(&database, |settings| {
        settings.limits.max_connections = 2;
        settings.listeners.status = Some("127.0.0.3:0".into());
        settings.listeners.agents = Some("127.0.0.2:0".into());
    })
    .await;
    let held: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(server.agents).unwrap()).collect();
    let poll = format!("GET {POLL} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    eventually("both are let in", async || ask(server.agents, &[&poll]).await.starts_with("HTTP/1.1 503 ")).await;
    let refused = ask(server.agents, &[&poll]).await;
    assert!(refused.contains("retry-after: 10\r\n"), "{refused}");
    assert_ne!(server.metric("lockkeeper_connections_refused_total").await, "0");
    drop(held);
    eventually("there is room again", async || ask(server.agents, &[&poll]).await.starts_with("HTTP/1.1 200 ")).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_much_or_too_slowly_is_refused() {
    let database = Database::new().await;
    stream(&database);
    let server = Server::start_with(&database, |settings| {
        settings.limits.head_bytes = 8192;
        settings.limits.head_timeout = SignedDuration::from_millis(300);
    })
    .await;
    let long = format!("GET {POLL}&x={} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(9000));
    assert!(ask(server.agents, &[&long]).await.starts_with("HTTP/1.1 4"), "a head that is too long");
    let many = format!("GET {POLL} HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(70));
    assert!(ask(server.agents, &[&many]).await.starts_with("HTTP/1.1 431 "), "too many headers");
    // Neither who never ends, nor who never begins, nor who lies idle keeps a connection.
    assert_eq!(ask(server.agents, &["GET /v1/gr"]).await, "");
    assert_eq!(ask(server.agents, &[""]).await, "");
    let kept = ask(server.agents, &[&format!("GET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n")]).await;
    assert!(kept.starts_with("HTTP/1.1 200 ") && kept.matches("HTTP/1.1").count() == 1, "{kept}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_polls_as_often_as_it_may() {
    let database = Database::new().await;
    stream(&database);
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
    assert_eq!(poll("192.0.2.2").await, (200, false), "another one");
    // In another guise it is a poll all the same.
    let other = POLL.replace("/v1/graph", "/fedora%2Dcoreos/v1/graph");
    for (method, path) in [(Method::HEAD, POLL), (Method::GET, other.as_str())] {
        let answer = server.request(method, path).header("x-forwarded-for", "192.0.2.1").send().await.unwrap();
        assert_eq!(answer.status(), 429, "{path}");
    }
    // Of IPv6 everybody has a whole network.
    let mut networked = Vec::new();
    for host in 0..20 {
        networked.push(poll(&format!("2001:db8::{host}")).await);
    }
    assert!(networked.contains(&(429, true)), "{networked:?}");
    // What the client wrote itself does not count.
    assert_eq!(poll("192.0.2.9, 192.0.2.3").await, (200, false));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_and_certificates_are_checked_at_the_start() {
    let database = Database::new().await;
    stream(&database);
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
    // Probes speak plain HTTP to a listener of their own.
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
