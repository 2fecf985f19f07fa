//! Protections of the API: clocks that are behind, placeholders, unknown parameters, ways around a stop.

use crate::support::{
    ids,
    manager::{Desk, Manager, below},
    postgres::Database,
    server::Server,
    time::{HOUR, NOW, at},
};
use reqwest::Method;
use serde_json::{Value, json};

fn payload(n: usize) -> Value {
    json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/guarded/os", n)}])
}

/// Creates a stream of two releases, the second open to all nodes, and a draft with a ramp of two days.
async fn stream(admin: &Manager<'_>, name: &str) {
    admin
        .creates_stream(&json!({"format": 1, "product": "os", "stream": name, "arches": ["x86_64", "aarch64"], "origin": "local",
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
async fn a_replica_whose_clock_is_behind_keeps_later_changes() {
    let database = Database::new().await;
    let (ahead, behind) = (Server::start(&database).await, Server::start(&database).await);
    let desk = Desk::new(&ahead, &database);
    let admin = desk.manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.post_empty(&below("releases/3/publish?acknowledge=true")).await;
    ahead.at(NOW + 24 * HOUR);
    admin.post_empty(&below("releases/3/rollouts/1/pause")).await;
    admin.post_empty(&below("releases/3/rollouts/1/resume?acknowledge=true")).await;
    // By this replica's clock, 20 seconds behind, the rollout has not been resumed yet.
    behind.at(NOW + 24 * HOUR - 20);
    let manager_there = Manager::with(&behind, admin.token.as_deref());
    manager_there.post_empty(&below("releases/3/rollouts/1/pause")).await;
    let share = rollout(&admin, "3").await["open_share"].as_f64().unwrap();
    assert!((share - 0.5).abs() < 1e-3, "{share}");
    ahead.stop().await;
    behind.stop().await;
}

#[tokio::test]
async fn a_placeholder_cannot_be_published_in_a_real_stream() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    stream(&admin, "stable").await;
    let placeholder = json!([{"arch": "x86_64", "scheme": "oci", "id": "a placeholder", "synthetic": true}]);
    let draft = json!({"version": "9", "payloads": placeholder});
    admin.post(&below("releases"), &draft).await;
    let document = admin.get(&below("document")).await.ok().body;
    assert_eq!(document["releases"][3]["payloads"][0]["synthetic"], true);
    let published = admin.change(Method::POST, &below("releases/9/publish?acknowledge=true"), None).await;
    published.is_problem(409);
    assert!(
        published.body["detail"].as_str().unwrap().contains("cannot have placeholder (synthetic) payloads"),
        "{published:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_started_or_ended_rollout_cannot_be_replaced() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.post_empty(&below("releases/3/publish?acknowledge=true")).await;
    let again = json!({"start": at(48), "duration": "PT48H"});
    for (release, verb) in [("3", "complete"), ("3", "abort")] {
        let path = below(&format!("releases/{release}/rollouts/1"));
        admin.change(Method::PUT, &path, Some(&again)).await.is_problem(409);
        admin.post_empty(&format!("{path}/{verb}?acknowledge=true")).await;
        admin.change(Method::PUT, &path, Some(&again)).await.is_problem(409);
    }
    server.stop().await;
}

#[tokio::test]
async fn parts_that_change_with_time_are_never_answered_with_304() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    admin.post_empty(&below("releases/3/publish?acknowledge=true")).await;
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
async fn an_unknown_query_parameter_changes_nothing() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    let refused = admin.change(Method::POST, &below("releases/3/publish?dryrun=true"), None).await;
    refused.is_problem(400);
    assert!(refused.body["detail"].as_str().unwrap().contains("dryrun"), "{refused:?}");
    let release = admin.get(&below("releases/3")).await.ok().body;
    assert_eq!(release["state"], "draft");
    server.stop().await;
}

#[tokio::test]
async fn a_late_publication_keeps_the_length_of_the_ramp() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    stream(&admin, "stable").await;
    // Two days after the planned start of the ramp.
    server.at(NOW + 48 * HOUR);
    admin.post_empty(&below("releases/3/publish?acknowledge=true")).await;
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.0);
    server.at(NOW + 60 * HOUR);
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.25);
    // Withdrawn, and published again three days later.
    admin.post_empty(&below("releases/3/withdraw")).await;
    server.at(NOW + 132 * HOUR);
    admin.change(Method::POST, &below("releases/3/publish?acknowledge=true"), None).await.ok();
    assert_eq!(rollout(&admin, "3").await["open_share"], 0.0);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_blocks_every_way_to_increase_offers() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, publisher) = (desk.manager("admin", "*").await, desk.manager("publisher", "*").await);
    stream(&admin, "stable").await;
    let reason = json!({"reason": "keys"});
    admin.change(Method::PUT, &below("releases/1/dead-end?acknowledge=true"), Some(&reason)).await.ok();
    let blocked = json!({"first": "1", "last": "1", "reason": "too far"});
    admin.post_empty(&below("emergency-stop")).await;
    let payload = json!({"id": ids::image("quay.io/guarded/os", 22)});
    let other_arch = below("releases/2/payloads/aarch64/oci?acknowledge=true");
    // A payload for another arch of a published release is offered to new nodes: publishers may not add it.
    publisher.change(Method::PUT, &other_arch, Some(&payload)).await.is_problem(403);
    for (method, path, body) in
        [(Method::DELETE, "releases/1/dead-end", None), (Method::DELETE, "releases/1/dead-end?acknowledge=true", None)]
    {
        admin.change(method, &below(path), body).await.is_problem(409);
    }
    // Restrictive changes are allowed.
    admin.change(Method::POST, &below("releases/2/blocked-updates?acknowledge=true"), Some(&blocked)).await.ok();
    admin.change(Method::DELETE, &below("emergency-stop"), None).await.ok();
    admin.change(Method::DELETE, &below("releases/1/dead-end?acknowledge=true"), None).await.ok();
    server.stop().await;
}

#[tokio::test]
async fn removing_a_barrier_is_a_warning() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    stream(&admin, "stable").await;
    let reason = json!({"reason": "keys"});
    admin.change(Method::PUT, &below("releases/2/barrier?acknowledge=true"), Some(&reason)).await.ok();
    let refused = admin.change(Method::DELETE, &below("releases/2/barrier"), None).await;
    refused.is_problem(409);
    let messages = refused.body["findings"].to_string();
    assert!(messages.contains("is no longer a barrier: nodes may skip it"), "{messages}");
    admin.change(Method::DELETE, &below("releases/2/barrier?acknowledge=true"), None).await.ok();
    server.stop().await;
}
