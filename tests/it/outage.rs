//! Without its database the service goes on, and opens nothing further than it knows.

use crate::support::{
    eventually,
    postgres::Database,
    program::{import, lockkeeper, text},
    server::Server,
    upstream::{self, Documents},
};
use jiff::SignedDuration;
use lockkeeper::{
    catalog::{CopyError, DiskCopy},
    config::Settings,
};
use serde_json::json;
use std::{os::unix::fs::PermissionsExt, path::Path};

/// When the rollout of the newest release starts; it takes 100 hours.
const START: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn opening() -> Documents {
    let mut documents = upstream::plain(3);
    documents.updates["releases"][2]["metadata"] =
        json!({"rollout": {"start_epoch": START, "start_percentage": 0.0, "duration_minutes": 6000}});
    documents
}

fn poll(wariness: f64) -> String {
    format!("/v1/graph?stream=stable&basearch=x86_64&os_checksum={:064x}&rollout_wariness={wariness}", 1)
}

/// May a node of this wariness go to the newest release?
async fn is_open(server: &Server, wariness: f64) -> bool {
    let (status, body) = server.get(&poll(wariness)).await;
    assert_eq!(status, 200, "{body}");
    body.contains("44.2.0")
}

fn keeping(data_dir: &Path) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.data_dir = data_dir.into();
        settings.catalog.keep_copy = true;
    }
}

fn ten_minutes(settings: &mut Settings) {
    settings.catalog.freeze_after = SignedDuration::from_mins(10);
}

