//! Idempotency keys: a repeated request gets the bytes that were sent, also after an upgrade.

use crate::support::{
    manager::{ApiResponse, Desk, Manager, STABLE, document, with_reason},
    postgres::Database,
    server::Server,
};
use reqwest::Method;
use serde_json::{Value, json};

const PRODUCT_STOP: &str = "/api/v1/products/os/emergency-stop";

async fn ask(caller: &Manager<'_>, key: &str, method: Method, path: &str, body: Option<Value>) -> ApiResponse {
    let precondition = if method == Method::PUT { ("if-none-match", "*") } else { ("if-match", "*") };
    let path = format!("{}&acknowledge=true", with_reason(path));
    caller.ask(method, &path, &[("idempotency-key", key), precondition], body.as_ref()).await
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_bytes_and_headers() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let created = "/api/v1/products/os/streams/created";
    let alias = json!({"arch": "x86_64", "scheme": "oci", "id": crate::support::ids::image("quay.io/os/os", "other")});
    let range = json!({"first": "1.1", "last": "1.1", "reason": "too old"});
    for (key, method, path, body) in [
        ("pause", Method::POST, format!("{STABLE}/releases/1.3/rollouts/1/pause"), None),
        ("draft", Method::POST, format!("{STABLE}/releases"), Some(json!({"version": "2"}))),
        ("alias", Method::POST, format!("{STABLE}/releases/1.3/aliases"), Some(alias)),
        ("block", Method::POST, format!("{STABLE}/releases/1.3/blocked-updates"), Some(range)),
        ("stream", Method::PUT, created.into(), Some(json!({"arches": ["x86_64"]}))),
        ("preset", Method::PUT, "/api/v1/products/os/presets/slow".into(), Some(json!({"rollouts": [{}]}))),
        ("stop", Method::POST, PRODUCT_STOP.into(), None),
    ] {
        let first = ask(&admin, key, method.clone(), &path, body.clone()).await.ok();
        let repeated = ask(&admin, key, method, &path, body).await;
        assert_eq!((repeated.status, &repeated.text), (first.status, &first.text), "{key}");
        for header in ["content-type", "etag", "location"] {
            assert_eq!(repeated.header(header), first.header(header), "{key}: {header}");
        }
    }
    server.stop().await;
}

/// The version before this one stored reports of another shape. A request that is repeated across the upgrade gets the old bytes.
#[tokio::test]
async fn an_answer_of_an_older_version_is_repeated_verbatim() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let drafts = format!("{STABLE}/releases");
    let draft = Some(json!({"version": "2"}));
    ask(&admin, "draft", Method::POST, &drafts, draft.clone()).await.ok();
    ask(&admin, "stop", Method::POST, PRODUCT_STOP, None).await.ok();
    let report = r#"{"revision" : 7,"product":"os", "stream":"stable","changed":true,"dry_run":false,"created":"2",
        "changes":[{"what":"release 2.0"}],"reach":[{"arch":"x86_64","share":0.1000}],"oddities":null}"#;
    let stop =
        r#"{"product":"os","changed":true,"dry_run":false,"stopped":{"since":"2026-07-22T14:00:00Z"},"streams":[ ]}"#;
    for (key, answer) in [("draft", format!("[ {report} ]")), ("stop", stop.to_owned())] {
        let stored =
            sqlx::query("update idempotency_keys set answer = $2::text::json where key = $1").bind(key).bind(answer);
        assert_eq!(stored.execute(&database.pool().await).await.unwrap().rows_affected(), 1, "{key}");
    }
    let repeated = ask(&admin, "draft", Method::POST, &drafts, draft).await;
    assert_eq!((repeated.status, repeated.text.as_str()), (201, report));
    assert_eq!((repeated.header("etag"), repeated.header("location")), ("\"7\"", format!("{drafts}/2").as_str()));
    let repeated = ask(&admin, "stop", Method::POST, PRODUCT_STOP, None).await;
    assert_eq!((repeated.status, repeated.text.as_str()), (200, stop));
    server.stop().await;
}
