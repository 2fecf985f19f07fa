//! While an emergency stop is active, no updates are offered: on no route, to no node, by no replica, and not from the snapshot.

use crate::support::{
    eventually,
    manager::{Desk, Manager, STABLE, document, with_reason},
    postgres::Database,
    program::{import, lockkeeper, text},
    server::Server,
    upstream,
};
use flate2::read::GzDecoder;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use std::{io::Read, path::Path};

const STREAM: &str = "/api/v1/products/fedora-coreos/streams/stable";
const PRODUCT_STOP: &str = "/api/v1/products/fedora-coreos/emergency-stop";
const POLL: &str = "stream=stable&basearch=x86_64&group=default&rollout_wariness=0";

/// Creates a database with a stream that has a barrier without a rollout, releases that admit all nodes, and one with a running ramp.
async fn database() -> Database {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut documents = upstream::ramping(4);
    let barrier = json!({"version": "44.1.0", "metadata": {"barrier": {"reason": "keys"}}});
    documents.updates["releases"][1] = barrier;
    documents.write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    database
}

/// Returns every path that shows updates to agents, mirrors and managers.
fn routes() -> Vec<String> {
    let node = format!("os_checksum={:064x}&os_version=44.0.0", 0);
    vec![
        format!("/v1/graph?{POLL}&{node}"),
        format!("/v1/graph?{POLL}"),
        format!("/fedora-coreos/v1/graph?{POLL}"),
        format!("/v1/graph?{POLL}&os_checksum=unknown"),
        "/updates/stable.json".into(),
        "/fedora-coreos/updates/stable.json".into(),
        format!("{STREAM}/graph?arch=x86_64&wariness=0"),
        format!("{STREAM}/explain?arch=x86_64&wariness=0&release=44.0.0"),
    ]
}

/// Returns what an answer offers: updates, and shares above 0.
fn offers(path: &str, body: &Value) -> Vec<String> {
    let list = |field: &str| body[field].as_array().cloned().unwrap_or_default();
    if path.contains("/updates/") {
        let offered = list("releases").into_iter().filter(|release| {
            let metadata = &release["metadata"];
            let rollout = &metadata["rollout"];
            let is_closed = rollout["start_percentage"].as_f64().is_some_and(|share| share < 0.0)
                && rollout["duration_minutes"].is_null();
            if rollout.is_object() { !is_closed } else { metadata["barrier"].is_object() }
        });
        return offered.map(|release| release["version"].to_string()).collect();
    }
    let updates = list("edges").into_iter().chain(list("updates")).chain(list("hops")).map(|update| update.to_string());
    let shares =
        list("releases").into_iter().filter(|release| release["open_share"].as_f64().is_some_and(|share| share > 0.0));
    let opens = list("closed").into_iter().filter(|wait| !wait["opens"].is_null());
    updates.chain(shares.chain(opens).map(|open| open.to_string())).collect()
}

struct AgentRoutes<'a> {
    server: &'a Server,
    viewer: &'a Manager<'a>,
}

impl AgentRoutes<'_> {
    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Option<String>, Vec<u8>) {
        let mut request = self.server.request(method, path);
        if path.starts_with("/api/") {
            request = request.bearer_auth(self.viewer.token.as_deref().unwrap());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let tag = response.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        (response.status(), tag, response.bytes().await.unwrap().to_vec())
    }

    /// Returns the number of offers of each route in each encoding.
    async fn offers(&self) -> Vec<(String, &'static str, usize)> {
        let mut found = Vec::new();
        for path in routes() {
            for encoding in ["identity", "gzip", "zstd"] {
                let (status, _, body) = self.request(Method::GET, &path, &[("accept-encoding", encoding)]).await;
                assert_eq!(status, 200, "{path}");
                let body = serde_json::from_slice(&decoded(body)).unwrap();
                found.push((path.clone(), encoding, offers(&path, &body).len()));
            }
        }
        found
    }

    async fn tags(&self) -> Vec<(String, Option<String>)> {
        let mut tags = Vec::new();
        for path in routes() {
            tags.push((path.clone(), self.request(Method::GET, &path, &[("accept-encoding", "identity")]).await.1));
        }
        tags
    }

    async fn offers_nothing(&self) -> bool {
        self.offers().await.iter().all(|(.., offered)| *offered == 0)
    }

    /// Asserts that no route answers 304 to these tags or to any date.
    async fn assert_all_stale(&self, tags: &[(String, Option<String>)]) {
        for (path, tag) in tags {
            let now = ["Mon, 21 Sep 2026 14:13:21 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"];
            let conditions = tag.iter().map(|tag| ("if-none-match", tag.as_str()));
            for condition in conditions.chain(now.map(|date| ("if-modified-since", date))) {
                for method in [Method::GET, Method::HEAD] {
                    let headers = [condition, ("accept-encoding", "identity")];
                    let (status, _, _) = self.request(method.clone(), path, &headers).await;
                    assert_eq!(status, 200, "{method} {path} {condition:?}");
                }
            }
        }
    }
}

