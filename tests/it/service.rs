//! The service over HTTP.

use crate::support::{
    client, eventually,
    postgres::Database,
    program::{self, import, lockkeeper},
    server::Server,
    signals::{kill, postmaster},
    upstream,
};
use reqwest::Method;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

const POLL: &str = "/v1/graph?stream=stable&basearch=x86_64";

#[tokio::test(flavor = "multi_thread")]
async fn agents_can_read_every_error() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    assert_eq!(server.get(POLL).await.0, 404, "the catalog is loaded and empty");
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    server.shows("fedora-coreos/stable", 1).await;
    let mut answers = String::new();
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
        answers += &format!("{query} -> {status} {body}\n");
    }
    answers += &format!("another product -> {:?}\n", server.get("/nope/v1/graph?stream=stable&basearch=x86_64").await);
    answers += &format!("no text -> {:?}\n", server.get("/%ff/v1/graph?stream=stable&basearch=x86_64").await);
    answers +=
        &format!("known arch without releases -> {:?}\n", server.get("/v1/graph?stream=stable&basearch=s390x").await);
    answers += &format!("unknown keys -> {}\n", server.get(&format!("{POLL}&x=1&x=2")).await.0);
    answers += &format!(
        "by its product's name -> {}\n",
        server.get("/fedora-coreos/v1/graph?stream=stable&basearch=x86_64").await.0
    );
    answers += &format!("POST -> {}\n", server.request(Method::POST, POLL).send().await.unwrap().status());
    insta::assert_snapshot!(answers, @r#"
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
    no text -> (404, "{\"kind\":\"unknown_product\",\"value\":\"no product \\\"\\\" is served here\"}")
    known arch without releases -> (200, "{\"edges\":[],\"nodes\":[]}")
    unknown keys -> 200
    by its product's name -> 200
    POST -> 405 Method Not Allowed
    "#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_follow_the_wire_contract() {
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
async fn changes_are_served_without_a_restart() {
    let database = Database::new().await;
    // Only a notification can bring the change: the poll interval is hours long.
    let server = Server::start_with(&database, |settings| {
        settings.catalog.poll_interval = jiff::SignedDuration::from_hours(5);
    })
    .await;
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
async fn the_node_view_has_the_node_and_its_targets() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(5).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let full: serde_json::Value = serde_json::from_str(&server.get(POLL).await.1).unwrap();
    let view = server.get(&format!("{POLL}&os_checksum={:064x}", 2)).await.1;
    let view: serde_json::Value = serde_json::from_str(&view).unwrap();
    assert_eq!(view["nodes"].as_array().unwrap(), &full["nodes"].as_array().unwrap()[2..]);
    assert_eq!(view["edges"], serde_json::json!([[0, 2], [0, 1]]));
    let unknown = server.get(&format!("{POLL}&os_checksum=ffff")).await.1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&unknown).unwrap(), full);
    server.stop().await;
    let server = Server::start_with(&database, |settings| {
        settings.protocols.insert("fcos".into(), toml::toml! { unknown_payload = "empty" });
    })
    .await;
    assert_eq!(server.get(&format!("{POLL}&os_checksum=ffff")).await.1, r#"{"edges":[],"nodes":[]}"#);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_payloads_are_offered_only_on_loopback() {
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
async fn separate_listeners_serve_only_their_own_routes() {
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
    assert!(metrics.contains("lockkeeper_polls_total{answer=\"missing_parameter\",arch=\"none\",product=\"none\",scheme=\"none\",stream=\"none\"} 1"), "{metrics}");
    server.stop().await;
}

#[test]
fn the_error_names_an_address_that_is_in_use() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let output = lockkeeper()
        .args(["serve", "--listen", &address])
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = program::text(&output.stderr);
    assert!(error.contains(&format!("cannot listen on {address}: ")), "{error}");
}

#[test]
fn without_a_database_the_service_is_alive_but_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = read_address(&mut log);
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

/// Reads the log until it names the address that the service listens on.
fn read_address(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    while !line.contains("listening address=") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the service ended");
    }
    line.split("address=").nth(1).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_served_without_their_notification() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(1).write(folder.path(), "stable");
    import(&database.url, folder.path());
    server.shows("fedora-coreos/stable", 1).await;
    // A revision without its notification, as behind a connection pooler.
    let mut connection = database.connection().await;
    for statement in [
        "insert into revisions select stream_id, 2, made_at + interval '1 s', actor, reason, request_id, document from revisions",
        "insert into revision_sources select stream_id, 2, kind, hash from revision_sources",
        "update streams set revision = 2",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    server.shows("fedora-coreos/stable", 2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_read_does_not_block_others() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    for stream in ["next", "stable"] {
        upstream::plain(2).write(folder.path(), stream);
    }
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let mut connection = database.connection().await;
    for statement in [
        "alter table releases drop constraint releases_state_known",
        "update releases set state = 'unknown' from streams where streams.id = stream_id and streams.name = 'next'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    upstream::plain(3).write(folder.path(), "stable");
    import(&database.url, folder.path());
    server.shows("fedora-coreos/stable", 2).await;
    server.stop().await;
    // A process that starts now serves the other stream.
    let server = Server::start(&database).await;
    assert_eq!(
        (server.revision("fedora-coreos/stable").await, server.revision("fedora-coreos/next").await),
        (Some(2), None)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_served() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    for count in 1..=3 {
        upstream::plain(count).write(folder.path(), "stable");
        import(&database.url, folder.path());
    }
    let server = Server::start(&database).await;
    assert_eq!(server.revision("fedora-coreos/stable").await, Some(3));
    let mut connection = database.connection().await;
    for statement in [
        "update streams set revision = 1",
        "delete from revision_sources where number > 1",
        "delete from revisions where number > 1",
        "delete from releases where position > 0",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let nodes = async || {
        let graph: serde_json::Value = serde_json::from_str(&server.get(POLL).await.1).unwrap();
        graph["nodes"].as_array().unwrap().len()
    };
    eventually("the restored history is served", async || nodes().await == 2).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_are_answered_during_a_database_outage_and_changes_served_after_it() {
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(open_to_all).tempdir().unwrap();
    let (data_dir, from) = (folder.path().join("data"), folder.path().join("upstream"));
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.database.url = None;
        settings.database.connect_timeout = jiff::SignedDuration::from_secs(1);
        settings.data_dir.clone_from(&data_dir);
    })
    .await;
    let import = |count: usize| {
        upstream::plain(count).write(&from, "stable");
        let output = lockkeeper()
            .args(["import", "fcos", "--from"])
            .arg(&from)
            .arg("--data-dir")
            .arg(&data_dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", program::text(&output.stderr));
    };
    import(1);
    server.shows("fedora-coreos/stable", 1).await;
    kill(postmaster(&data_dir).unwrap());
    for _ in 0..50 {
        assert_eq!(server.get(POLL).await.0, 200);
    }
    // The service or the import restarts PostgreSQL; the change is served in either case.
    import(2);
    server.shows("fedora-coreos/stable", 2).await;
    server.stop().await;
}
