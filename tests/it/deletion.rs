//! Deleted streams and products: gone for nodes and release managers on every replica, with a history that stays.

use crate::support::{
    eventually, ids,
    manager::{Desk, Manager, STABLE, below, document, os, with_reason},
    postgres::Database,
    server::Server,
    setup::Setup,
};
use lockkeeper::{
    domain::stream::Revision,
    operate::{backup, backup_stream},
};
use reqwest::Method;
use serde_json::{Value, json};

const PRODUCT: &str = "/api/v1/products/os";
const POLL: &str = "/os/v1/graph?stream=stable&basearch=x86_64&oci=true";

/// Returns the document of a stream that has only a draft.
fn draft() -> Value {
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "draft")}]);
    json!({"format": 1, "product": "os", "stream": "stable", "origin": "local", "arches": ["x86_64"],
           "releases": [{"version": "1.0", "state": "draft", "payloads": payloads}]})
}

async fn delete(admin: &Manager<'_>, path: &str) -> Value {
    admin.change(Method::DELETE, path, None).await.ok().body
}

async fn answers(server: &Server, status: u16) {
    eventually("polls are answered", || async { server.get(POLL).await.0 == status }).await;
}

/// Regression test: a process took a database without its newest stream for one that is behind, and served the stream until another change.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_gone_on_every_replica_and_its_history_stays() {
    let setup = Setup::new().await;
    let replica = Server::start(&setup.database).await;
    let admin = setup.desk().manager("admin", "*").await;
    admin.creates_stream(&draft()).await;
    for server in [&setup.server, &replica] {
        answers(server, 200).await;
    }
    let preview = delete(&admin, &format!("{STABLE}?dry_run=true")).await;
    assert_eq!((&preview["changed"], &preview["dry_run"]), (&json!(true), &json!(true)));
    admin.get(STABLE).await.ok();
    admin.ask(Method::DELETE, &with_reason(STABLE), &[], None).await.is_problem(428);
    admin.ask(Method::DELETE, &with_reason(STABLE), &[("if-match", "\"7\"")], None).await.is_problem(412);
    let deleted = delete(&admin, STABLE).await;
    assert_eq!((&deleted["revision"], &deleted["changed"]), (&json!(2), &json!(true)));
    for server in [&setup.server, &replica] {
        answers(server, 404).await;
    }
    admin.get(STABLE).await.is_problem(404);
    admin.get(&below("document")).await.is_problem(404);
    admin.change(Method::DELETE, STABLE, None).await.is_problem(404);
    assert_eq!(admin.get(&format!("{PRODUCT}/streams")).await.ok().body["items"], json!([]));
    assert_eq!(admin.get(PRODUCT).await.ok().body["streams"], json!([]));
    let revisions = admin.get(&below("revisions")).await.ok().body;
    let numbers: Vec<&Value> = revisions["items"].as_array().unwrap().iter().map(|item| &item["revision"]).collect();
    assert_eq!(numbers, [2, 1]);
    let diff = admin.get(&below("revisions/2/diff")).await.ok().text;
    assert!(diff.contains("1.0"), "{diff}");
    let audit = admin.get("/api/v1/audit?product=os&stream=stable").await.ok().body;
    assert_eq!(audit["items"][0]["action"], "stream.delete");
    eventually("the deletion is an event", || async {
        admin.get("/api/v1/events?after=0&follow=false").await.ok().text.contains("stream.delete")
    })
    .await;

    // Its name can be used again, for a stream without anything of the old one.
    let create = async |condition| {
        let body = json!({"arches": ["aarch64"]});
        admin.ask(Method::PUT, &with_reason(STABLE), &[condition], Some(&body)).await
    };
    create(("if-match", "\"2\"")).await.is_problem(412);
    let created = create(("if-none-match", "*")).await;
    assert_eq!((created.status, &created.body["revision"]), (201, &json!(3)), "{created:?}");
    let stream = admin.get(STABLE).await.ok().body;
    assert_eq!((&stream["settings"]["arches"], &stream["releases"]), (&json!(["aarch64"]), &json!(0)), "{stream}");
    assert_eq!(admin.get(&below("releases")).await.ok().body["items"], json!([]));
    let undone = admin.ask(Method::POST, &with_reason(&below("revisions/3/undo")), &[("if-match", "*")], None).await;
    undone.is_problem(409);
    assert_eq!(undone.body["detail"], "revision 3 created the stream again, which is not undone");
    for server in [setup.server, replica] {
        eventually("the new stream is served", || async {
            server.get(&POLL.replace("x86_64", "aarch64")).await.0 == 200
        })
        .await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_published_or_is_stopped_is_not_deleted() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let refused = admin.change(Method::DELETE, STABLE, None).await;
    refused.is_problem(409);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("os/stable has published 1.0, which nodes may run"), "{detail}");
    setup.desk().manager("manager", "os/*").await.change(Method::DELETE, STABLE, None).await.is_problem(403);
    setup.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_streams_is_deleted_and_created_again() {
    let setup = Setup::new().await;
    let admin = setup.desk().manager("admin", "*").await;
    admin.change(Method::DELETE, PRODUCT, None).await.is_problem(404);
    admin.creates_stream(&draft()).await;
    answers(&setup.server, 200).await;
    let refused = admin.change(Method::DELETE, PRODUCT, None).await;
    refused.is_problem(409);
    assert_eq!(refused.body["detail"], "os has streams: delete them first");
    delete(&admin, STABLE).await;
    let preview = delete(&admin, &format!("{PRODUCT}?dry_run=true")).await;
    assert_eq!((&preview["changed"], &preview["dry_run"]), (&json!(true), &json!(true)));
    admin.get(PRODUCT).await.ok();
    assert_eq!(delete(&admin, PRODUCT).await["changed"], true);
    admin.get(PRODUCT).await.is_problem(404);
    assert_eq!(admin.get("/api/v1/products").await.ok().body["items"], json!([]));
    admin.change(Method::DELETE, PRODUCT, None).await.is_problem(404);
    let set = admin.ask(Method::PUT, &with_reason(PRODUCT), &[], Some(&json!({"protocol": "fedora-coreos"}))).await;
    assert_eq!((set.status, &set.body["created"]), (201, &json!("os")), "{set:?}");
    delete(&admin, PRODUCT).await;
    // The first stream of a deleted product creates it, too.
    admin.creates_stream(&draft()).await;
    assert_eq!(admin.get(PRODUCT).await.ok().body["streams"], json!(["stable"]));
    answers(&setup.server, 200).await;
    setup.server.stop().await;
}

