//! What managers read across resources: the overview of all streams, the history of a rollout, and differences for programs.

use crate::support::{
    ids,
    manager::{Desk, Manager, below, document},
    postgres::Database,
    server::Server,
    time::{NOW, at},
};
use reqwest::Method;
use serde_json::{Value, json};

const OVERVIEW: &str = "/api/v1/overview";

async fn streams(caller: &Manager<'_>, query: &str) -> Vec<String> {
    let body = caller.get(&format!("{OVERVIEW}{query}")).await.ok().body;
    let name =
        |stream: &Value| format!("{}/{}", stream["product"].as_str().unwrap(), stream["stream"].as_str().unwrap());
    body["streams"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn the_overview_has_the_streams_that_the_caller_may_read() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    for (product, stream) in [("os", "stable"), ("lab", "stable"), ("os", "testing")] {
        admin.creates_stream(&document(product, stream)).await;
    }
    assert_eq!(streams(&admin, "").await, ["lab/stable", "os/stable", "os/testing"]);
    for (on, expected) in [
        ("os/*", &["os/stable", "os/testing"][..]),
        ("os/testing", &["os/testing"]),
        ("*/stable", &["lab/stable", "os/stable"]),
        ("elsewhere/*", &[]),
    ] {
        let reader = desk.manager("viewer", on).await;
        assert_eq!(streams(&reader, "").await, expected, "{on}");
        match on {
            "*/stable" => assert_eq!(streams(&reader, "?product=os").await, ["os/stable"]),
            "elsewhere/*" => reader.get(&format!("{OVERVIEW}?product=os")).await.is_problem(403),
            _ => reader.get(&format!("{OVERVIEW}?product=lab")).await.is_problem(403),
        }
    }
    assert_eq!(streams(&admin, "?product=lab").await, ["lab/stable"]);
    assert_eq!(streams(&admin, "?product=none").await, Vec::<String>::new());
    admin.get(&format!("{OVERVIEW}?product=A+B")).await.is_problem(422);
    Manager::with(&server, None).get(OVERVIEW).await.is_problem(401);
    server.stop().await;
}

#[tokio::test]
async fn the_overview_shows_rollouts_findings_and_stops() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let overview = async || admin.get(OVERVIEW).await.ok().body["streams"][0].clone();
    let stream = overview().await;
    assert_eq!((&stream["revision"], &stream["newest"]), (&json!(1), &json!({"x86_64": "1.3"})));
    let expected = json!([
        {"release": "1.3", "id": 1, "state": "running", "open_share": 0.25,
         "next_step": {"at": at(36), "share": 1.0}, "fully_open_at": at(36)},
        {"release": "1.3", "id": 2, "state": "paused", "open_share": 0.125},
        {"release": "1.3", "id": 3, "state": "scheduled", "open_share": 0.0,
         "next_step": {"at": at(24), "share": 0.0}, "fully_open_at": at(72)},
    ]);
    assert_eq!((&stream["rollouts"], &stream["rollouts_total"]), (&expected, &json!(3)));
    let findings = admin.get(&below("lint")).await.ok().body["items"].clone();
    assert_eq!(stream["findings_total"], findings.as_array().unwrap().len());
    assert_eq!((&stream["emergency_stop"], &stream["product_emergency_stop"]), (&Value::Null, &Value::Null));
    // It is the same until time or a change moves something.
    let tag = admin.get(OVERVIEW).await.ok().header("etag").to_owned();
    assert_eq!(admin.ask(Method::GET, OVERVIEW, &[("if-none-match", &tag)], None).await.status, 304);
    server.at(NOW + 12 * 3600);
    let running = overview().await["rollouts"][0].clone();
    assert_eq!(running["open_share"], 0.5);
    assert_eq!(running["open_share"], admin.get(&below("releases/1.3/rollouts/1")).await.ok().body["open_share"]);

    admin.post_empty(&below("emergency-stop")).await;
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    let stopped = overview().await;
    let rollout = &stopped["rollouts"][0];
    assert_eq!((&rollout["open_share"], &rollout["open_share_if_lifted"]), (&json!(0.0), &json!(0.5)));
    assert_eq!((&rollout["next_step"], &rollout["fully_open_at"]), (&Value::Null, &Value::Null));
    for stop in ["emergency_stop", "product_emergency_stop"] {
        assert_eq!(stopped[stop]["since"], at(12), "{stop}");
    }
    server.stop().await;
}

