//! The program writes files atomically, reads them within limits, and tolerates other files next to them.

use crate::support::{
    postgres::Database,
    program::{import, lockkeeper, text},
    upstream,
};
use lockkeeper::{
    auth::SigningKey,
    catalog::{Catalog, SnapshotStore},
};
use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio};

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn leftovers_beside_a_signing_key_do_not_block_it() {
    let folder = tempfile::tempdir().unwrap();
    // Leftovers of earlier versions that were killed; in a container the pid is the same each time.
    let pid = std::process::id();
    for name in [format!("signing-key.{pid}.unfinished"), "signing-key.unfinished".into(), "signing-key.pem.tmp".into()]
    {
        std::fs::write(folder.path().join(&name), "half a key").unwrap();
        std::fs::create_dir(folder.path().join(format!("{name}.folder"))).unwrap();
    }
    let path = folder.path().join("signing-key.pem");
    let key = SigningKey::open(&path).unwrap();
    assert_eq!(SigningKey::open(&path).unwrap().kid, key.kid);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_create_a_key_at_once_use_the_same_key() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    database.store().await;
    let create = |number: usize| {
        let mut command = lockkeeper();
        command.args(["token", "create", "--role", "viewer", "--streams", "*", "--expires-in", "1h", "--name"]);
        command.arg(format!("number {number}")).arg("--data-dir").arg(folder.path());
        command.env("DATABASE_URL", &database.url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(create).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let keys: Vec<(String, i64)> = sqlx::query_as("select kid, count(*) from tokens group by kid")
        .fetch_all(&mut database.connection().await)
        .await
        .unwrap();
    let key = SigningKey::open(&folder.path().join("signing-key.pem")).unwrap();
    assert_eq!(keys, [(key.kid, 8)]);
    assert_eq!(names(folder.path()), ["signing-key.pem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_beside_exports_and_backups_do_not_block_them() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    // Earlier versions used temporary files with these names.
    let out = folder.path().join("out");
    for name in ["updates/stable.unfinished", "prod/streams/stable/releases.unfinished"] {
        std::fs::create_dir_all(out.join(name)).unwrap();
    }
    let exported =
        lockkeeper().args(["export", "fcos", "--to"]).arg(&out).env("DATABASE_URL", &database.url).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    assert_eq!(names(&out.join("updates")), ["stable.json", "stable.unfinished"]);
    let backup = lockkeeper()
        .args(["backup", "--to"])
        .arg(out.join("store.backup"))
        .env("DATABASE_URL", &database.url)
        .output()
        .unwrap();
    assert!(backup.status.success(), "{}", text(&backup.stderr));
    assert!(!names(&out).iter().any(|name| name.contains("unfinished")), "{:?}", names(&out));
}

#[test]
fn the_snapshot_store_removes_leftovers_of_a_killed_writer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("catalog.unfinished")).unwrap();
    std::fs::write(folder.path().join(".catalog.AbCdEf.unfinished"), "half").unwrap();
    let store = SnapshotStore::open(folder.path()).unwrap();
    store.save_contact("store", jiff::Timestamp::UNIX_EPOCH).unwrap();
    store.save(&Catalog::default(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(names(folder.path()), ["catalog.unfinished", "heard", "lock"]);
    // Only the process that writes removes anything.
    std::fs::write(folder.path().join(".catalog.AbCdEf.unfinished"), "half").unwrap();
    let reader = SnapshotStore::open(folder.path()).unwrap();
    assert!(!reader.is_writer());
    assert!(folder.path().join(".catalog.AbCdEf.unfinished").exists());
}
