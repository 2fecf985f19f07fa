//! What the API keeps from happening: by a clock that is behind, by a placeholder, by a wrong word, by a back door.

use crate::support::{
    manager::{Desk, Manager, STABLE},
    postgres::Database,
    server::Server,
};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn at(hours: i64) -> String {
    Timestamp::from_second(NOW + hours * HOUR).unwrap().to_string()
}

fn below(path: &str) -> String {
    format!("{STABLE}/{path}")
}

fn payload(n: usize) -> Value {
    json!([{"arch": "x86_64", "scheme": "oci", "id": format!("quay.io/guarded/os@sha256:{n}")}])
}

/// Two releases, the second open to all, and a draft that is to open over two days.
async fn stream(admin: &Manager<'_>, name: &str) {
    admin
        .makes(&json!({"format": 1, "product": "os", "stream": name, "arches": ["x86_64", "aarch64"], "origin": "local",
            "releases": [
                {"version": "1", "payloads": payload(1)},
                {"version": "2", "payloads": payload(2), "rollouts": [{"start_share": 1.0}]},
                {"version": "3", "state": "draft", "payloads": payload(3), "rollouts": [{"start": at(0), "duration": "PT48H"}]},
            ]}))
        .await;
}

async fn rollout(admin: &Manager<'_>, release: &str) -> Value {
    admin.get(&below(&format!("releases/{release}/rollouts/1"))).await.ok().body
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_undoes_nothing() {
    let database = Database::new().await;
    let (ahead, behind) = (Server::start(&database).await, Server::start(&database).await);
    let desk = Desk::of(&ahead, &database);
    let admin = desk.manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.does(&below("releases/3/publish?acknowledge=true")).await;
    ahead.at(NOW + 24 * HOUR);
    admin.does(&below("releases/3/rollouts/1/pause")).await;
    admin.does(&below("releases/3/rollouts/1/resume?acknowledge=true")).await;
    // Twenty seconds behind: to it, the rollout has not gone on yet.
    behind.at(NOW + 24 * HOUR - 20);
    let there = Manager::with(&behind, admin.token.as_deref());
    there.does(&below("releases/3/rollouts/1/pause")).await;
    let share = rollout(&admin, "3").await["open_share"].as_f64().unwrap();
    assert!((share - 0.5).abs() < 1e-3, "{share}");
    ahead.stop().await;
    behind.stop().await;
}

#[tokio::test]
async fn a_placeholder_takes_no_stream_away() {
    let database = Database::new().await;
    // As on a listener that is not loopback.
    let server = Server::start(&database).await;
    let desk = Desk::of(&server, &database);
    let admin = desk.manager("admin", "*").await;
    stream(&admin, "stable").await;
    let placeholder =
        json!([{"arch": "x86_64", "scheme": "oci", "id": "quay.io/guarded/os@sha256:9", "synthetic": true}]);
    let draft = json!({"version": "9", "payloads": placeholder});
    admin.post(&below("releases"), &draft).await;
    let document = admin.get(&below("document")).await.ok().body;
    assert_eq!(document["releases"][3]["payloads"][0]["synthetic"], true);
    let published = admin.change(Method::POST, &below("releases/9/publish?acknowledge=true"), None).await;
    published.is_problem(409);
    assert!(published.body["detail"].as_str().unwrap().contains("placeholder"), "{published:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_was_ended_stays_ended() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::of(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.does(&below("releases/3/publish?acknowledge=true")).await;
    let again = json!({"start": at(48), "duration": "PT48H"});
    for (release, verb) in [("3", "complete"), ("3", "abort")] {
        let path = below(&format!("releases/{release}/rollouts/1"));
        admin.change(Method::PUT, &path, Some(&again)).await.is_problem(409);
        admin.does(&format!("{path}/{verb}?acknowledge=true")).await;
        admin.change(Method::PUT, &path, Some(&again)).await.is_problem(409);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_changes_as_time_goes_on_is_told_anew() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::of(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.does(&below("releases/3/publish?acknowledge=true")).await;
    for path in ["releases", "releases/3", "releases/3/rollouts", "releases/3/rollouts/1"] {
        server.at(NOW);
        let first = admin.get(&below(path)).await.ok();
        let tag = first.header("etag").to_owned();
        server.at(NOW + 24 * HOUR);
        let second = admin.ask(Method::GET, &below(path), &[("if-none-match", &tag)], None).await;
        assert_eq!((second.status, second.header("etag")), (200, tag.as_str()), "{path}");
        assert_ne!(first.body, second.body, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_word_changes_nothing() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::of(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    let told = admin.change(Method::POST, &below("releases/3/publish?dryrun=true"), None).await;
    told.is_problem(400);
    assert!(told.body["detail"].as_str().unwrap().contains("dryrun"), "{told:?}");
    let release = admin.get(&below("releases/3")).await.ok().body;
    assert_eq!(release["state"], "draft");
    server.stop().await;
}

#[tokio::test]
async fn what_is_published_late_opens_as_slowly_as_it_was_to() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::of(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    // Two days after its ramp was to begin.
    server.at(NOW + 48 * HOUR);
    admin.does(&below("releases/3/publish?acknowledge=true")).await;
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.0);
    server.at(NOW + 60 * HOUR);
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.25);
    // Taken back, and brought again three days later.
    admin.does(&below("releases/3/withdraw")).await;
    server.at(NOW + 132 * HOUR);
    admin.change(Method::POST, &below("releases/3/publish?acknowledge=true"), None).await.ok();
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.0);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_is_not_gone_around() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::of(&server, &database);
    let (admin, publisher) = (desk.manager("admin", "*").await, desk.manager("publisher", "*").await);
    stream(&admin, "stable").await;
    let reason = json!({"reason": "keys"});
    admin.change(Method::PUT, &below("releases/1/dead-end?acknowledge=true"), Some(&reason)).await.ok();
    let blocked = json!({"first": "1", "last": "1", "reason": "too far"});
    admin.does(&below("emergency-stop")).await;
    let payload = json!({"id": "quay.io/guarded/os@sha256:22"});
    let elsewhere = below("releases/2/payloads/aarch64/oci?acknowledge=true");
    // Nodes of another arch are sent to what they were not: that is more than to publish.
    publisher.change(Method::PUT, &elsewhere, Some(&payload)).await.is_problem(403);
    for (method, path, body) in
        [(Method::DELETE, "releases/1/dead-end", None), (Method::DELETE, "releases/1/dead-end?acknowledge=true", None)]
    {
        let told = admin.change(method, &below(path), body).await;
        told.is_problem(409);
    }
    // What only closes goes on.
    admin.change(Method::POST, &below("releases/2/blocked-updates?acknowledge=true"), Some(&blocked)).await.ok();
    admin.change(Method::DELETE, &below("emergency-stop"), None).await.ok();
    admin.change(Method::DELETE, &below("releases/1/dead-end?acknowledge=true"), None).await.ok();
    server.stop().await;
}
