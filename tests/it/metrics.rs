//! Metrics match the requests and changes that were made.

use crate::support::{
    eventually,
    issuer::{Issuer, Key},
    manager::{Desk, document},
    postgres::Database,
    program::import,
    server::Server,
    upstream,
};
use jsonwebtoken::Algorithm;
use serde_json::json;

const SCOPE: &str = "product=\"fedora-coreos\",scheme=\"checksum\",stream=\"stable\"";
const STREAM: &str = "product=\"fedora-coreos\",stream=\"stable\"";

#[tokio::test(flavor = "multi_thread")]
async fn polls_are_counted_by_answer_and_wariness() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut documents = upstream::plain(3);
    documents.updates["releases"][2]["metadata"] = json!({"rollout": {"start_percentage": 0.4}});
    documents.write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let server = Server::start(&database).await;
    let poll = async |query: &str| {
        let path = format!("/v1/graph?stream=stable&basearch=x86_64{query}");
        assert_eq!(server.get(&path).await.0, 200, "{path}");
    };
    let own = format!("os_checksum={:064x}", 1);
    for (times, query) in [
        (3, format!("&{own}&rollout_wariness=0.35")),
        (2, format!("&{own}&rollout_wariness=0.75")),
        (1, "&rollout_wariness=0.95".into()),
        (4, "&os_checksum=ffff&rollout_wariness=0.05".into()),
    ] {
        for _ in 0..times {
            poll(&query).await;
        }
    }
    // An arch that agents know, but the stream does not have.
    assert_eq!(server.get("/v1/graph?stream=stable&basearch=s390x").await.0, 200);
    assert_eq!(server.get("/v1/graph?stream=none&basearch=x86_64").await.0, 404);
    assert_eq!(server.get("/fedora-coreos/v1/graph?stream=none&basearch=x86_64").await.0, 404);
    let polls = async |answer: &str, labels: &str| {
        server.metric(&format!("lockkeeper_polls_total{{answer=\"{answer}\",{labels}}}")).await
    };
    let labels = format!("arch=\"x86_64\",{SCOPE}");
    for (answer, count) in [("node_view", "5"), ("full_graph", "1"), ("empty", "0")] {
        assert_eq!(polls(answer, &labels).await, count, "{answer}");
    }
    for (payload, count) in [("unknown", "4"), ("known_elsewhere", "0")] {
        let labels = format!("arch=\"x86_64\",payload=\"{payload}\",{SCOPE}");
        assert_eq!(polls("unknown_payload", &labels).await, count, "{payload}");
    }
    assert_eq!(polls("empty", &format!("arch=\"s390x\",{SCOPE}")).await, "1");
    let none = "arch=\"none\",product=\"none\",scheme=\"none\",stream=\"none\"";
    assert_eq!(polls("unknown_stream", none).await, "2");
    // Two polls of a node that waits, and one for the full graph. Nodes with a wariness of 0.05 see all releases.
    assert_eq!(server.metric(&format!("lockkeeper_polls_held_back_total{{{STREAM}}}")).await, "3");
    for (le, count) in [("0.1", "4"), ("0.4", "8"), ("0.7", "8"), ("0.8", "10"), ("1", "11")] {
        let bucket = format!("lockkeeper_poll_wariness_bucket{{{STREAM},le=\"{le}\"}}");
        assert_eq!(server.metric(&bucket).await, count, "{le}");
    }
    for (route, status, count) in [("/v1/graph", 200, "11"), ("/v1/graph", 404, "1"), ("/{product}/v1/graph", 404, "1")]
    {
        let labels = format!(
            "http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"{route}\",url_scheme=\"http\""
        );
        let name = format!("http_server_request_duration_seconds_count{{{labels}}}");
        assert_eq!(server.metric(&name).await, count, "{route} {status}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_of_withdrawn_releases_are_not_counted_or_shown() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let stream = "/api/v1/products/os/streams/stable";
    let rollouts = async || {
        let text = server.metrics().await;
        text.lines().filter(|line| line.starts_with("lockkeeper_rollout_open_share{")).count()
    };
    eventually("all three rollouts are shown", async || rollouts().await == 3).await;
    let held = async || {
        let path = "/os/v1/graph?stream=stable&basearch=x86_64&oci=true&rollout_wariness=1.0";
        assert_eq!(server.get(path).await.0, 200);
        server.metric("lockkeeper_polls_held_back_total{product=\"os\",stream=\"stable\"}").await
    };
    assert_eq!(held().await, "1");
    admin.post_empty(&format!("{stream}/releases/1.3/withdraw")).await;
    eventually("no rollout of a withdrawn release is shown", async || rollouts().await == 0).await;
    assert_eq!(held().await, "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_shown_until_it_is_readable() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let name = format!("lockkeeper_catalog_broken{{{STREAM}}}");
    let mut connection = database.connection().await;
    for statement in
        ["alter table releases drop constraint releases_state_known", "update releases set state = 'unknown'"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let server = Server::start(&database).await;
    // Absent until the process has tried to read the stream.
    eventually("it is broken", async || server.metrics().await.contains(&format!("{name} 1"))).await;
    sqlx::query("update releases set state = 'published'").execute(&mut connection).await.unwrap();
    eventually("it is readable again", async || server.metric(&name).await == "0").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_issuer_keys_is_shown_only_with_a_managers_listener() {
    let database = Database::new().await;
    let issuer = Issuer::start(&[&Key::new("a", Algorithm::EdDSA)]).await;
    issuer.show_set(json!("no keys"));
    let server = Server::start_with(&database, |settings| settings.auth.issuers = vec![issuer.settings()]).await;
    let name = format!("lockkeeper_issuer_keys_age_seconds{{issuer=\"{}\"}}", issuer.url);
    let shown = async |server: &Server| server.metrics().await.contains(&name);
    eventually("its age is shown", async || shown(&server).await).await;
    eventually("its keys are requested", async || issuer.request_count() > 0).await;
    server.stop().await;
    let requests = issuer.request_count();
    let agents = Server::start_with(&database, |settings| {
        settings.auth.issuers = vec![issuer.settings()];
        settings.listeners.managers = Some("off".into());
    })
    .await;
    eventually("it reads the database", async || {
        agents.metrics().await.contains("lockkeeper_database_clock_difference_seconds")
    })
    .await;
    assert!(!shown(&agents).await);
    assert_eq!(issuer.request_count(), requests);
    agents.stop().await;
}
