//! Undoing one's own last change.

use crate::support::{
    manager::{ApiResponse, Desk, Manager, below, document},
    postgres::Database,
    server::Server,
};
use reqwest::Method;
use serde_json::{Value, json};

async fn undo(caller: &Manager<'_>, revision: &Value) -> ApiResponse {
    caller.change(Method::POST, &below(&format!("revisions/{revision}/undo?acknowledge=true")), None).await
}

#[tokio::test]
async fn the_newest_revision_is_undone_by_its_actor() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, manager) = (desk.manager("admin", "*").await, desk.manager("manager", "os/*").await);
    admin.creates_stream(&document("os", "stable")).await;
    let releases = async || admin.get(&below("document")).await.ok().body["releases"].clone();
    let before = releases().await;

    let barrier =
        admin.change(Method::PUT, &below("releases/1.2/barrier"), Some(&json!({"reason": "by mistake"}))).await;
    let revision = barrier.ok().body["revision"].clone();
    let refused = undo(&manager, &revision).await;
    refused.is_problem(409);
    assert!(refused.body["detail"].as_str().unwrap().contains("only its actor undoes it"), "{}", refused.body);
    let undone = undo(&admin, &revision).await.ok().body;
    assert_eq!((undone["changes"][0]["subject"].as_str(), releases().await), (Some("release 1.2, barrier"), before));
    // Something came after it.
    undo(&admin, &revision).await.is_problem(412);

    // What was published is withdrawn; it keeps its position.
    let published = manager.post_empty(&below("releases/1.4/publish?acknowledge=true")).await.body["revision"].clone();
    undo(&manager, &published).await.ok();
    assert_eq!(admin.get(&below("releases/1.4")).await.ok().body["state"], "withdrawn");
    let entry = admin.get("/api/v1/audit?product=os&stream=stable&limit=1").await.ok().body["items"][0].clone();
    assert_eq!(
        (&entry["action"], &entry["subject"]),
        (&json!("stream.undo"), &json!(format!("revisions/{published}/undo")))
    );
    server.stop().await;
}

/// The role that pauses does not undo a pause: that opens the rollout again.
#[tokio::test]
async fn undoing_takes_the_role_of_the_opposite_and_never_lifts_a_stop() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, publisher) = (desk.manager("admin", "*").await, desk.manager("publisher", "os/*").await);
    admin.creates_stream(&document("os", "stable")).await;
    let paused = publisher.post_empty(&below("releases/1.3/rollouts/1/pause")).await.body["revision"].clone();
    let refused = undo(&publisher, &paused).await;
    refused.is_problem(403);
    assert_eq!(refused.body["detail"], "requires role `manager` on `os/stable`: it undoes `rollout.pause`");
    let stopped = admin.post_empty(&below("emergency-stop")).await.body["revision"].clone();
    let refused = undo(&admin, &stopped).await;
    refused.is_problem(409);
    assert!(refused.body["detail"].as_str().unwrap().ends_with("which is not undone"), "{}", refused.body);
    admin.change(Method::DELETE, &below("emergency-stop"), None).await.ok();

    // A repeated request gets the first answer, though the revision is not the newest any more.
    let notes = admin.change(Method::PATCH, &below("releases/1.3"), Some(&json!({"notes": "other"}))).await;
    let path = below(&format!("revisions/{}/undo?reason=oops", notes.ok().body["revision"]));
    let ask = async || admin.ask(Method::POST, &path, &[("idempotency-key", "once")], None).await.ok().body;
    let first = ask().await;
    assert_eq!((&first["changed"], ask().await), (&json!(true), first.clone()));
    server.stop().await;
}
