//! Products: their protocols, and the names that they cannot have.

use crate::support::{
    eventually,
    manager::{ApiResponse, Desk, Manager, document, with_reason},
    postgres::Database,
    server::Server,
};
use lockkeeper::{domain::ids::StreamId, server::Registry};
use reqwest::Method;
use serde_json::{Value, json};

const DEFAULT: &str = "fedora-coreos";

async fn set(manager: &Manager<'_>, product: &str, query: &str, body: &Value) -> ApiResponse {
    let path = format!("{}{query}", with_reason(&format!("/api/v1/products/{product}")));
    manager.ask(Method::PUT, &path, &[], Some(body)).await
}

fn speaking(protocol: &str) -> Value {
    json!({"protocol": protocol})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_created_with_its_protocol() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, viewer) = (desk.manager("admin", "*").await, desk.manager("viewer", "os/stable").await);
    let preview = set(&admin, "os", "&dry_run=true", &speaking(DEFAULT)).await.ok();
    assert_eq!((preview.status, &preview.body["changed"], &preview.body["dry_run"]), (200, &json!(true), &json!(true)));
    admin.get("/api/v1/products/os").await.is_problem(404);
    let created = set(&admin, "os", "", &speaking(DEFAULT)).await.ok();
    assert_eq!((created.status, created.header("location")), (201, "/api/v1/products/os"));
    let expected = json!({"product": "os", "protocol": DEFAULT, "changed": true, "dry_run": false, "created": "os",
                          "emergency_stop": null, "streams": []});
    assert_eq!(created.body, expected);
    let same = set(&admin, "os", "", &speaking(DEFAULT)).await.ok();
    assert_eq!((same.status, &same.body["changed"], same.body.get("created")), (200, &json!(false), None));
    // A product without streams is shown to callers who may read all of it.
    let product = |streams: &[&str]| json!({"product": "os", "protocol": DEFAULT, "streams": streams});
    assert_eq!(admin.get("/api/v1/products/os").await.ok().body, product(&[]));
    viewer.get("/api/v1/products/os").await.is_problem(404);
    // A stop applies to streams that are created later.
    let stop = "/api/v1/products/os/emergency-stop";
    assert_eq!(admin.post_empty(stop).await.body["changed"], true);
    admin.change(Method::DELETE, stop, None).await.ok();
    for stream in ["stable", "next"] {
        admin.creates_stream(&document("os", stream)).await;
    }
    assert_eq!(admin.get("/api/v1/products").await.ok().body["items"], json!([product(&["next", "stable"])]));
    assert_eq!(viewer.get("/api/v1/products").await.ok().body["items"], json!([product(&["stable"])]));
    let audit = admin.get("/api/v1/audit?product=os").await.ok().body;
    let actions: Vec<&Value> = audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions.iter().filter(|action| **action == "product.set").count(), 1, "{audit}");
    let created = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "product.set").unwrap();
    assert_eq!(created["subject"], "protocol/fedora-coreos");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_its_first_stream_creates_speaks_the_default_protocol() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    assert_eq!(admin.get("/api/v1/products/os").await.ok().body["protocol"], DEFAULT);
    assert_eq!(set(&admin, "os", "", &speaking(DEFAULT)).await.ok().body["changed"], false);
    eventually("polls of the product are answered", async || {
        server.get("/os/v1/graph?stream=stable&basearch=x86_64&oci=true").await.0 == 200
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_products_are_refused() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, manager) = (desk.manager("admin", "*").await, desk.manager("manager", "*").await);
    let refused = set(&admin, "os", "", &speaking("smoke-signals")).await;
    refused.is_problem(422);
    assert_eq!(refused.body["errors"][0]["path"], "protocol", "{refused:?}");
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains(DEFAULT), "{refused:?}");
    for invalid in [json!({"protocol": "Fedora"}), json!({"protocol": DEFAULT, "x": 1}), json!({})] {
        let refused = set(&admin, "os", "", &invalid).await;
        assert!([400, 422].contains(&refused.status), "{invalid}: {refused:?}");
    }
    let partly = desk.manager("admin", "os/stable").await;
    for caller in [&manager, &partly] {
        set(caller, "os", "", &speaking(DEFAULT)).await.is_problem(403);
    }
    admin.get("/api/v1/products/os").await.is_problem(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_paths_begin_with_are_refused_in_every_way() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    for name in ["api", "v1", "streams", "images", "healthz", "ui"] {
        let refused = set(&admin, name, "", &speaking(DEFAULT)).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], "product", "{refused:?}");
        let stream = with_reason(&format!("/api/v1/products/{name}/streams/stable"));
        admin.ask(Method::PUT, &stream, &[("if-none-match", "*")], Some(&json!({}))).await.is_problem(422);
        let path =
            format!("{}&acknowledge=true", with_reason(&format!("/api/v1/products/{name}/streams/stable/document")));
        let written = admin.ask(Method::PUT, &path, &[("if-none-match", "*")], Some(&document(name, "stable"))).await;
        written.is_problem(422);
    }
    assert_eq!(admin.get("/api/v1/products").await.ok().body["items"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_of_a_protocol_that_is_not_spoken_here_is_not_served() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let poll = "/os/v1/graph?stream=stable&basearch=x86_64&oci=true";
    eventually("polls are answered", async || server.get(poll).await.0 == 200).await;
    assert_eq!(set(&admin, "os", "", &speaking(DEFAULT)).await.ok().body["changed"], false);
    // A later version may know protocols that this one does not.
    let mut transaction = database.store().await.begin("test").await.unwrap();
    let (product, protocol) = ("os".parse().unwrap(), "later".parse().unwrap());
    transaction.set_protocol(&product, &protocol, "2026-09-22T00:00:00Z".parse().unwrap()).await.unwrap();
    transaction.announce().await.unwrap();
    transaction.commit().await.unwrap();
    eventually("the product is no longer served", async || server.get(poll).await.0 == 404).await;
    assert_eq!(admin.get("/api/v1/products/os").await.ok().body["protocol"], "later");
    let refused = set(&admin, "os", "", &speaking(DEFAULT)).await;
    refused.is_problem(409);
    assert!(refused.text.contains("speak `later`"), "{refused:?}");
    // Its streams can still be managed.
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    let registry = Registry::new(&lockkeeper::config::Settings::default()).unwrap();
    assert_eq!(registry.entries().iter().map(|entry| entry.dialect.name()).collect::<Vec<_>>(), [DEFAULT]);
    server.stop().await;
}

/// Regression test: a stream that was being created at the same time kept the rules of the protocol that its product had before.
#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_is_set_after_a_stream_that_is_being_created() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    set(&admin, "os", "", &speaking(DEFAULT)).await.ok();
    let (store, pool) = (database.store().await, database.pool().await);
    let mut creating = store.begin("test").await.unwrap();
    let stream = StreamId { product: "os".parse().unwrap(), stream: "stable".parse().unwrap() };
    creating.lock_stream(&stream).await.unwrap();
    let waits = "select exists (select from pg_stat_activity where datname = current_database()
                 and wait_event_type = 'Lock' and query like '%lock_product_with_streams%')";
    let is_waiting = async || sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap();
    let release = async {
        eventually("the change of the product waits", is_waiting).await;
        drop(creating);
    };
    let body = speaking(DEFAULT);
    let ((), answer) = tokio::join!(release, set(&admin, "os", "", &body));
    assert_eq!(answer.ok().body["changed"], false);
    server.stop().await;
}

/// Regression test: a dry run of the first stream of a product was not checked by the rules of a protocol, but the write was.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_products_first_stream_has_the_findings_of_the_write() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let path = with_reason("/api/v1/products/os/streams/stable");
    let settings = json!({"identity": "version"});
    let create = async |query: &str| {
        let path = format!("{path}{query}");
        admin.ask(Method::PUT, &path, &[("if-none-match", "*")], Some(&settings)).await
    };
    let preview = create("&dry_run=true").await.ok().body;
    assert_eq!(preview["findings"][0]["place"], "identity", "{preview}");
    create("").await.is_problem(409);
    let written = create("&acknowledge=true").await.ok().body;
    assert_eq!(written["findings"], preview["findings"]);
    server.stop().await;
}
