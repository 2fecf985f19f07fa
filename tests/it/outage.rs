//! Database outages: the service continues with its snapshot, and shares are frozen.

use crate::support::{
    eventually,
    postgres::Database,
    program::{import, lockkeeper, text},
    server::Server,
    upstream::{self, Documents},
};
use jiff::SignedDuration;
use lockkeeper::{
    catalog::{SnapshotError, SnapshotStore},
    config::Settings,
};
use serde_json::json;
use std::{os::unix::fs::PermissionsExt, path::Path};

/// When the rollout of the newest release starts; it takes 100 hours.
const START: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn documents_with_ramp() -> Documents {
    let mut documents = upstream::plain(3);
    documents.updates["releases"][2]["metadata"] =
        json!({"rollout": {"start_epoch": START, "start_percentage": 0.0, "duration_minutes": 6000}});
    documents
}

fn poll(wariness: f64) -> String {
    format!("/v1/graph?stream=stable&basearch=x86_64&os_checksum={:064x}&rollout_wariness={wariness}", 1)
}

/// Returns true if a node with this wariness may update to the newest release.
async fn is_open(server: &Server, wariness: f64) -> bool {
    let (status, body) = server.get(&poll(wariness)).await;
    assert_eq!(status, 200, "{body}");
    body.contains("44.2.0")
}

fn with_snapshot(data_dir: &Path) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.data_dir = data_dir.into();
        settings.catalog.keep_snapshot = true;
    }
}

fn ten_minutes(settings: &mut Settings) {
    settings.catalog.stale_after = SignedDuration::from_mins(10);
}

/// Fills the database and saves a snapshot, ten hours after `START`. Returns the answers to [`PATHS`].
async fn save_snapshot(database: &Database, data_dir: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    documents_with_ramp().write(folder.path(), "stable");
    upstream::write(folder.path(), "streams/stable.json", "{\"stream\": \"stable\", \"architectures\": {}}");
    assert!(import(&database.url, folder.path()).status.success());
    let server = Server::start_with(database, with_snapshot(data_dir)).await;
    server.at(START + 10 * HOUR);
    let note = || std::fs::read_to_string(data_dir.join("catalog/heard")).unwrap_or_default();
    eventually("the time of the last contact is saved", async || note().contains("2026-09-22T00:13:20Z")).await;
    let mut answers = Vec::new();
    for path in PATHS {
        answers.push(server.get(path).await.1);
    }
    server.stop().await;
    answers
}

