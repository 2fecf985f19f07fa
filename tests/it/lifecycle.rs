//! Start and stop of the service, as its supervisor, its proxy and its clients see them.

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
async fn readiness_fails_before_the_service_stops_answering() {
    let database = Database::new().await;
    let serving = Serving::ready(&database, &[("LOCKKEEPER_DRAIN_DELAY", "1h")]).await;
    serving.terminate();
    let ready = format!("http://{}/healthz/ready", serving.address);
    // It is not ready, but still answers: it drains for an hour.
    eventually("readiness fails", async || {
        let answer = client().get(&ready).send().await.unwrap();
        answer.status() == 503 && answer.text().await.unwrap().contains("stopping")
    })
    .await;
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    assert!(client().get(poll).timeout(Duration::from_secs(30)).send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_are_off_are_not_served() {
    let database = Database::new().await;
    let desk_server = Server::start(&database).await;
    let viewer = Desk::new(&desk_server, &database).manager("viewer", "*").await;
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
    assert!(!output.status.success() && text(&output.stderr).contains("must serve agents or managers: both are off"));
    desk_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_migrate_the_service_waits_for_the_schema() {
    let database = Database::new().await;
    let serving = Serving::start(&database, &[("LOCKKEEPER_DATABASE__MIGRATE", "false")]);
    eventually("the log names the missing migration", async || serving.log().contains("lockkeeper database migrate"))
        .await;
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
async fn systemd_is_notified_of_ready_watchdog_and_stopping() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let serving = Serving::start(&database, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "50000")]);
    let mut notifications = Vec::new();
    let mut receive = async |wanted: &str| {
        let receiving = async {
            while !notifications.iter().any(|notification| notification == wanted) {
                let mut line = [0; 256];
                let length = socket.recv(&mut line).await.unwrap();
                notifications.push(text(&line[..length]).trim().to_owned());
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), receiving).await.is_ok(), "no {wanted}");
    };
    receive("READY=1").await;
    receive("WATCHDOG=1").await;
    serving.terminate();
    receive("STOPPING=1").await;
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_snapshot_is_ready_without_a_database() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let data_dir = folder.path().join("data");
    let with_snapshot =
        [("LOCKKEEPER_CATALOG__KEEP_SNAPSHOT", "true"), ("LOCKKEEPER_DATA_DIR", data_dir.to_str().unwrap())];
    let first = Serving::ready(&database, &with_snapshot).await;
    eventually("a snapshot is saved", async || data_dir.join("catalog/heard").exists()).await;
    assert!(first.stop());
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut settings = with_snapshot.to_vec();
    settings.extend([("NOTIFY_SOCKET", path.to_str().unwrap()), ("DATABASE_URL", "postgres://127.0.0.1:1/none")]);
    let serving = Serving::ready(&database, &settings).await;
    let mut line = [0; 256];
    let length = socket.recv(&mut line).await.unwrap();
    assert_eq!(text(&line[..length]).trim(), "READY=1");
    let url = |path: &str| format!("http://{}{path}", serving.address);
    assert_eq!(client().get(url("/v1/graph?stream=stable&basearch=x86_64")).send().await.unwrap().status(), 200);
    let readiness = client().get(url("/healthz/ready")).send().await.unwrap();
    assert_eq!(readiness.status(), 200);
    assert!(readiness.text().await.unwrap().contains("the database is unavailable"));
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_closes_connections_and_a_second_signal_ends_the_process() {
    let database = Database::new().await;
    let serving = Serving::ready(&database, &[("LOCKKEEPER_DRAIN_DELAY", "1h")]).await;
    let url = |path: &str| format!("http://{}{path}", serving.address);
    let paths = ["/v1/graph?stream=stable&basearch=x86_64", "/healthz/live", "/api/v1/products"];
    let close = async |path: &str| {
        let answer = client().get(url(path)).send().await.unwrap();
        answer.headers().get("connection").is_some_and(|value| value == "close")
    };
    for path in paths {
        assert!(!close(path).await, "{path}");
    }
    serving.terminate();
    for path in paths {
        eventually("answers close their connections", async || close(path).await).await;
    }
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stop_signal_does_not_wait_for_open_requests() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    let token = token(&database.url, folder.path());
    let mut connection = database.connection().await;
    sqlx::raw_sql("begin; lock table streams in access exclusive mode").execute(&mut connection).await.unwrap();
    let long_timeouts = [("LOCKKEEPER_LIMITS__ANSWER_TIMEOUT", "1h"), ("LOCKKEEPER_SHUTDOWN_GRACE", "1h")];
    let serving = Serving::start(&database, &long_timeouts);
    let url = format!("http://{}/api/v1/products/fedora-coreos/streams/stable", serving.address);
    // This request waits for the lock for the rest of the test.
    let waiting = tokio::spawn(client().get(url).bearer_auth(token).send());
    eventually("the request waits for the lock", async || {
        let waiting = "select count(*) > 0 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
        sqlx::query_scalar(waiting).fetch_one(&mut database.connection().await).await.unwrap()
    })
    .await;
    serving.terminate();
    eventually("the service is stopping", async || serving.log().contains("stopping")).await;
    assert!(serving.stop());
    // The client gets an error, or its connection is closed.
    assert!(waiting.await.unwrap().map_or(true, |response| response.status().is_server_error()));
}
