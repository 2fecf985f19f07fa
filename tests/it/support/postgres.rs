//! A PostgreSQL server for all tests, and a database for each test.

use lockkeeper::{
    config::DatabaseSettings,
    store::{Store, database::Address},
    telemetry::Metrics,
};
use sqlx::{Connection, PgConnection};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Returns the URL of the server that `make test` has started, or of one that is started here and ends with this process.
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

/// Starts PostgreSQL with `database exec`, which runs it while its command runs. The command runs until its standard input is closed,
/// however this process ends.
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

/// A database that is dropped at the end of the test.
pub(crate) struct Database {
    name: String,
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

    /// Returns connections that bypass the store, for checks and preparations.
    pub(crate) async fn pool(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.url).await.unwrap()
    }

    pub(crate) fn settings(&self) -> DatabaseSettings {
        DatabaseSettings { url: Some(self.url.clone()), ..DatabaseSettings::default() }
    }

    /// Returns a store with an up-to-date schema.
    pub(crate) async fn store(&self) -> Store {
        let store = self.store_without_migration();
        store.migrate().await.unwrap();
        store
    }

    /// Returns a store without migrating the schema.
    pub(crate) fn store_without_migration(&self) -> Store {
        Store::open(&Address::parse(&self.url).unwrap(), &self.settings(), Metrics::off())
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        // Uses its own runtime: the test's may be shutting down.
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(admin(&statement));
        });
        let dropped = thread.join();
        // A panic during a panic would hide the first one.
        assert!(dropped.is_ok() || std::thread::panicking(), "database {} could not be dropped", self.name);
    }
}

async fn admin(statement: &str) {
    let mut connection = PgConnection::connect(server_url()).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
