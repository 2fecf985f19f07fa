//! The private cluster: created once, started on demand, shared by processes, stopped by the last one.
//!
//! Each process that uses it holds a shared lock on `users.lock`. Starting and stopping happen under `turn.lock`. The processes
//! of the server hold `server.lock`. The kernel releases locks when a process ends, so a kill needs no cleanup.

use super::{
    EmbeddedError,
    account::Account,
    binaries::Binaries,
    directory::{CLUSTER, DataDirectory, UNFINISHED},
};
use crate::files;
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// The name of the database and of its owner.
const NAME: &str = "lockkeeper";
/// How long a start may take, in seconds. It includes recovery after a crash.
const START_SECONDS: &str = "120";
const MAX_TRIES: u32 = 480;
/// How long a connection attempt may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How often to check whether an unresponsive server has ended.
const SILENT_TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
/// The largest size of a file below `/proc/<pid>` that is read, in bytes.
const MAX_PROCESS_BYTES: u64 = 64 << 10;
/// The pause between two attempts to lock `turn.lock`.
const BETWEEN_LOCK_TRIES: Duration = Duration::from_millis(20);

/// A running private PostgreSQL, in use by this process until [`Cluster::leave`].
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    directory: DataDirectory,
    users: File,
}

impl Cluster {
    /// Creates the cluster if it does not exist, starts it if it is not running, and registers this process as a user.
    ///
    /// # Errors
    /// PostgreSQL is not installed, too old, in use by an unreachable server, or does not start.
    pub async fn join(data_dir: &Path, postgres_bin: Option<&Path>) -> Result<Self, EmbeddedError> {
        let account = Account::choose()?;
        let directory = DataDirectory::prepare(data_dir, account).await?;
        let made_by = directory.made_by()?;
        let binaries = Binaries::find(postgres_bin, made_by).map_err(|error| match (error, made_by) {
            (EmbeddedError::NotInstalled, Some(made_by)) => {
                EmbeddedError::OtherVersion { folder: directory.cluster(), made_by }
            }
            (error, _) => error,
        })?;
        let users = open_lock(&directory, "users.lock")?;
        let cluster = Self { binaries, account, directory, users };
        match cluster.ensure_running().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // Stops a server that was started for this process only. The first error is the informative one.
                let _ = cluster.leave().await;
                Err(error)
            }
        }
    }

    /// Starts the server if it is not running, for example after a crash.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn ensure_running(&self) -> Result<(), EmbeddedError> {
        let turn = self.take_turn().await?;
        if self.connect("postgres").await.is_none() {
            self.start_unless_running().await?;
        }
        self.users.lock_shared().map_err(EmbeddedError::io("cannot lock", self.directory.base.path()))?;
        self.ensure_database().await?;
        drop(turn);
        Ok(())
    }

    /// Starts the server unless another process has done so. A second server on the same files would destroy them, and the first
    /// one may run, or still be ending, unreachable in another container. A server holds `server.lock` as long as one of its
    /// processes lives, so only the process that gets the lock starts a server, which inherits it.
    async fn start_unless_running(&self) -> Result<(), EmbeddedError> {
        self.users.lock_shared().map_err(EmbeddedError::io("cannot lock", self.directory.base.path()))?;
        let lock = open_lock(&self.directory, "server.lock")?;
        let mut silent = 0;
        for _ in 0..MAX_TRIES {
            if lock.try_lock().is_ok() {
                self.create_cluster().await?;
                return self.start(lock).await;
            }
            match self.try_connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(error) if is_starting(&error) => {}
                // After a kill, the remaining processes of the server take a moment to end.
                Err(_) if silent < SILENT_TRIES => silent += 1,
                Err(_) => break,
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Err(EmbeddedError::OutOfReach(self.directory.cluster()))
    }

    /// Ends this process's use; the last user stops the cluster.
    ///
    /// # Errors
    /// The server does not stop.
    pub async fn leave(self) -> Result<(), EmbeddedError> {
        let _turn = self.take_turn().await?;
        let unlock = EmbeddedError::io("cannot unlock", self.directory.base.path());
        self.users.unlock().map_err(unlock)?;
        if self.users.try_lock().is_err() || !self.is_alive().await {
            return Ok(());
        }
        self.pg_ctl(&["stop", "-m", "fast", "-w", "-t", START_SECONDS]).await?;
        self.directory.remove_socket();
        Ok(())
    }

    /// Returns true if a server process exists, responsive or not.
    async fn is_alive(&self) -> bool {
        self.pg_ctl(&["status"]).await.is_ok()
    }

    /// Returns the URL for any PostgreSQL client. It sets everything that environment variables could change.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql:///{NAME}?host={}&port=5432&user={NAME}&sslmode=disable", self.directory.socket.display())
    }

    async fn take_turn(&self) -> Result<File, EmbeddedError> {
        let turn = open_lock(&self.directory, "turn.lock")?;
        // Polls instead of blocking a thread on the lock, so that a stop signal can cancel the wait.
        loop {
            match turn.try_lock() {
                Ok(()) => return Ok(turn),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN_LOCK_TRIES).await,
                Err(TryLockError::Error(error)) => {
                    return Err(EmbeddedError::io("cannot lock", self.directory.base.path())(error));
                }
            }
        }
    }

    /// Creates the cluster under a temporary name and renames it, so that a kill leaves all of it or nothing.
    async fn create_cluster(&self) -> Result<(), EmbeddedError> {
        if self.directory.read("PG_VERSION")?.is_some() {
            return Ok(());
        }
        let base = &self.directory.base;
        let unfinished = base.path().join(UNFINISHED);
        if base.has(UNFINISHED).map_err(EmbeddedError::io("cannot read", &unfinished))? {
            // Removed as the account that owns the folder: a link in it cannot delete anything that the account may not.
            let mut remove = self.account.command("rm");
            remove.arg("-rf").arg("--").arg(&unfinished);
            run("rm", remove).await?;
        }
        let mut initdb = self.account.command(self.binaries.program("initdb"));
        initdb
            .args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--data-checksums"])
            .arg("--pgdata")
            .arg(&unfinished);
        run("initdb", initdb).await?;
        base.rename(UNFINISHED, CLUSTER).map_err(EmbeddedError::io("cannot move", unfinished))
    }

    async fn start(&self, lock: File) -> Result<(), EmbeddedError> {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c unix_socket_permissions=0700 -c port=5432 \
             -c fsync=on -c full_page_writes=on -c max_connections=100 -c shared_buffers=64MB -c logging_collector=off",
            self.directory.socket.display()
        );
        let log = self.directory.log();
        let log = log.to_string_lossy();
        // The server's processes inherit the lock and keep it when this function closes its own descriptor.
        rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty()).map_err(|error| {
            EmbeddedError::io("cannot pass on the lock of", self.directory.base.path())(error.into())
        })?;
        for _ in 1..SILENT_TRIES {
            self.remove_stale_pid_file();
            // A process of a killed server may still be ending.
            if self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await
    }

    /// Removes a stale pid file. After a kill the file stays, its pid may belong to another program by now, and PostgreSQL would
    /// never start. The working directory of a server is its cluster's folder, which shows whether the pid is that of a server of this cluster.
    fn remove_stale_pid_file(&self) {
        const FILE: &str = "postmaster.pid";
        let Ok(Some(text)) = self.directory.read(FILE) else { return };
        let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return };
        let process = PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| files::read_text(&process.join(name), MAX_PROCESS_BYTES);
        let is_another = match std::fs::read_link(process.join("cwd")) {
            Ok(folder) => folder != self.directory.cluster(),
            // A dead process may stay a zombie for long.
            Err(_) => {
                read("stat").is_ok_and(|stat| stat.contains(") Z "))
                    || read("comm").is_ok_and(|name| !name.starts_with("postgres"))
            }
        };
        if is_another && self.directory.remove(FILE).is_ok() {
            tracing::warn!(pid, "removed stale pid file of the private PostgreSQL");
        }
    }

    async fn pg_ctl(&self, arguments: &[&str]) -> Result<(), EmbeddedError> {
        let mut command = self.account.command(self.binaries.program("pg_ctl"));
        command.arg("-D").arg(self.directory.cluster()).arg("-s").args(arguments);
        run("pg_ctl", command).await
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.directory.socket)
            .port(5432)
            .username(NAME)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    async fn connect(&self, database: &str) -> Option<PgConnection> {
        self.try_connect(database).await.ok()
    }

    async fn try_connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = self.options(database);
        let connection = tokio::time::timeout(CONNECT_TIME, PgConnection::connect_with(&options)).await;
        connection.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn ensure_database(&self) -> Result<(), EmbeddedError> {
        let failed =
            |error: sqlx::Error| EmbeddedError::Program { program: "create database", output: error.to_string() };
        let mut connection = PgConnection::connect_with(&self.options("postgres")).await.map_err(failed)?;
        let exists = sqlx::query_scalar!(
            r#"-- name: database_exists
            select exists (select from pg_database where datname = $1) as "exists!""#,
            NAME
        )
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
        if !exists {
            sqlx::query("create database lockkeeper").execute(&mut connection).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)
    }
}

/// Returns true if the server answers that it is still starting or recovering.
fn is_starting(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57P03")
}

fn open_lock(directory: &DataDirectory, name: &str) -> Result<File, EmbeddedError> {
    directory.base.lock_file(name).map_err(EmbeddedError::io("cannot open", directory.base.path().join(name)))
}

/// Runs a program and waits until it has ended and closed its output. A server that it starts must not inherit standard streams,
/// which would keep the output open (hence `pg_ctl -l`).
async fn run(program: &'static str, mut command: tokio::process::Command) -> Result<(), EmbeddedError> {
    let path = PathBuf::from(program);
    let output = command.output().await.map_err(EmbeddedError::io("cannot run", path))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(EmbeddedError::Program { program, output: lines.join("; ") })
}
