//! Request bodies: read only for callers with the role, within a shared memory budget, and answered with few problems.

use crate::support::{
    manager::{Desk, Manager, STABLE, document, with_reason},
    postgres::Database,
    server::Server,
};
use lockkeeper::config::AnonymousRole;
use reqwest::Method;
use serde_json::{Value, json};
use std::cell::RefCell;

/// Found by an attack: 16 MB of empty names took a gigabyte of memory and were answered with 318 MB of problems.
fn empty_names(count: usize) -> Value {
    let mut document = document("os", "stable");
    document["arches"] = json!(vec![""; count]);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_read_for_a_caller_who_may_not_send_it() {
    let database = Database::new().await;
    let server =
        Server::start_with(&database, |settings| settings.api.anonymous_role = Some(AnonymousRole::Viewer)).await;
    let desk = Desk::new(&server, &database);
    desk.manager("admin", "*").await.creates_stream(&document("os", "stable")).await;
    let path = format!("{STABLE}/document");
    let other = desk.manager("viewer", "os/next").await;
    assert!(other.announce_body(&Method::PUT, &with_reason(&path)).await.starts_with("HTTP/1.1 403 "));
    let anonymous = Manager::with(&server, None);
    anonymous.change(Method::PUT, &path, Some(&empty_names(3))).await.is_problem(401);
    server.stop().await;
}

/// Found by review: the limit for documents depended on the end of the path, which releases and artifacts can have, too.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_document_of_a_stream_may_be_large() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let large = json!({"url": "x".repeat(100_000)});
    for (method, path) in [
        (Method::PUT, format!("{STABLE}/releases/1.3/artifacts/x86_64/document")),
        (Method::PATCH, format!("{STABLE}/releases/document")),
        (Method::POST, "/api/v1/tokens".into()),
    ] {
        admin.change(method, &path, Some(&large)).await.is_problem(413);
    }
    admin.change(Method::PUT, &format!("{STABLE}/document"), Some(&large)).await.is_problem(422);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_larger_than_the_http2_window_arrives() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    drop(crate::support::client());
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}{}", server.managers, with_reason(&format!("{STABLE}/document")));
    let put = client.put(url).bearer_auth(admin.token.as_ref().unwrap()).header("if-match", "*");
    let put = put.header("content-type", "application/json").body(empty_names(200_000).to_string());
    assert_eq!(put.send().await.unwrap().status(), 422);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_reported_problems_is_limited() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let put = async |count| {
        let path = format!("{STABLE}/document");
        admin.change(Method::PUT, &path, Some(&empty_names(count))).await
    };
    let response = put(200_000).await;
    response.is_problem(422);
    assert_eq!(response.body["errors"].as_array().unwrap().len(), 50);
    let response = put(1_200_000).await;
    response.is_problem(413);
    assert_eq!(response.body["detail"], "the body has more than 1000000 values");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_one_memory_budget() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.limits.document_bytes = 100_000;
        settings.limits.bodies_bytes = 100_000;
    })
    .await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let path = format!("{STABLE}/document");
    // Sends most of a large body and stops. If other bodies use the budget at that moment, it is refused itself and sent again.
    let large = json!({"format": 1, "product": "os", "stream": "stable", "mirrors": ["x".repeat(30_000)]});
    let slow = RefCell::new(None);
    let refused = RefCell::new(None);
    crate::support::eventually("the budget is used up", async || {
        slow.replace(None);
        let partial = admin.begin_body(&Method::PUT, &with_reason(&path), 90_000, 80_000).await;
        slow.replace(Some(partial));
        let answer = admin.change(Method::PUT, &path, Some(&large)).await;
        let is_refused = answer.status == 503;
        refused.replace(Some(answer));
        is_refused
    })
    .await;
    let refused = refused.take().unwrap();
    assert!(refused.body["detail"].as_str().unwrap().contains("limits.bodies_bytes"), "{refused:?}");
    // An emergency stop needs no body.
    admin.post_empty(&format!("{STABLE}/emergency-stop")).await;
    drop(slow);
    crate::support::eventually("the budget is free again", async || {
        admin.change(Method::PUT, &path, Some(&large)).await.status == 422
    })
    .await;
    server.stop().await;
}
