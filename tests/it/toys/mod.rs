//! Three toy protocols, each one folder entry and one line of the registry, are served beside Fedora CoreOS by one process from one store.

mod files;
mod locks;
mod plain;
mod questions;

use crate::support::{
    client, eventually, ids,
    manager::{Desk, Manager, with_reason},
    postgres::Database,
    program::import,
    server::Server,
    upstream,
    wire::unless_closed,
};
use lockkeeper::{
    catalog::{LocalStop, LocalStopFile},
    config::Settings,
    domain::ids::ProductName,
    server::Registry,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// The address of a database that does not exist.
const NO_DATABASE: &str = "postgres://127.0.0.1:1/none";

/// The registry of a service that speaks the toys, too.
fn registry(settings: &Settings, database: &Database, locks: &str) -> Registry {
    Registry::new(settings)
        .unwrap()
        .with(questions::entry())
        .with(files::entry(database.store_without_migration(), ProductName::parse("signed-os").unwrap()))
        .with(locks::entry(locks))
}

async fn start(database: &Database, locks: &str) -> Server {
    start_with(database, locks, |_| {}).await
}

async fn start_with(database: &Database, locks: &str, change: impl FnOnce(&mut Settings)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(4).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    Server::start_speaking(database, change, |settings| registry(settings, database, locks)).await
}

/// Creates a product that speaks a protocol.
async fn create_product(admin: &Manager<'_>, product: &str, protocol: &str) {
    let path = with_reason(&format!("/api/v1/products/{product}"));
    let created = admin.ask(Method::PUT, &path, &[], Some(&json!({"protocol": protocol}))).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), format!("/api/v1/products/{product}"));
}