fn decoded(body: Vec<u8>) -> Vec<u8> {
    match body.first() {
        Some(0x1f) => {
            let mut decoded = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut decoded).unwrap();
            decoded
        }
        Some(0x28) => zstd::decode_all(&*body).unwrap(),
        _ => body,
    }
}

fn assert_all_offer(found: &[(String, &str, usize)]) {
    assert!(found.iter().all(|(.., offered)| *offered > 0), "{found:?}");
}

async fn lift(manager: &Manager<'_>, stop: &str) -> Value {
    manager.change(Method::DELETE, stop, None).await.ok().body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_stop_withdraws_every_offer_and_lifting_it_restores_them() {
    let database = database().await;
    let (server, replica) = (Server::start(&database).await, Server::start(&database).await);
    let desk = Desk::new(&server, &database);
    let manager = desk.manager("manager", "*").await;
    let replicas = [&server, &replica].map(|server| AgentRoutes { server, viewer: &manager });
    for stop in [format!("{STREAM}/emergency-stop"), PRODUCT_STOP.to_owned()] {
        for one in &replicas {
            assert_all_offer(&one.offers().await);
        }
        let (tags, before) = (replicas[0].tags().await, replicas[0].offers().await);
        manager.post_empty(&stop).await;
        for one in &replicas {
            eventually("nothing is offered", || one.offers_nothing()).await;
            one.assert_all_stale(&tags).await;
        }
        let ready: Value = serde_json::from_str(&server.get("/healthz/ready").await.1).unwrap();
        assert_eq!((&ready["ready"], ready["stopped"].as_array().unwrap().len()), (&json!(true), 1), "{ready}");
        let exported = lockkeeper_export(&database);
        assert_eq!(offers("/updates/stable.json", &exported), Vec::<String>::new());
        let then =
            manager.get(&format!("{STREAM}/graph?arch=x86_64&wariness=0&at=2026-01-01T00:00:00Z")).await.ok().body;
        assert_ne!(then["updates"], json!([]), "the past is shown as it was");

        let stopped = replicas[0].tags().await;
        lift(&manager, &stop).await;
        for one in &replicas {
            eventually("all is offered again", async || one.offers().await == before).await;
        }
        // An answer from during the stop does not revalidate one from after it.
        for (path, tag) in stopped.iter().filter_map(|(path, tag)| Some((path, tag.as_deref()?))) {
            let headers = [("if-none-match", tag), ("accept-encoding", "identity")];
            assert_eq!(replicas[0].request(Method::GET, path, &headers).await.0, 200, "{path}");
        }
        manager.post_empty(&format!("{STREAM}/releases/44.3.0/rollouts/1/resume?acknowledge=true")).await;
    }
    server.stop().await;
    replica.stop().await;
}

fn lockkeeper_export(database: &Database) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).env("LOCKKEEPER_DATA_DIR", folder.path());
    let to = folder.path().join("exported");
    let output = command.args(["export", "fcos", "--to"]).arg(&to).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
    serde_json::from_slice(&std::fs::read(to.join("updates/stable.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_freezes_the_time_of_rollouts() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let rollout = format!("{STABLE}/releases/1.3/rollouts/1");
    let share = async || admin.get(&rollout).await.ok().body["open_share"].clone();
    let before = share().await;
    admin.post_empty(&format!("{STABLE}/emergency-stop")).await;
    server.at(1_790_000_000 + 20 * 3600);
    lift(&admin, &format!("{STABLE}/emergency-stop")).await;
    assert_eq!(share().await, before);
    admin.post_empty(&format!("{rollout}/resume?acknowledge=true")).await;
    let resumed = admin.get(&rollout).await.ok().body;
    assert_eq!((&resumed["open_share"], &resumed["stood_still_seconds"]), (&before, &json!(20 * 3600)));
    server.stop().await;
}

/// Regression test of two attacks: a new alias or mirror makes unknown nodes known during a stop, and a document without a stop lifted it.
#[tokio::test(flavor = "multi_thread")]
async fn only_lifting_a_stop_ends_it() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    let made = document("os", "stable");
    admin.creates_stream(&made).await;
    let written = admin.get(&format!("{STABLE}/document")).await.ok().body;
    for stop in [format!("{STABLE}/emergency-stop"), "/api/v1/products/os/emergency-stop".to_owned()] {
        admin.post_empty(&stop).await;
        let put = with_reason(&format!("{STABLE}/document?acknowledge=true"));
        admin.ask(Method::PUT, &put, &[("if-match", "*")], Some(&written)).await.ok();
        admin.post_empty(&format!("{STABLE}/revisions/1/revert?acknowledge=true")).await;
        let state = admin.get(&format!("{STABLE}/emergency-stop")).await.ok().body;
        assert!(state.as_object().unwrap().values().any(|stop| !stop.is_null()), "{state}");
        let alias = json!({"arch": "x86_64", "scheme": "oci", "id": format!("registry.example/os@sha256:{:064x}", 77)});
        for (method, path, body) in [
            (Method::POST, "releases/1.2/aliases", Some(&alias)),
            (Method::PUT, "", Some(&json!({"arches": ["x86_64"], "mirrors": ["another.example/os"]}))),
        ] {
            let path = format!("{STABLE}/{path}");
            let refused = admin.change(method, &format!("{}?acknowledge=true", path.trim_end_matches('/')), body).await;
            refused.is_problem(409);
            assert!(refused.body["detail"].as_str().unwrap().contains("lift the stop first"), "{refused:?}");
        }
        lift(&admin, &stop).await;
    }
    server.stop().await;
}

/// Found by reading: on the other arches a barrier of one arch is not offered until it gets a rollout, and lifting the stop offered it.
#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_of_one_arch_gets_no_rollout_while_stopped() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let release = |n: usize| {
        let payload =
            |arch: &str| json!({"arch": arch, "scheme": "checksum", "id": format!("{:064x}", n + arch.len())});
        json!({"version": format!("1.{n}"), "payloads": [payload("aarch64"), payload("x86_64")]})
    };
    let mut barrier = release(1);
    barrier["barrier"] = json!({"reason": "keys", "arches": ["x86_64"]});
    let arches = ["aarch64", "x86_64"];
    let releases = [release(0), barrier];
    admin
        .creates_stream(
            &json!({"format": 1, "product": "os", "stream": "stable", "arches": arches, "releases": releases}),
        )
        .await;
    admin.post_empty(&format!("{STABLE}/emergency-stop")).await;
    let rollouts = format!("{STABLE}/releases/1.1/rollouts?acknowledge=true");
    let refused = admin.change(Method::POST, &rollouts, Some(&json!({"start_share": 1.0}))).await;
    refused.is_problem(409);
    assert!(refused.body["detail"].as_str().unwrap().contains("lift the stop first"), "{refused:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stream_of_a_stopped_product_is_stopped() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    let next = "/api/v1/products/os/streams/next";
    let settings = json!({"arches": ["x86_64"]});
    let put = with_reason(next);
    admin.ask(Method::PUT, &put, &[("if-none-match", "*")], Some(&settings)).await.ok();
    let state = admin.get(&format!("{next}/emergency-stop")).await.ok().body;
    assert_eq!(state["product_emergency_stop"]["reason"], "the test says so");
    // A document must not increase what lifting the stop would offer.
    let put = with_reason("/api/v1/products/os/streams/testing/document?acknowledge=true");
    let refused = admin.ask(Method::PUT, &put, &[("if-none-match", "*")], Some(&document("os", "testing"))).await;
    refused.is_problem(409);
    server.stop().await;
}

