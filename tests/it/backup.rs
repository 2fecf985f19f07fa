//! Backups restore every scope byte for byte, and a damaged backup is never restored.

use crate::support::{
    ids,
    manager::{Desk, below, document, os},
    postgres::Database,
    program::{lockkeeper, text},
    server::Server,
    time::NOW,
};
use jiff::Timestamp;
use lockkeeper::{
    domain::stream::Revision,
    operate::{
        backup::{self, BackupError},
        backup_stream,
    },
    store::dump::{RestoreError, tables_of_migrations},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, process::Output};

/// A fixed time, so that two backups of one state are equal.
fn made_at() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn run(database: &Database, arguments: &[&str], file: &Path) -> Output {
    lockkeeper().args(arguments).arg(file).env("DATABASE_URL", &database.url).output().unwrap()
}

/// Returns the responses of every scope: without a payload, with several values of wariness, and for one node of each release.
async fn answers(server: &Server) -> BTreeMap<String, (u16, String)> {
    let mut answers = BTreeMap::new();
    for stream in ["fedora-coreos/stable", "fedora-coreos/testing", "fedora-coreos/next", "os/stable"] {
        let (product, stream) = stream.split_once('/').unwrap();
        for arch in ["x86_64", "aarch64", "ppc64le", "s390x"] {
            for scheme in ["false", "true"] {
                let scope = format!("/{product}/v1/graph?stream={stream}&basearch={arch}&oci={scheme}");
                let full = server.get(&scope).await;
                let graph: Value = serde_json::from_str(&full.1).unwrap();
                for wariness in ["0.0", "0.3", "0.7", "1.0"] {
                    let path = format!("{scope}&rollout_wariness={wariness}");
                    answers.insert(path.clone(), server.get(&path).await);
                }
                for node in graph["nodes"].as_array().into_iter().flatten() {
                    let payload = node["payload"].as_str().unwrap();
                    let path = format!("{scope}&rollout_wariness=0.5&os_checksum={}", payload.replace('+', "%2B"));
                    answers.insert(path.clone(), server.get(&path).await);
                }
                answers.insert(scope, full);
            }
        }
    }
    answers
}