/// Creates a stream of a product with the rules of its protocol, and releases `1` to `count`.
async fn create_stream(admin: &Manager<'_>, product: &str, count: usize) {
    let stream = format!("/api/v1/products/{product}/streams/stable");
    let settings = json!({"arches": ["x86_64"]});
    admin.ask(Method::PUT, &with_reason(&stream), &[("if-none-match", "*")], Some(&settings)).await.ok();
    let shown = admin.get(&stream).await.ok().body;
    assert_eq!([&shown["settings"]["edge_rule"], &shown["settings"]["identity"]], ["open", "version"]);
    for n in 1..=count {
        let payload = json!({"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", n)});
        let release = json!({"version": n.to_string(), "payloads": [payload]});
        admin.post(&format!("{stream}/releases?acknowledge=true"), &release).await;
        admin.post_empty(&format!("{stream}/releases/{n}/publish?acknowledge=true")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_protocol_cannot_be_a_base() {
    let database = Database::new().await;
    let server = start(&database, &database.url).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    create_product(&admin, "a", questions::NAME).await;
    create_stream(&admin, "a", 1).await;
    let path = with_reason("/api/v1/products/own/streams/stable");
    for (query, status) in [("", 422), ("&dry_run=true", 422)] {
        let settings = json!({"arches": ["x86_64"], "base": "a/stable"});
        let refused =
            admin.ask(Method::PUT, &format!("{path}{query}"), &[("if-none-match", "*")], Some(&settings)).await;
        assert_eq!(refused.status, status, "{refused:?}");
        let message = format!("a/stable has the protocol {}, and own has fedora-coreos", questions::NAME);
        assert_eq!(refused.body["errors"][0], json!({"path": "base", "message": message}));
    }
}

/// Sends a request in pieces on one connection, and returns the whole response.
async fn send(address: SocketAddr, pieces: Vec<Vec<u8>>) -> String {
    let exchange = move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_nodelay(true).unwrap();
        for piece in &pieces {
            // The server may have refused the request already.
            unless_closed(connection.write_all(piece));
        }
        let mut response = String::new();
        unless_closed(connection.read_to_string(&mut response));
        response
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// Returns a question in a body of a given size, with its head.
fn question(size: usize) -> (Vec<u8>, Vec<u8>) {
    let ask = |product: &str, version: &str| json!({ "product": product, "stream": "stable", "arch": "x86_64", "version": version });
    let mut body = json!([ask("a", "2"), ask("b", "1"), ask("fedora-coreos", "44.1.0")]).to_string();
    body.insert_str(1, &" ".repeat(size - body.len()));
    let head = format!("POST /questions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n");
    (head.into_bytes(), body.into_bytes())
}

fn body_of(response: &str) -> Value {
    let (_, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{response:?}"));
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_two_products_is_answered_however_its_body_arrives() {
    let database = Database::new().await;
    let server = start(&database, &database.url).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    for (product, releases) in [("a", 4), ("b", 1)] {
        create_product(&admin, product, questions::NAME).await;
        create_stream(&admin, product, releases).await;
    }
    let (head, body) = question(20 * 1024);
    let whole = [head.clone(), body.clone()].concat();
    let (first, rest) = whole.split_at(7000);
    let (second, third) = rest.split_at(7000);
    // A product that speaks another protocol is not answered.
    let none = |product: &str| json!({ "product": product, "newest": null });
    let expected = json!([{ "product": "a", "newest": "4" }, none("b"), none("fedora-coreos")]);
    eventually("the streams are in the catalog", async || {
        body_of(&send(server.agents, vec![whole.clone()]).await) == expected
    })
    .await;
    let update =
        "lockkeeper_polls_total{answer=\"update\",arch=\"x86_64\",product=\"a\",scheme=\"version\",stream=\"stable\"}";
    let count = async || server.metric(update).await.parse::<usize>().unwrap();
    let before = count().await;
    for pieces in [vec![whole.clone()], vec![first.to_vec(), second.to_vec(), third.to_vec()], vec![head, body]] {
        let response = send(server.agents, pieces).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert_eq!(body_of(&response), expected);
    }
    assert_eq!(count().await, before + 3);
    for product in ["a", "b"] {
        let poll = format!("/{product}/v1/graph?stream=stable&basearch=x86_64&oci=true");
        let (status, text) = server.get(&poll).await;
        assert_eq!((status, text.contains("unknown_product")), (404, true), "{text}");
    }
    // A body that is too large, or of no question, is refused in the toy's own form.
    let (head, body) = question(questions::MAX_BODY + 1);
    let response = send(server.agents, vec![head, body]).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert_eq!(body_of(&response), json!({ "rejected": 413 }));
    let none = b"POST /questions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno".to_vec();
    assert_eq!(body_of(&send(server.agents, vec![none]).await), json!({ "rejected": 400 }));
    let two_hosts = b"POST /questions HTTP/1.1\r\nhost: x\r\nhost: y\r\ncontent-length: 0\r\n\r\n".to_vec();
    assert_eq!(body_of(&send(server.agents, vec![two_hosts]).await), json!({ "rejected": 400 }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_rollouts_apply_to_a_toy() {
    let database = Database::new().await;
    let data_dir = tempfile::tempdir().unwrap();
    let keep = |settings: &mut Settings| settings.data_dir = data_dir.path().into();
    let server = start_with(&database, &database.url, keep).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    create_product(&admin, "a", questions::NAME).await;
    create_stream(&admin, "a", 3).await;
    // The newest release opens to half of the nodes, the asking one included, in an hour.
    let rollout = json!({"start": "2026-09-21T15:13:20Z", "start_share": 0.6});
    let rollouts = "/api/v1/products/a/streams/stable/releases/3/rollouts?acknowledge=true";
    admin.post(rollouts, &rollout).await;
    let whole = |(head, body): (Vec<u8>, Vec<u8>)| vec![[head, body].concat()];
    let newest = async || body_of(&send(server.agents, whole(question(1000))).await)[0]["newest"].clone();
    eventually("the rollout has not begun", async || newest().await.is_null()).await;
    server.at(1_790_000_000 + 3600);
    eventually("the node is admitted", async || newest().await == "3").await;
    let stop = "/api/v1/products/a/emergency-stop";
    admin.post_empty(stop).await;
    eventually("the product is stopped", async || newest().await.is_null()).await;
    admin.change(Method::DELETE, stop, None).await.ok();
    eventually("the stop is lifted", async || newest().await == "3").await;
    let local = LocalStop { since: None, reason: "fire".into() };
    LocalStopFile::below(data_dir.path()).write(&local).unwrap();
    eventually("the process is stopped", async || newest().await.is_null()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toy_is_limited_per_address_in_its_own_form() {
    let database = Database::new().await;
    let limit = |settings: &mut Settings| settings.limits.polls_per_address = std::num::NonZeroU32::new(1);
    let server = start_with(&database, &database.url, limit).await;
    let (head, body) = question(1000);
    let mut refused = String::new();
    while !refused.starts_with("HTTP/1.1 429 ") {
        refused = send(server.agents, vec![head.clone(), body.clone()]).await;
    }
    assert_eq!(body_of(&refused), json!({ "rejected": 429 }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_files_change_with_time_without_a_revision() {
    let database = Database::new().await;
    let data_dir = tempfile::tempdir().unwrap();
    let keep = |settings: &mut Settings| {
        settings.data_dir = data_dir.path().into();
        settings.catalog.keep_snapshot = true;
    };
    let server = start_with(&database, &database.url, keep).await;
    assert_eq!(server.get("/signed-os/signed/timestamp").await.0, 404);
    let desk = Desk::new(&server, &database);
    create_product(&desk.manager("admin", "*").await, "signed-os", files::NAME).await;
    let revision = server.revision("fedora-coreos/stable").await;
    let is_signed_at = async |server: &Server, time: &str| {
        let text = format!("valid at {time}");
        eventually("the file is signed", async || server.get("/signed-os/signed/timestamp").await.1 == text).await;
        assert_eq!(server.get("/signed-os/signed/timestamp.sig").await, (200, files::sign(&text)));
    };
    is_signed_at(&server, "2026-09-21T14:13:20Z").await;
    assert_eq!(server.get("/signed-os/signed/other").await.0, 404);
    assert_eq!(server.get("/fedora-coreos/signed/timestamp").await.0, 404, "the product speaks another protocol");
    server.at(1_790_000_060);
    is_signed_at(&server, "2026-09-21T14:14:20Z").await;
    assert_eq!(server.revision("fedora-coreos/stable").await, revision);
    server.stop().await;
    // A process that starts without the database serves what was signed last, and refuses what needs the database.
    let gone = |settings: &mut Settings| {
        keep(settings);
        settings.database.url = Some(NO_DATABASE.into());
    };
    let server = Server::start_speaking(&database, gone, |settings| registry(settings, &database, NO_DATABASE)).await;
    is_signed_at(&server, "2026-09-21T14:14:20Z").await;
    let refused = server.request(Method::POST, "/locks/a").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &*refused.text().await.unwrap()), (503, "lock refused: no database"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_needs_the_database_is_refused_in_its_own_form_without_it() {
    let database = Database::new().await;
    let server = start(&database, &database.url).await;
    let lock = async |server: &Server, name: &str| {
        let url = format!("http://{}/locks/{name}", server.agents);
        let response = client().post(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(lock(&server, "a").await, (200, "taken".into()));
    assert_eq!(lock(&server, "a").await, (409, "lock refused: held".into()));
    assert_eq!(lock(&server, "b").await, (200, "taken".into()));
    server.stop().await;
    let server = start(&database, NO_DATABASE).await;
    assert_eq!(lock(&server, "c").await, (503, "lock refused: no database".into()));
    // Fedora CoreOS nodes are answered by the same process.
    let poll = "/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0.5";
    let response = server.request(Method::GET, poll).send().await.unwrap();
    assert_eq!(response.status(), 200);
    server.stop().await;
}