/// A store with the stream, and a copy of it on disk, as of `START` and ten hours.
async fn kept(database: &Database, data_dir: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    opening().write(folder.path(), "stable");
    upstream::write(folder.path(), "streams/stable.json", "{\"stream\": \"stable\", \"architectures\": {}}");
    assert!(import(&database.url, folder.path()).status.success());
    let server = Server::start_with(database, keeping(data_dir)).await;
    server.at(START + 10 * HOUR);
    let note = || std::fs::read_to_string(data_dir.join("catalog/heard")).unwrap_or_default();
    eventually("it is kept that the store was heard of then", async || note().contains("2026-09-22T00:13:20Z")).await;
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
async fn it_starts_without_its_database_and_shares_stand_still() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let answers = kept(&database, folder.path()).await;
    let server = Server::start_alone(folder.path(), START + 10 * HOUR, ten_minutes);
    for (path, answer) in PATHS.iter().zip(&answers) {
        assert_eq!(server.get(path).await, (200, answer.clone()), "{path}");
    }
    let readiness = server.readiness().await;
    assert_eq!(
        (&readiness["ready"], &readiness["detail"]),
        (&json!(true), &json!("answering from the copy on disk, the database is away"))
    );
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "1");
    // A tenth was open when the store was last heard of; an hour later, without a word, hardly more is.
    server.at(START + 40 * HOUR);
    assert!(is_open(&server, 0.09).await && !is_open(&server, 0.11).await);
    assert_eq!(server.readiness().await["frozen"], json!(true));
    assert_eq!(server.metric("lockkeeper_catalog_frozen").await, "1");
    server.stop().await;

    // Heard of again, time goes on.
    let server = Server::start_with(&database, |settings| {
        keeping(folder.path())(settings);
        ten_minutes(settings);
    })
    .await;
    server.at(START + 40 * HOUR);
    eventually("it is heard of", async || server.readiness().await["frozen"] == json!(false)).await;
    assert!(is_open(&server, 0.39).await && !is_open(&server, 0.41).await);
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "0");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_though_the_private_database_cannot_start() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    kept(&database, folder.path()).await;
    let server = Server::start_alone(folder.path(), START, |settings| {
        settings.database.url = None;
        settings.database.postgres_bin = Some(folder.path().into());
    });
    // A service that ends does so within a few of these.
    for _ in 0..300 {
        assert_eq!(server.get(PATHS[0]).await.0, 200);
    }
    assert_eq!(server.metric("lockkeeper_catalog_from_disk").await, "1");
    server.stop().await;
    // With nothing to serve, the reason is told and it ends.
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
async fn a_copy_that_is_not_what_was_written_is_not_served() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    kept(&database, folder.path()).await;
    let file = folder.path().join("catalog/catalog");
    let good = std::fs::read(&file).unwrap();
    for (what, at) in
        [("the format", 3), ("the text", 60), ("the documents", good.len() - 200), ("the hash", good.len() - 1)]
    {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let server = Server::start_alone(folder.path(), START, |_| {});
        assert_eq!(server.get(PATHS[0]).await.0, 503, "{what}");
        server.stop().await;
    }
    // Another program's is told from a damaged one, whatever its hash.
    let text = String::from_utf8_lossy(&good[..40]).lines().next().unwrap().to_owned();
    let mut other = good[..good.len() - 32].to_vec();
    other[text.len() - 1] += 1;
    let hash = lockkeeper::domain::hash::ContentHash::of(&other);
    other.extend_from_slice(&hash.0);
    std::fs::write(&file, other).unwrap();
    let copy = DiskCopy::open(&folder.path().join("catalog")).unwrap();
    assert!(matches!(copy.read(), Err(CopyError::Format)));
    drop(copy);
    for left in [0, 10, good.len() / 2, good.len() - 1] {
        std::fs::write(&file, &good[..left]).unwrap();
        let server = Server::start_alone(folder.path(), START, |_| {});
        assert_eq!(server.get(PATHS[0]).await.0, 503, "{left} bytes");
        server.stop().await;
    }
    std::fs::write(&file, good).unwrap();
    let server = Server::start_alone(folder.path(), START, |_| {});
    assert_eq!(server.get(PATHS[0]).await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_another_store_is_forgotten() {
    let (database, other, folder) = (Database::new().await, Database::new().await, tempfile::tempdir().unwrap());
    kept(&database, folder.path()).await;
    let upstreams = tempfile::tempdir().unwrap();
    upstream::plain(2).write(upstreams.path(), "next");
    assert!(import(&other.url, upstreams.path()).status.success());
    let server = Server::start_with(&other, keeping(folder.path())).await;
    server.shows("fedora-coreos/next", 1).await;
    assert_eq!(server.get(PATHS[0]).await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lags_behind_takes_nothing_back() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let upstreams = tempfile::tempdir().unwrap();
    for (count, stream) in [(1, "next"), (2, "next"), (3, "stable")] {
        upstream::plain(count).write(upstreams.path(), stream);
        assert!(import(&database.url, upstreams.path()).status.success());
    }
    let server = Server::start_with(&database, keeping(folder.path())).await;
    // As of a replica that has not got that far: neither the second state of one nor the other at all.
    let mut connection = database.connection().await;
    for statement in [
        "delete from revision_sources where number > 1 or stream_id = (select id from streams where name = 'stable')",
        "delete from revisions where number > 1 or stream_id = (select id from streams where name = 'stable')",
        "update streams set revision = 1 where name = 'next'",
        "update streams set revision = 0 where name = 'stable'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let heard_at = server.readiness().await["heard_at"].clone();
    server.at(START + HOUR);
    // Whoever asks, asks again and again: after the third time, it has seen all of it.
    let asked =
        "select count(*) from pg_stat_activity where application_name = 'lockkeeper' and pid <> pg_backend_pid()
        and datname = current_database() and query_start > $1";
    for _ in 0..3 {
        let now: jiff_sqlx::Timestamp =
            sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await.unwrap();
        let mut asking = database.connection().await;
        loop {
            let count: i64 = sqlx::query_scalar(asked).bind(now).fetch_one(&mut asking).await.unwrap();
            if count > 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(server.readiness().await["heard_at"], heard_at, "it does not tell what was paused since");
    assert_eq!(server.revision("fedora-coreos/next").await, Some(2));
    assert_eq!(server.revision("fedora-coreos/stable").await, Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_a_change_shows_all_the_same() {
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
fn the_folder_of_the_copy_is_closed_to_others_and_what_it_is_in_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mode) =
        (folder.path().join("data"), |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777);
    std::fs::create_dir(folder.path().join("like")).unwrap();
    for _ in 0..2 {
        DiskCopy::open(&data.join("catalog")).unwrap();
        assert_eq!(mode(&data), mode(&folder.path().join("like")));
        assert_eq!(mode(&data.join("catalog")), 0o700);
    }
}

#[test]
fn when_the_process_that_keeps_the_copy_ends_another_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let open = || DiskCopy::open(&folder.path().join("catalog")).unwrap();
    let (first, second) = (open(), open());
    assert!(first.is_ours() && !first.was_taken_over());
    assert!(!second.is_ours());
    drop(first);
    assert!(second.is_ours() && second.was_taken_over(), "what was kept until then was another's");
    assert!(second.is_ours() && !second.was_taken_over());
}