/// A restart brings back nothing, neither from a snapshot nor from the folder of the first streams, and a restored backup does not either.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_streams_stay_deleted_after_a_restart_and_in_a_backup() {
    let (setup, folder) = (Setup::new().await, tempfile::tempdir().unwrap());
    let admin = setup.desk().manager("admin", "*").await;
    admin.creates_stream(&draft()).await;
    delete(&admin, STABLE).await;
    setup.server.stop().await;
    let start = async |database: &Database| {
        Server::start_with(database, |settings| {
            settings.streams_dir = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/streams").into());
        })
        .await
    };
    let file = folder.path().join("backup");
    backup::write(&setup.database.store().await, &file, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let deleted = backup_stream::read_stream(&file, &os("stable"), None).unwrap_err();
    assert_eq!(deleted.to_string(), "stream os/stable is deleted in the backup: name one of its revisions");
    let first = backup_stream::read_stream(&file, &os("stable"), Some(Revision(1))).unwrap();
    assert_eq!(first.1.releases.len(), 1);
    let other = Database::new().await;
    backup::restore(&other.store_without_migration(), &file, &|_, _| {}).await.unwrap();
    for database in [&setup.database, &other] {
        let server = start(database).await;
        let admin = Desk::new(&server, database).manager("admin", "*").await;
        assert_eq!(
            admin.get("/api/v1/products").await.ok().body["items"],
            json!([{"product": "os", "protocol": "fedora-coreos", "streams": []}])
        );
        assert_eq!(admin.get(&below("revisions")).await.ok().body["items"].as_array().unwrap().len(), 2);
        let published = document("os", "stable");
        admin.creates_stream(&published).await;
        answers(&server, 200).await;
        server.stop().await;
    }
}