const PATHS: [&str; 4] = [
    "/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0.05",
    "/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0.05&view=full",
    "/updates/stable.json",
    "/streams/stable.json",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_database_serves_the_snapshot_with_frozen_shares() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let answers = save_snapshot(&database, folder.path()).await;
    let server = Server::start_without_database(folder.path(), START + 10 * HOUR, ten_minutes);
    for (path, answer) in PATHS.iter().zip(&answers) {
        assert_eq!(server.get(path).await, (200, answer.clone()), "{path}");
    }
    let readiness = server.readiness().await;
    assert_eq!(
        (&readiness["ready"], &readiness["detail"]),
        (&json!(true), &json!("answering from the snapshot, the database is unavailable"))
    );
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "1");
    // The share was 0.1 at the last contact with the database. It is frozen ten minutes after that, at hardly more.
    server.at(START + 40 * HOUR);
    assert!(is_open(&server, 0.09).await && !is_open(&server, 0.11).await);
    assert_eq!(server.readiness().await["stale"], json!(true));
    assert_eq!(server.metric("lockkeeper_catalog_stale").await, "1");
    server.stop().await;

    // With contact to the database, the ramp continues.
    let server = Server::start_with(&database, |settings| {
        with_snapshot(folder.path())(settings);
        ten_minutes(settings);
    })
    .await;
    server.at(START + 40 * HOUR);
    eventually("shares are not frozen", async || server.readiness().await["stale"] == json!(false)).await;
    assert!(is_open(&server, 0.39).await && !is_open(&server, 0.41).await);
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "0");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_is_served_if_the_private_postgresql_cannot_start() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    save_snapshot(&database, folder.path()).await;
    let server = Server::start_without_database(folder.path(), START, |settings| {
        settings.database.url = None;
        settings.database.postgres_bin = Some(folder.path().into());
    });
    // A service that gives up would do so within a few of these polls.
    for _ in 0..300 {
        assert_eq!(server.get(PATHS[0]).await.0, 200);
    }
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "1");
    server.stop().await;
    // Without a snapshot, it exits and prints the reason.
    std::fs::remove_dir_all(folder.path().join("catalog")).unwrap();
    let output = lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("LOCKKEEPER_DATABASE__POSTGRES_BIN", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("apt-get install postgresql"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_served() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    save_snapshot(&database, folder.path()).await;
    let file = folder.path().join("catalog/catalog");
    let good = std::fs::read(&file).unwrap();
    for (what, at) in
        [("the format", 3), ("the text", 60), ("the documents", good.len() - 200), ("the hash", good.len() - 1)]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let server = Server::start_without_database(folder.path(), START, |_| {});
        assert_eq!(server.get(PATHS[0]).await.0, 503, "{what}");
        server.stop().await;
    }
    // A snapshot in the format of another version is reported as such, even with a valid hash.
    let text = String::from_utf8_lossy(&good[..40]).lines().next().unwrap().to_owned();
    let mut other = good[..good.len() - 32].to_vec();
    other[text.len() - 1] += 1;
    let hash = lockkeeper::domain::hash::ContentHash::from_content(&other);
    other.extend_from_slice(&hash.0);
    std::fs::write(&file, other).unwrap();
    let snapshot = SnapshotStore::open(&folder.path().join("catalog")).unwrap();
    assert!(matches!(snapshot.read(), Err(SnapshotError::Format)));
    drop(snapshot);
    for length in [0, 10, good.len() / 2, good.len() - 1] {
        std::fs::write(&file, &good[..length]).unwrap();
        let server = Server::start_without_database(folder.path(), START, |_| {});
        assert_eq!(server.get(PATHS[0]).await.0, 503, "{length} bytes");
        server.stop().await;
    }
    std::fs::write(&file, good).unwrap();
    let server = Server::start_without_database(folder.path(), START, |_| {});
    assert_eq!(server.get(PATHS[0]).await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_of_another_database_is_discarded() {
    let (database, other, folder) = (Database::new().await, Database::new().await, tempfile::tempdir().unwrap());
    save_snapshot(&database, folder.path()).await;
    let upstreams = tempfile::tempdir().unwrap();
    upstream::plain(2).write(upstreams.path(), "next");
    assert!(import(&other.url, upstreams.path()).status.success());
    let server = Server::start_with(&other, with_snapshot(folder.path())).await;
    server.shows("fedora-coreos/next", 1).await;
    assert_eq!(server.get(PATHS[0]).await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lags_behind_does_not_revert_streams() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let upstreams = tempfile::tempdir().unwrap();
    for (count, stream) in [(1, "next"), (2, "next"), (3, "stable")] {
        upstream::plain(count).write(upstreams.path(), stream);
        assert!(import(&database.url, upstreams.path()).status.success());
    }
    let server = Server::start_with(&database, with_snapshot(folder.path())).await;
    // The state of a replica that lags behind: the first revision of one stream, and none of the other.
    let mut connection = database.connection().await;
    for statement in [
        "delete from revision_sources where number > 1 or stream_id = (select id from streams where name = 'stable')",
        "delete from revisions where number > 1 or stream_id = (select id from streams where name = 'stable')",
        "update streams set revision = 1 where name = 'next'",
        "update streams set revision = 0 where name = 'stable'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let last_contact_at = server.readiness().await["last_contact_at"].clone();
    server.at(START + HOUR);
    // The service polls the database: after the third poll, it has read all of this.
    let polls =
        "select count(*) from pg_stat_activity where application_name = 'lockkeeper' and pid <> pg_backend_pid()
        and datname = current_database() and query_start > $1";
    for _ in 0..3 {
        let now: jiff_sqlx::Timestamp =
            sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await.unwrap();
        let mut observer = database.connection().await;
        loop {
            let count: i64 = sqlx::query_scalar(polls).bind(now).fetch_one(&mut observer).await.unwrap();
            if count > 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        server.readiness().await["last_contact_at"],
        last_contact_at,
        "a lagging replica does not count as contact"
    );
    assert_eq!(server.revision("fedora-coreos/next").await, Some(2));
    assert_eq!(server.revision("fedora-coreos/stable").await, Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_served_without_notifications() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.catalog.notifications = false;
        settings.catalog.poll_interval = SignedDuration::from_millis(50);
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    for count in 1..=2 {
        upstream::plain(count).write(folder.path(), "stable");
        assert!(import(&database.url, folder.path()).status.success());
        server.shows("fedora-coreos/stable", i64::try_from(count).unwrap()).await;
    }
    server.stop().await;
}

#[test]
fn only_the_snapshot_folder_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mode) =
        (folder.path().join("data"), |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777);
    std::fs::create_dir(folder.path().join("reference")).unwrap();
    for _ in 0..2 {
        SnapshotStore::open(&data.join("catalog")).unwrap();
        assert_eq!(mode(&data), mode(&folder.path().join("reference")));
        assert_eq!(mode(&data.join("catalog")), 0o700);
    }
}

#[test]
fn another_process_takes_over_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SnapshotStore::open(&folder.path().join("catalog")).unwrap();
    let (first, second) = (open(), open());
    assert!(first.is_writer() && !first.was_taken_over());
    assert!(!second.is_writer());
    drop(first);
    assert!(second.is_writer() && second.was_taken_over(), "the first process saved it until then");
    assert!(second.is_writer() && !second.was_taken_over());
}