/// Returns the actions in the history of a rollout, from all pages of at most `limit` entries.
async fn history(caller: &Manager<'_>, rollout: &str, limit: usize) -> Vec<String> {
    let (mut actions, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = below(&format!("releases/1.3/rollouts/{rollout}/history?limit={limit}{cursor}"));
        let page = caller.get(&path).await.ok().body;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        actions.extend(items.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return actions };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn the_history_of_a_rollout_has_what_changed_it() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, viewer) = (desk.manager("admin", "*").await, desk.manager("viewer", "os/stable").await);
    admin.creates_stream(&document("os", "stable")).await;
    for verb in ["1/pause", "1/resume", "3/start"] {
        admin.post_empty(&below(&format!("releases/1.3/rollouts/{verb}?acknowledge=true"))).await;
    }
    admin.change(Method::PATCH, &below("releases/1.3"), Some(&json!({"notes": "other"}))).await.ok();
    server.at(NOW + 3600);
    admin.post_empty(&below("emergency-stop")).await;
    server.at(NOW + 7200);
    admin.change(Method::DELETE, &below("emergency-stop"), None).await.ok();
    for limit in [1, 2, 100] {
        let first = history(&viewer, "1", limit).await;
        assert_eq!(first, ["stream.lift-stop", "rollout.resume", "rollout.pause", "stream.put-document"], "{limit}");
        // It was paused before: the stop did not change it.
        assert_eq!(history(&viewer, "2", limit).await, ["stream.put-document"], "{limit}");
        let third = history(&viewer, "3", limit).await;
        assert_eq!(third, ["stream.lift-stop", "rollout.start", "stream.put-document"], "{limit}");
    }
    let newest = viewer.get(&below("releases/1.3/rollouts/1/history?limit=1")).await.ok().body["items"][0].clone();
    assert_eq!((&newest["revision"], &newest["reason"]), (&json!(7), &json!("the test says so")));
    viewer.get(&below("releases/1.3/rollouts/9/history")).await.is_problem(404);
    viewer.get(&below("releases/9/rollouts/1/history")).await.is_problem(404);
    viewer.get(&below("releases/1.3/rollouts/1/history?limit=0")).await.is_problem(400);
    desk.manager("viewer", "os/testing").await.get(&below("releases/1.3/rollouts/1/history")).await.is_problem(403);
    server.stop().await;
}

#[tokio::test]
async fn differences_name_their_targets_for_programs() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let paused = admin.post_empty(&below("releases/1.3/rollouts/1/pause")).await.body;
    let change = json!({
        "subject": "release 1.3, rollout 1",
        "before": format!("from share 0 at {} to 1 in PT48H (local)", at(-12)),
        "after": format!("from share 0 at {} to 1 in PT48H (paused at {}) (local)", at(-12), at(0)),
        "target": {"kind": "rollout", "release": "1.3", "id": 1},
    });
    let diff = admin.get(&below("revisions/2/diff")).await.ok().body;
    assert_eq!(diff, json!([change]));
    assert_eq!(paused["changes"], diff);
    let alias = ids::image("quay.io/os/os", "second");
    let body = json!({"arch": "x86_64", "scheme": "oci", "id": alias});
    let path = below("releases/1.3/aliases?dry_run=true");
    let report = admin.change(Method::POST, &path, Some(&body)).await.ok().body;
    let target = json!({"kind": "alias", "release": "1.3", "arch": "x86_64", "scheme": "oci", "name": alias});
    assert_eq!((&report["changes"][0]["target"], &report["changes"][0]["before"]), (&target, &Value::Null));
    server.stop().await;
}