/// Creates a database with the sample streams, a stream with all kinds of policies, tokens, and local changes.
async fn filled_database() -> (Database, BTreeMap<String, (u16, String)>) {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.streams_dir = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/streams").into());
    })
    .await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    admin.post_empty("/api/v1/products/os/streams/stable/emergency-stop").await;
    let described = json!({"protocol": "fedora-coreos", "description": "one line\nand another one"});
    admin.change(Method::PUT, "/api/v1/products/os", Some(&described)).await.ok();
    let preset = json!({"description": "half", "rollouts": [{"selector": {"groups": ["a\\b"]}, "start_share": 0.5}]});
    admin.change(Method::PUT, "/api/v1/products/os/presets/half", Some(&preset)).await.ok();
    let draft = json!({"version": "9.9", "notes": "one\ntwo\t\\. \u{1F512}",
        "payloads": [{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", 999)}]});
    admin.post("/api/v1/products/os/streams/stable/releases", &draft).await;
    let all = answers(&server).await;
    assert!(all.len() > 200, "{}", all.len());
    server.stop().await;
    (database, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_answers_every_scope_byte_for_byte() {
    let (database, before) = filled_database().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let written = backup::write(&database.store().await, &first, made_at()).await.unwrap();
    assert_eq!(backup::check(&first).unwrap(), written);

    let other = Database::new().await;
    let restored = run(&other, &["restore", "--from"], &first);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let server = Server::start(&other).await;
    let after = answers(&server).await;
    for (path, answer) in &before {
        assert_eq!(Some(answer), after.get(path), "{path}");
    }
    // Nothing else was lost: a backup of the restored database is equal.
    let again = backup::write(&other.store().await, &second, made_at()).await.unwrap();
    assert_eq!(again, written);
    let checked = lockkeeper().args(["database", "check"]).env("DATABASE_URL", &other.url).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    // The restored database accepts changes.
    let admin = Desk::new(&server, &other).manager("admin", "*").await;
    let token = admin.get("/api/v1/products/os/streams/stable").await.ok();
    let revision = token.body["revision"].as_i64().unwrap();
    admin
        .ask(
            reqwest::Method::DELETE,
            "/api/v1/products/os/streams/stable/emergency-stop?reason=over",
            &[("if-match", "*")],
            None,
        )
        .await
        .ok();
    server.shows("os/stable", revision + 1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_rejected_and_changes_nothing() {
    let (database, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (file, broken) = (folder.path().join("backup"), folder.path().join("broken"));
    backup::write(&database.store().await, &file, made_at()).await.unwrap();
    let store = other.store().await;
    let content = std::fs::read(&file).unwrap();
    for at in (0..content.len()).step_by(7) {
        let mut bytes = content.clone();
        bytes[at] ^= 0x20;
        std::fs::write(&broken, &bytes).unwrap();
        // Some bits of a compressed file have no effect.
        if backup::check(&broken).is_err() {
            backup::restore(&store, &broken, &|_, _| {}).await.unwrap_err();
        } else {
            assert_eq!(backup::check(&broken).unwrap(), backup::check(&file).unwrap(), "{at}");
        }
        std::fs::write(&broken, &content[..at]).unwrap();
        backup::check(&broken).unwrap_err();
    }
    // Lines that are missing, duplicated, or added after the end.
    let lines = String::from_utf8(zstd::decode_all(content.as_slice()).unwrap()).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let missing = [&lines[..1], &lines[2..]].concat();
    let duplicated = [&lines[..2], &lines[1..]].concat();
    let added = [&lines[..], &lines[..1]].concat();
    for lines in [missing, duplicated, added] {
        std::fs::write(&broken, zstd::encode_all((lines.join("\n") + "\n").as_bytes(), 3).unwrap()).unwrap();
        assert!(matches!(backup::restore(&store, &broken, &|_, _| {}).await, Err(BackupError::Damaged)));
    }
    std::fs::write(&broken, "something else").unwrap();
    backup::check(&broken).unwrap_err();
    assert_eq!(backup::restore(&store, &file, &|_, _| {}).await.unwrap(), backup::check(&file).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_other_programs_are_skipped_and_reported() {
    let (database, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let store = database.store().await;
    let (schema, tables) = {
        let mut transaction = store.begin_read("test").await.unwrap();
        (transaction.schema().await.unwrap(), transaction.tables().await.unwrap())
    };
    // The migrations create all tables.
    let created: Vec<String> = tables_of_migrations(&schema).unwrap().into_iter().collect();
    let mut named: Vec<String> = tables.into_iter().map(|table| table.table).collect();
    named.sort();
    assert_eq!(created, named);
    for statement in
        ["create table theirs (n int)", "insert into theirs values (1)", "create extension pg_stat_statements"]
    {
        // The extension may not be installed on this machine.
        let result = sqlx::query(statement).execute(&mut database.connection().await).await;
        assert!(result.is_ok() || statement.starts_with("create extension"), "{result:?}");
    }
    let kept = run(&database, &["backup", "--to"], &file);
    assert!(
        kept.status.success() && text(&kept.stdout).contains("skipped, not tables of Lockkeeper: theirs"),
        "{kept:?}"
    );
    let back = run(&other, &["restore", "--from"], &file);
    assert!(back.status.success(), "{}", text(&back.stderr));
    // A backup by a version that could not tell them apart contains them, and can be restored, too.
    let text_of =
        |file: &Path| String::from_utf8(zstd::decode_all(std::fs::read(file).unwrap().as_slice()).unwrap()).unwrap();
    let content = text_of(&file);
    let (rows, _) = content.rsplit_once("{\"sha256\"").unwrap();
    let rows = format!("{rows}{{\"table\":\"theirs\",\"columns\":[\"n\"]}}\n1\n\\.\n");
    let seal = format!("{{\"sha256\":\"{}\"}}\n", lockkeeper::domain::hash::ContentHash::from_content(rows.as_bytes()));
    let all = folder.path().join("all");
    std::fs::write(&all, zstd::encode_all((rows + &seal).as_bytes(), 3).unwrap()).unwrap();
    let third = Database::new().await;
    let back = run(&third, &["restore", "--from"], &all);
    assert!(
        back.status.success() && text(&back.stdout).contains("skipped, not tables of Lockkeeper: theirs"),
        "{back:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_data_and_files_are_not_overwritten() {
    let (database, _) = filled_database().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    assert!(run(&database, &["backup", "--to"], &file).status.success());
    let again = run(&database, &["backup", "--to"], &file);
    assert!(!again.status.success() && text(&again.stderr).contains("already exists"), "{}", text(&again.stderr));
    let onto = run(&database, &["restore", "--from"], &file);
    assert!(!onto.status.success() && text(&onto.stderr).contains("not empty"), "{}", text(&onto.stderr));
    assert!(run(&database, &["restore", "--check", "--from"], &file).status.success());
    let listed: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(listed, ["backup"]);
    // A database with tables of another program is not empty.
    let other = Database::new().await;
    sqlx::query("create table theirs ()").execute(&mut other.connection().await).await.unwrap();
    let onto = run(&other, &["restore", "--from"], &file);
    assert!(!onto.status.success() && text(&onto.stderr).contains("theirs"), "{}", text(&onto.stderr));
    let nothing = run(&Database::new().await, &["backup", "--to"], &folder.path().join("nothing"));
    assert!(!nothing.status.success() && text(&nothing.stderr).contains("no schema"), "{}", text(&nothing.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_migrated_and_a_newer_one_is_rejected() {
    let (old, new) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (file, newer) = (folder.path().join("old"), folder.path().join("newer"));
    // The schema before the audit log was added.
    let all = { new.store().await.begin_read("test").await.unwrap().schema().await.unwrap() };
    let (before, _) = all.split_at(7);
    let old_store = old.store_without_migration();
    old_store.prepare_restore(before).await.unwrap();
    let mut connection = old.connection().await;
    for statement in [
        "insert into products (name) values ('os')",
        "insert into streams (product_id, name, revision, arches) select id, 'stable', 1, '{x86_64}' from products",
        "insert into revisions select id, 1, '2026-01-01T00:00:00.123456Z', 'a', E'b\\n\\\\.\\n\\tc', null,
            '{\"format\": 1, \"product\": \"os\",  \"stream\": \"stable\", \"arches\": [\"x86_64\"]}' from streams",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    backup::write(&old_store, &file, made_at()).await.unwrap();
    // It can also be restored into a database that a newer version has migrated.
    let store = new.store().await;
    backup::restore(&store, &file, &|_, _| {}).await.unwrap();
    assert!(store.is_up_to_date().await.unwrap());
    let row: (String, String) = sqlx::query_as("select reason, document::text from revisions")
        .fetch_one(&mut new.connection().await)
        .await
        .unwrap();
    assert_eq!(row.0, "b\n\\.\n\tc");
    assert!(row.1.contains("\"os\",  \"stream\""), "{}", row.1);

    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (99990101000000, 'later', true, '', 0)")
        .execute(&mut new.connection().await)
        .await
        .unwrap();
    backup::write(&store, &newer, made_at()).await.unwrap();
    let refused = backup::restore(&Database::new().await.store_without_migration(), &newer, &|_, _| {}).await;
    assert!(matches!(refused, Err(BackupError::Restore(RestoreError::Newer(99_990_101_000_000)))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_is_restored_from_a_backup() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("backup");
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    for stream in ["stable", "next"] {
        admin.creates_stream(&document("os", stream)).await;
    }
    admin.change(Method::PATCH, &below("releases/1.3"), Some(&json!({"notes": "a\tb\n\\c"}))).await.ok();
    admin.post_empty(&below("releases/1.3/rollouts/1/abort")).await;
    let documents = async || {
        let mut documents = Vec::new();
        for stream in ["stable", "next"] {
            documents.push(admin.get(&format!("/api/v1/products/os/streams/{stream}/document")).await.ok().body);
        }
        documents
    };
    let saved = documents().await;
    backup::write(&database.store().await, &file, made_at()).await.unwrap();
    let (revision, stream) = backup_stream::read_stream(&file, &os("stable"), None).unwrap();
    assert_eq!((revision, stream.releases.len()), (Revision(3), 5));

    // Both streams change, and one of them is restored.
    for stream in ["stable", "next"] {
        let path = format!("/api/v1/products/os/streams/{stream}");
        admin.change(Method::POST, &format!("{path}/releases/1.4/publish?acknowledge=true"), None).await.ok();
        admin.change(Method::DELETE, &format!("{path}/releases/1.1/barrier?acknowledge=true"), None).await.ok();
    }
    let changed = documents().await;
    let arguments =
        ["document", "restore", "--product", "os", "--stream", "stable", "--reason", "lost", "--acknowledge", "--from"];
    let restore = |more: &[&str]| {
        let output =
            lockkeeper().args(arguments).arg(&file).args(more).env("DATABASE_URL", &database.url).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (done, preview, message) = restore(&["--dry-run"]);
    assert!(
        done && preview.contains("os/stable at revision 3") && preview.contains("would change"),
        "{preview}{message}"
    );
    assert_eq!(documents().await, changed);
    let (done, lines, message) = restore(&[]);
    assert!(done && lines.contains("os/stable: revision 6"), "{lines}{message}");
    let restored = documents().await;
    assert_eq!(restored[1], changed[1], "another stream does not change");
    // Nodes may run the release that was published since, so it stays, withdrawn. All else is as it was.
    let releases = |document: &Value, state: &str| {
        let mut all = document["releases"].as_array().unwrap().clone();
        for rollout in all.iter_mut().filter_map(|release| release.get_mut("rollouts")?.as_array_mut()).flatten() {
            // One whose start came in the meantime has opened.
            rollout.as_object_mut().unwrap().remove("first_opened");
        }
        all.into_iter().filter(|release| release["version"] != "1.4" || release["state"] == state).collect::<Vec<_>>()
    };
    assert_eq!(releases(&restored[0], "none"), releases(&saved[0], "none"));
    assert_eq!(releases(&restored[0], "withdrawn").len(), 5);
    let (done, lines, _) = restore(&["--revision", "1"]);
    assert!(done && lines.contains("at revision 1"), "{lines}");
    assert_eq!(admin.get(&below("releases/1.3/rollouts/1")).await.ok().body["state"], "running");
    let audit = admin.get("/api/v1/audit?product=os&stream=stable").await.ok().body;
    assert_eq!(
        (&audit["items"][0]["action"], &audit["items"][0]["reason"]),
        (&json!("stream.restore"), &json!("lost"))
    );

    for (more, expected) in
        [(["--revision", "9"], "the backup has no revision 9 of os/stable"), (["--revision", "x"], "invalid value")]
    {
        let (done, _, message) = restore(&more);
        assert!(!done && message.contains(expected), "{message}");
    }
    let none = backup_stream::read_stream(&file, &os("none"), None).unwrap_err().to_string();
    assert_eq!(none, "the backup has no stream os/none");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 5;
    bytes.truncate(last);
    std::fs::write(&file, &bytes).unwrap();
    assert!(!restore(&[]).0, "a damaged backup restores nothing");
    server.stop().await;
}
