//! The service over HTTP.

use crate::support::{
    client,
    postgres::Database,
    program::{self, import, lockkeeper},
    server::Server,
    upstream,
};
use reqwest::Method;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64";

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_one_that_the_agent_can_read() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    assert_eq!(server.get(POLL).await.0, 404, "an empty store that was read");
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    server.shows("fedora-coreos/stable", 1).await;
    let mut told = String::new();
    for query in [
        "",
        "?basearch=x86_64",
        "?stream=stable",
        "?stream=&basearch=x86_64",
        "?stream=stable&basearch=x86_64&oci=1",
        "?stream=stable&stream=next&basearch=x86_64",
        "?stream=nope&basearch=x86_64",
        "?stream=stable&basearch=m68k",
        "?stream=%ff%00&basearch=x86_64",
    ] {
        let (status, body) = server.get(&format!("/v1/graph{query}")).await;
        told += &format!("{query} -> {status} {body}\n");
    }
    told += &format!("another product -> {:?}\n", server.get("/nope/v1/graph?stream=stable&basearch=x86_64").await);
    told +=
        &format!("known arch without releases -> {:?}\n", server.get("/v1/graph?stream=stable&basearch=s390x").await);
    told += &format!("unknown keys -> {}\n", server.get(&format!("{POLL}&x=1&x=2")).await.0);
    told += &format!(
        "by its product's name -> {}\n",
        server.get("/fedora-coreos/v1/graph?stream=stable&basearch=x86_64").await.0
    );
    told += &format!("POST -> {}\n", server.request(Method::POST, POLL).send().await.unwrap().status());
    insta::assert_snapshot!(told, @r#"
     -> 400 {"kind":"missing_parameter","value":"parameter basearch is missing or empty"}
    ?basearch=x86_64 -> 400 {"kind":"missing_parameter","value":"parameter stream is missing or empty"}
    ?stream=stable -> 400 {"kind":"missing_parameter","value":"parameter basearch is missing or empty"}
    ?stream=&basearch=x86_64 -> 400 {"kind":"missing_parameter","value":"parameter stream is missing or empty"}
    ?stream=stable&basearch=x86_64&oci=1 -> 400 {"kind":"invalid_parameter","value":"parameter oci is \"1\", it has to be true or false"}
    ?stream=stable&stream=next&basearch=x86_64 -> 400 {"kind":"repeated_parameter","value":"parameter stream is given more than once"}
    ?stream=nope&basearch=x86_64 -> 404 {"kind":"unknown_stream","value":"no stream \"nope\" is served here"}
    ?stream=stable&basearch=m68k -> 404 {"kind":"unknown_arch","value":"the stream is not made for architecture \"m68k\""}
    ?stream=%ff%00&basearch=x86_64 -> 404 {"kind":"unknown_stream","value":"no stream \"�\\0\" is served here"}
    another product -> (404, "{\"kind\":\"unknown_product\",\"value\":\"no product \\\"nope\\\" is served here\"}")
    known arch without releases -> (200, "{\"edges\":[],\"nodes\":[]}")
    unknown keys -> 200
    by its product's name -> 200
    POST -> 405 Method Not Allowed
    "#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_as_the_contract_says() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let get = server.request(Method::GET, POLL).header("origin", "https://example.org").send().await.unwrap();
    let header =
        |response: &reqwest::Response, name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header(&get, "content-type"), "application/json");
    assert_eq!(header(&get, "cache-control"), "private, no-cache");
    assert_eq!(header(&get, "access-control-allow-origin"), "*");
    let (tag, length) = (header(&get, "etag"), header(&get, "content-length"));
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let head = server.request(Method::HEAD, POLL).send().await.unwrap();
    assert_eq!((header(&head, "etag"), header(&head, "content-length")), (tag.clone(), length));
    assert_eq!(head.text().await.unwrap(), "");
    let not_modified = server.request(Method::GET, POLL).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!((not_modified.status().as_u16(), header(&not_modified, "etag")), (304, tag));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_shows_without_a_restart() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let folder = tempfile::tempdir().unwrap();
    for count in 1..=3 {
        upstream::plain(count).write(folder.path(), "stable");
        import(&database.url, folder.path());
        server.shows("fedora-coreos/stable", count as i64).await;
        let graph: serde_json::Value = serde_json::from_str(&server.get(POLL).await.1).unwrap();
        assert_eq!(graph["nodes"].as_array().unwrap().len(), count);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_view_is_the_node_and_where_it_may_go() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(5).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let whole: serde_json::Value = serde_json::from_str(&server.get(POLL).await.1).unwrap();
    let view = server.get(&format!("{POLL}&os_checksum={:064x}", 2)).await.1;
    let view: serde_json::Value = serde_json::from_str(&view).unwrap();
    assert_eq!(view["nodes"].as_array().unwrap(), &whole["nodes"].as_array().unwrap()[2..]);
    assert_eq!(view["edges"], serde_json::json!([[0, 2], [0, 1]]));
    let unknown = server.get(&format!("{POLL}&os_checksum=ffff")).await.1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&unknown).unwrap(), whole);
    server.stop().await;
    let server = Server::start_with(&database, |settings| {
        settings.fcos.unknown_payload = lockkeeper::config::UnknownPayload::Empty;
    })
    .await;
    assert_eq!(server.get(&format!("{POLL}&os_checksum=ffff")).await.1, r#"{"edges":[],"nodes":[]}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_payloads_are_offered_on_loopback_alone() {
    let database = Database::new().await;
    let samples = |settings: &mut lockkeeper::config::Settings| settings.streams_dir = Some("streams".into());
    let server = Server::start_with(&database, samples).await;
    assert_eq!(server.get(POLL).await.0, 200);
    server.stop().await;
    let everywhere = |settings: &mut lockkeeper::config::Settings| settings.listeners.agents = Some("0.0.0.0:0".into());
    let server = Server::start_with(&database, everywhere).await;
    let (status, body) = server.get(POLL).await;
    assert_eq!((status, body.contains("synthetic_payloads")), (503, true), "{body}");
    server.stop().await;
    let server = Server::start_with(&database, |settings| {
        everywhere(settings);
        settings.offer_synthetic = true;
    })
    .await;
    assert_eq!(server.get(POLL).await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_their_own_serve_their_own_alone() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.listeners.status = Some("127.0.0.2:0".into());
        settings.listeners.managers = Some("127.0.0.3:0".into());
    })
    .await;
    assert_eq!(server.get("/metrics").await.0, 404);
    assert_eq!(server.get("/api/v1").await.0, 404);
    assert_eq!(server.get("/v1/graph").await.0, 400);
    let metrics = client().get(format!("http://{}/metrics", server.status)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("lockkeeper_polls_total{answer=\"missing_parameter\"} 1"), "{metrics}");
    server.stop().await;
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = lockkeeper()
        .args(["serve", "--listen", &address])
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = program::text(&output.stderr);
    assert!(told.contains(&format!("cannot listen on {address}: ")), "{told}");
}

#[test]
fn without_its_database_the_service_is_alive_but_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = listening(&mut log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let status = |path: &str| {
            let url = format!("http://{address}{path}");
            async { client().get(url).send().await.unwrap().status().as_u16() }
        };
        assert_eq!(
            (status("/healthz/live").await, status("/healthz/ready").await, status(POLL).await),
            (200, 503, 503)
        );
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The address on the log's line about it.
fn listening(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    while !line.contains("listening address=") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the service ended");
    }
    line.split("address=").nth(1).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_requests_in_flight() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let mut connection = TcpStream::connect(server.agents).unwrap();
    connection.write_all(format!("GET {POLL} HTTP/1.1\r\nhost: x\r\n").as_bytes()).unwrap();
    // The request is on its way when the service is told to stop; a second one makes sure that the first has been accepted.
    assert_eq!(server.get(POLL).await.0, 200);
    let stopping = tokio::spawn(server.stop());
    connection.write_all(b"connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stopping.await.unwrap();
}
