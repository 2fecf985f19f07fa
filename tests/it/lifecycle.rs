//! How a service begins and ends: what its supervisor, its proxy and its callers are told meanwhile.

use crate::support::{
    client, eventually,
    manager::Desk,
    postgres::Database,
    process::Serving,
    program::{import, lockkeeper, text, token},
    server::Server,
    upstream,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_requests_here_sees_the_end_before_it_comes() {
    let database = Database::new().await;
    let serving = Serving::ready(&database, &[("LOCKKEEPER_DRAIN_DELAY", "1h")]).await;
    serving.terminate();
    let ready = format!("http://{}/healthz/ready", serving.address);
    // Though it says that it stops, it still answers: an hour is for ever here.
    eventually("it says that it stops", async || {
        let answer = client().get(&ready).send().await.unwrap();
        answer.status() == 503 && answer.text().await.unwrap().contains("stopping")
    })
    .await;
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    assert!(client().get(poll).timeout(Duration::from_secs(30)).send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_that_are_off_are_not_served_at_all() {
    let database = Database::new().await;
    let desk_server = Server::start(&database).await;
    let viewer = Desk::of(&desk_server, &database).manager("viewer", "*").await;
    for (off, agents, managers) in [("AGENTS", 404, 200), ("MANAGERS", 400, 404)] {
        let serving = Serving::ready(&database, &[(&format!("LOCKKEEPER_LISTENERS__{off}"), "off")]).await;
        let status = async |path: &str| {
            let request = client().get(format!("http://{}{path}", serving.address));
            request.bearer_auth(viewer.token.as_ref().unwrap()).send().await.unwrap().status()
        };
        assert_eq!(status("/v1/graph").await, agents, "{off}");
        assert_eq!(status("/api/v1/products").await, managers, "{off}");
        assert_eq!(status("/healthz/ready").await, 200, "{off}");
        assert!(serving.stop());
    }
    let output = lockkeeper()
        .arg("serve")
        .env("LOCKKEEPER_LISTENERS__AGENTS", "off")
        .env("LOCKKEEPER_LISTENERS__MANAGERS", "off")
        .output()
        .unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("agents and managers are both off"));
    desk_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_schema_alone_waits_until_it_is_there() {
    let database = Database::new().await;
    let serving = Serving::start(&database, &[("LOCKKEEPER_DATABASE__MIGRATE", "false")]);
    eventually("it says what it waits for", async || serving.log().contains("lockkeeper database migrate")).await;
    let ready = format!("http://{}/healthz/ready", serving.address);
    assert_eq!(client().get(&ready).send().await.unwrap().status(), 503);
    for _ in 0..2 {
        let migrated = lockkeeper().args(["database", "migrate"]).env("DATABASE_URL", &database.url).output().unwrap();
        assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    }
    eventually("it is ready", async || serving.log().contains("serve: ready")).await;
    assert_eq!(client().get(&ready).send().await.unwrap().status(), 200);
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let serving = Serving::start(&database, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "50000")]);
    let mut told = Vec::new();
    let mut hear = async |wanted: &str| {
        let hearing = async {
            while !told.iter().any(|told| told == wanted) {
                let mut line = [0; 256];
                let length = socket.recv(&mut line).await.unwrap();
                told.push(text(&line[..length]).trim().to_owned());
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), hearing).await.is_ok(), "no {wanted}");
    };
    hear("READY=1").await;
    hear("WATCHDOG=1").await;
    serving.terminate();
    hear("STOPPING=1").await;
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_from_a_copy_is_ready_though_the_database_is_away() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let data_dir = folder.path().join("data");
    let keeping = [("LOCKKEEPER_CATALOG__KEEP_COPY", "true"), ("LOCKKEEPER_DATA_DIR", data_dir.to_str().unwrap())];
    let first = Serving::ready(&database, &keeping).await;
    eventually("a copy is kept", async || data_dir.join("catalog/heard").exists()).await;
    assert!(first.stop());
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut settings = keeping.to_vec();
    settings.extend([("NOTIFY_SOCKET", path.to_str().unwrap()), ("DATABASE_URL", "postgres://127.0.0.1:1/none")]);
    let serving = Serving::ready(&database, &settings).await;
    let mut told = [0; 256];
    let length = socket.recv(&mut told).await.unwrap();
    assert_eq!(text(&told[..length]).trim(), "READY=1");
    let url = |path: &str| format!("http://{}{path}", serving.address);
    assert_eq!(client().get(url("/v1/graph?stream=stable&basearch=x86_64")).send().await.unwrap().status(), 200);
    let readiness = client().get(url("/healthz/ready")).send().await.unwrap();
    assert_eq!(readiness.status(), 200);
    assert!(readiness.text().await.unwrap().contains("the database is away"));
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_a_connection_is_asked_to_leave_and_a_second_word_ends_it_at_once() {
    let database = Database::new().await;
    let serving = Serving::ready(&database, &[("LOCKKEEPER_DRAIN_DELAY", "1h")]).await;
    let url = |path: &str| format!("http://{}{path}", serving.address);
    let paths = ["/v1/graph?stream=stable&basearch=x86_64", "/healthz/live", "/api/v1/products"];
    let close = async |path: &str| {
        let answer = client().get(url(path)).send().await.unwrap();
        answer.headers().get("connection").is_some_and(|told| told == "close")
    };
    for path in paths {
        assert!(!close(path).await, "{path}");
    }
    serving.terminate();
    for path in paths {
        eventually("callers are asked to leave", async || close(path).await).await;
    }
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_in_a_hurry_waits_for_no_request() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let token = token(&database.url, folder.path());
    let mut connection = database.connection().await;
    sqlx::raw_sql("begin; lock table streams in access exclusive mode").execute(&mut connection).await.unwrap();
    let endless = [("LOCKKEEPER_LIMITS__ANSWER_TIMEOUT", "1h"), ("LOCKKEEPER_SHUTDOWN_GRACE", "1h")];
    let serving = Serving::start(&database, &endless);
    let url = format!("http://{}/api/v1/products/fedora-coreos/streams/stable", serving.address);
    // What waits for the lock waits for ever, as far as this test goes.
    let waiting = tokio::spawn(client().get(url).bearer_auth(token).send());
    eventually("somebody waits for the lock", async || {
        let waiting = "select count(*) > 0 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
        sqlx::query_scalar(waiting).fetch_one(&mut database.connection().await).await.unwrap()
    })
    .await;
    serving.terminate();
    eventually("it stops", async || serving.log().contains("stopping")).await;
    assert!(serving.stop());
    let _ = waiting.await.unwrap();
}
