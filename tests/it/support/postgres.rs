//! A PostgreSQL for the whole run, and a database for each test.

use lockkeeper::{
    config::DatabaseSettings,
    store::{Store, database::Address},
    telemetry::Metrics,
};
use sqlx::{Connection, PgConnection};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The server's URL: one that `make test` started, or one that runs until this process ends, however it does.
fn server_url() -> &'static str {
    static URL: OnceLock<(String, Option<Child>)> = OnceLock::new();
    let (url, _) = URL.get_or_init(|| {
        if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            (url, None)
        } else {
            let (url, holder) = start_server();
            (url, Some(holder))
        }
    });
    url
}

/// `database exec` runs PostgreSQL as long as its command runs, and that as long as its standard input is open.
fn start_server() -> (String, Child) {
    let data_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres");
    let mut holder = super::program::lockkeeper()
        .args(["database", "exec", "--data-dir"])
        .arg(data_dir)
        .args(["--", "sh", "-c", "echo \"$DATABASE_URL\"; exec cat >/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(!url.is_empty(), "PostgreSQL did not start");
    (url.trim().to_owned(), holder)
}

/// A database that goes with the test.
pub(crate) struct Database {
    name: String,
    /// Its URL.
    pub(crate) url: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("it_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        admin(&format!("create database {name}")).await;
        let url = server_url().replacen("/lockkeeper?", &format!("/{name}?"), 1);
        assert_ne!(url, server_url(), "the server's URL names another database than lockkeeper");
        Self { name, url }
    }

    pub(crate) fn settings(&self) -> DatabaseSettings {
        DatabaseSettings { url: Some(self.url.clone()), ..DatabaseSettings::default() }
    }

    /// A store with an up-to-date schema.
    pub(crate) async fn store(&self) -> Store {
        let store = self.store_as_it_is();
        store.migrate().await.unwrap();
        store
    }

    /// A store with whatever schema there is.
    pub(crate) fn store_as_it_is(&self) -> Store {
        Store::open(&Address::parse(&self.url).unwrap(), &self.settings(), Metrics::off())
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        // A runtime of its own: this one may be going down.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(admin(&statement));
        });
        let _ = dropping.join();
    }
}

async fn admin(statement: &str) {
    let mut connection = PgConnection::connect(server_url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Somebody who kills processes.
pub(crate) fn kill_9(pid: i32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
}
