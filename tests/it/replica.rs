//! A service on a PostgreSQL standby, which allows no writes and no notifications, still serves changes.

use crate::support::{
    eventually,
    manager::{Desk, Manager},
    postgres::Database,
    program::import,
    server::Server,
    upstream,
};
use sqlx::{Connection, PgConnection};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A hot standby of the tests' PostgreSQL server. It is stopped when this is dropped.
struct Standby {
    folder: tempfile::TempDir,
    programs: PathBuf,
    account: Option<(u32, u32)>,
}

impl Standby {
    async fn start(database: &Database) -> Self {
        let mut connection = database.connection().await;
        let programs: String = sqlx::query_scalar("select setting from pg_config() where name = 'BINDIR'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let sockets: String = sqlx::query_scalar("select current_setting('unix_socket_directories')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open_to_all).unwrap();
        // Uses the account of the server: PostgreSQL's programs refuse to run as root.
        let owner = std::fs::metadata(&sockets).unwrap();
        let owner = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
        let account = Some(owner).filter(|_| rustix::process::geteuid().is_root());
        let standby = Self { folder, programs: programs.into(), account };
        let data = standby.data();
        run(standby
            .program("pg_basebackup")
            .args(["-h", &sockets, "-U", "lockkeeper", "-R", "-X", "stream", "-c", "fast", "-D"])
            .arg(&data));
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c hot_standby=on",
            standby.folder.path().display()
        );
        let log = standby.folder.path().join("log");
        run(standby.program("pg_ctl").arg("-D").arg(&data).args(["start", "-w", "-s", "-o", &options, "-l"]).arg(log));
        standby
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir("/");
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    /// Returns the URL of a database on the standby.
    fn url(&self, database: &Database) -> String {
        let name = database.url.split("postgresql:///").nth(1).unwrap().split('?').next().unwrap().to_owned();
        format!("postgresql:///{name}?host={}&port=5432&user=lockkeeper&sslmode=disable", path(self.folder.path()))
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", crate::support::program::text(&output.stderr));
}

fn path(folder: &Path) -> String {
    folder.display().to_string()
}

impl Drop for Standby {
    fn drop(&mut self) {
        let stopped =
            self.program("pg_ctl").arg("-D").arg(self.data()).args(["stop", "-m", "immediate", "-s"]).status();
        // A panic during a panic would hide the first one.
        assert!(stopped.is_ok_and(|status| status.success()) || std::thread::panicking(), "the standby did not stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_replica_is_followed_by_polling() {
    let database = Database::new().await;
    drop(database.store().await);
    let upstreams = tempfile::tempdir().unwrap();
    upstream::plain(1).write(upstreams.path(), "stable");
    assert!(import(&database.url, upstreams.path()).status.success());
    let standby = Standby::start(&database).await;
    let url = standby.url(&database);
    let is_replica: bool = sqlx::query_scalar("select pg_is_in_recovery()")
        .fetch_one(&mut PgConnection::connect(&url).await.unwrap())
        .await
        .unwrap();
    assert!(is_replica);
    let server = Server::start_with(&database, |settings| settings.database.url = Some(url)).await;
    server.shows("fedora-coreos/stable", 1).await;
    // Events come from a process that may write.
    let writing = Server::start(&database).await;
    let viewer = Desk::new(&writing, &database).manager("viewer", "*").await;
    let reader = Manager::with(&server, viewer.token.as_deref());
    let events = "/api/v1/events?follow=false&after=1";
    eventually("the replica has events", async || reader.get(events).await.status == 200).await;
    upstream::plain(2).write(upstreams.path(), "stable");
    assert!(import(&database.url, upstreams.path()).status.success());
    server.shows("fedora-coreos/stable", 2).await;
    eventually("the replica has the event", async || {
        reader
            .get(events)
            .await
            .text
            .contains("\"kind\":\"revision\",\"product\":\"fedora-coreos\",\"stream\":\"stable\",\"revision\":2")
    })
    .await;
    writing.stop().await;
    server.stop().await;
}