/// Processes compare the times of product stops. A lift counts even if the clock of its process is behind.
#[tokio::test(flavor = "multi_thread")]
async fn lifting_a_stop_works_with_clocks_that_differ() {
    let database = database().await;
    let (ahead, behind) = (Server::start(&database).await, Server::start(&database).await);
    ahead.at(1_790_000_000 + 3600);
    let edges = async |server: &Server| {
        let text = server.get(&format!("/v1/graph?{POLL}")).await.1;
        serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().len()
    };
    Desk::new(&ahead, &database).manager("manager", "*").await.post_empty(PRODUCT_STOP).await;
    for server in [&ahead, &behind] {
        eventually("nothing is offered", async || edges(server).await == 0).await;
    }
    lift(&Desk::new(&behind, &database).manager("manager", "*").await, PRODUCT_STOP).await;
    for server in [&ahead, &behind] {
        eventually("all is offered again", async || edges(server).await > 0).await;
    }
    ahead.stop().await;
    behind.stop().await;
}

fn stop_local(data_dir: &Path, arguments: &[&str]) -> String {
    let output = lockkeeper().args(["stop", "--local", "--data-dir"]).arg(data_dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_stop_works_without_a_database() {
    let (database, folder) = (database().await, tempfile::tempdir().unwrap());
    let first = Server::start_with(&database, |settings| {
        settings.data_dir = folder.path().into();
        settings.catalog.keep_snapshot = true;
    })
    .await;
    let snapshot = folder.path().join("catalog/catalog");
    eventually("the snapshot is saved", async || snapshot.exists()).await;
    first.stop().await;
    stop_local(folder.path(), &["--reason", "fire in the room"]);
    // This process has no database and starts while the stop is active.
    let server = Server::start_without_database(folder.path(), 1_790_000_000, |_| {});
    let edges = async || {
        let (status, text) = server.get(&format!("/v1/graph?{POLL}")).await;
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().len()
    };
    assert_eq!(edges().await, 0);
    let ready: Value = serde_json::from_str(&server.get("/healthz/ready").await.1).unwrap();
    assert_eq!((&ready["ready"], &ready["stopped"][0]["reason"]), (&json!(true), &json!("fire in the room")));
    stop_local(folder.path(), &["--lift"]);
    eventually("all is offered again", async || edges().await > 0).await;
    stop_local(folder.path(), &["--reason", "fire again"]);
    eventually("nothing is offered", async || edges().await == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_include_stops_and_close_after_ends_offers_without_a_database() {
    let (database, folder) = (database().await, tempfile::tempdir().unwrap());
    let first = Server::start_with(&database, |settings| {
        settings.data_dir = folder.path().into();
        settings.catalog.keep_snapshot = true;
    })
    .await;
    let desk = Desk::new(&first, &database);
    let snapshot = folder.path().join("catalog/catalog");
    eventually("the snapshot is saved", async || snapshot.exists()).await;
    let hour = jiff::SignedDuration::from_hours(1);
    let edges = async |server: &Server| {
        let text = server.get(&format!("/v1/graph?{POLL}")).await.1;
        serde_json::from_str::<Value>(&text).unwrap()["edges"].as_array().unwrap().len()
    };
    let manager = desk.manager("manager", "*").await;
    manager.post_empty(PRODUCT_STOP).await;
    eventually("nothing is offered", async || edges(&first).await == 0).await;
    first.stop().await;
    let stopped = Server::start_without_database(folder.path(), 1_790_000_000, |_| {});
    assert_eq!(edges(&stopped).await, 0, "the snapshot includes the stop of the product");
    stopped.stop().await;

    let first = Server::start_with(&database, |settings| {
        settings.data_dir = folder.path().into();
        settings.catalog.keep_snapshot = true;
    })
    .await;
    let manager = Desk::new(&first, &database).manager("manager", "*").await;
    lift(&manager, PRODUCT_STOP).await;
    eventually("all is offered again", async || edges(&first).await > 0).await;
    first.stop().await;
    let isolated = Server::start_without_database(folder.path(), 1_790_000_000, |settings| {
        settings.catalog.close_after = Some(hour);
    });
    assert!(edges(&isolated).await > 0);
    isolated.at(1_790_000_000 + 3600);
    assert!(edges(&isolated).await > 0);
    isolated.at(1_790_000_000 + 3700);
    assert_eq!(edges(&isolated).await, 0);
    let ready: Value = serde_json::from_str(&isolated.get("/healthz/ready").await.1).unwrap();
    assert_eq!((&ready["ready"], &ready["closed"]), (&json!(true), &json!(true)));
    isolated.stop().await;
}
