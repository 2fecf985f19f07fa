//! The `Host` header of HTTP/1 requests (RFC 9112, section 3.2).

use crate::support::{
    postgres::Database,
    program::import,
    server::Server,
    upstream,
    wire::{Certificate, connect_from, unless_closed},
};
use std::{
    io::{Read, Write},
    net::SocketAddr,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64";
const LIVE: &str = "/healthz/live";

/// Sends a request, and reads to the end of the connection.
fn ask(mut connection: impl Read + Write, request: &str) -> String {
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    unless_closed(connection.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_one_valid_host_are_refused() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let certificate = Certificate::new();
    let plain = Server::start(&database).await;
    let secure = Server::start_with(&database, |settings| settings.tls = certificate.settings()).await;
    let (to, secure_to): (SocketAddr, SocketAddr) = (plain.agents, secure.agents);
    tokio::task::spawn_blocking(move || {
        let every_way = |request: &str| {
            // In one segment, in two, and over TLS.
            let mut in_pieces = connect_from(1, to);
            in_pieces.set_nodelay(true).unwrap();
            in_pieces.write_all(&request.as_bytes()[..9]).unwrap();
            [
                ask(connect_from(1, to), request),
                ask(in_pieces, &request[9..]),
                ask(certificate.tls(connect_from(1, secure_to), b"http/1.1"), request),
            ]
        };
        for path in
            [POLL, "/fedora-coreos/v1/graph?stream=stable&basearch=x86_64", "/prod/streams/stable/releases.json", LIVE]
        {
            for (version, hosts, is_valid) in [
                ("1.1", "host: x\r\n", true),
                ("1.1", "Host: updates.example.org:8080\r\n", true),
                ("1.1", "host: [2001:db8::1]:80\r\n", true),
                ("1.1", "host:\r\n", true),
                ("1.1", "", false),
                ("1.1", "host: x\r\nhost: x\r\n", false),
                ("1.1", "host: x\r\naccept: */*\r\nHOST: y\r\n", false),
                ("1.1", "host: x y\r\n", false),
                ("1.1", "host: user@x\r\n", false),
                ("1.1", "host: x/y\r\n", false),
                ("1.1", "host: x:y\r\n", false),
                ("1.0", "", true),
                ("1.0", "host: x\r\n", true),
                ("1.0", "host: x\r\nhost: y\r\n", false),
            ] {
                let request = format!("GET {path} HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
                for answer in every_way(&request) {
                    let status = if is_valid { " 200 OK\r\n" } else { " 400 Bad Request\r\n" };
                    assert!(answer[8..].starts_with(status), "{request}{answer}");
                    let kind = match (is_valid, path.contains("/v1/graph")) {
                        (true, _) => "",
                        (false, true) => "{\"kind\":\"invalid_host\",",
                        (false, false) => "content-type: application/problem+json",
                    };
                    assert!(answer.contains(kind), "{answer}");
                }
            }
        }
        // Bytes after such a request may come from another client: they are not answered.
        let smuggled = format!("GET {POLL} HTTP/1.1\r\n\r\nGET {POLL} HTTP/1.1\r\nhost: x\r\n\r\n");
        for answer in every_way(&smuggled) {
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
    })
    .await
    .unwrap();
    plain.stop().await;
    secure.stop().await;
}
