//! The private cluster itself: made once, started when it is needed, shared, stopped by the last who used it.
//!
//! Whoever uses it holds a shared lock on `users.lock`; starting and stopping happen under `turn.lock`; the server's own
//! processes hold `server.lock`. Locks go with their process however that ends, so that a kill leaves nothing to tidy up.

use super::{EmbeddedError, account::Account, binaries::Binaries, place::Place};
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

/// The database and its owner.
const NAME: &str = "lockkeeper";
/// How long a start may take, in seconds: recovery after a crash is part of it.
const START_SECONDS: &str = "120";
const MOST_TRIES: u32 = 480;
/// How long an answer to a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How often to look whether a server that says nothing is gone.
const SILENT_TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
/// How often to look whether it is our turn.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A running private PostgreSQL, in use by this process until [`Cluster::leave`].
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    place: Place,
    users: File,
}

impl Cluster {
    /// Makes the cluster if there is none, starts it if it is not running, and counts this process as a user.
    ///
    /// # Errors
    /// PostgreSQL is not there, too old, in use out of reach, or does not start.
    pub async fn join(data_dir: &Path, postgres_bin: Option<&Path>) -> Result<Self, EmbeddedError> {
        let account = Account::choose()?;
        let place = Place::prepare(data_dir, account).await?;
        let made_by = std::fs::read_to_string(place.cluster().join("PG_VERSION")).ok();
        let wanted = made_by.as_ref().and_then(|version| version.trim().parse().ok());
        let binaries = Binaries::find(postgres_bin, wanted).map_err(|error| match (error, &made_by) {
            (EmbeddedError::NotInstalled, Some(version)) => {
                EmbeddedError::OtherVersion { folder: place.cluster(), made_by: version.trim().into() }
            }
            (error, _) => error,
        })?;
        let users = open_lock(&place.base.join("users.lock"))?;
        let cluster = Self { binaries, account, place, users };
        match cluster.ensure_running().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // What was started for us alone is not left behind; the first error is the one that tells.
                let _ = cluster.leave().await;
                Err(error)
            }
        }
    }

    /// Starts it again if it is not running, as after a crash.
    ///
    /// # Errors
    /// It does not start.
    pub async fn ensure_running(&self) -> Result<(), EmbeddedError> {
        let turn = self.take_turn().await?;
        if self.connect("postgres").await.is_none() {
            self.start_if_nobody_has().await?;
        }
        self.users.lock_shared().map_err(EmbeddedError::io("could not lock", &self.place.base))?;
        self.make_database().await?;
        drop(turn);
        Ok(())
    }

    /// It does not answer here. That it runs all the same, or still ends, out of reach in another container on these files,
    /// would be the end of them if another was started. A server holds `server.lock` as long as one of its processes lives:
    /// only who gets that lock starts one, and hands it on.
    async fn start_if_nobody_has(&self) -> Result<(), EmbeddedError> {
        self.users.lock_shared().map_err(EmbeddedError::io("could not lock", &self.place.base))?;
        let path = self.place.base.join("server.lock");
        let lock = open_lock(&path)?;
        let mut silent = 0;
        for _ in 0..MOST_TRIES {
            if lock.try_lock().is_ok() {
                self.make().await?;
                return self.start(lock).await;
            }
            match self.try_connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(error) if is_starting(&error) => {}
                // After a kill its processes need a moment to notice.
                Err(_) if silent < SILENT_TRIES => silent += 1,
                Err(_) => break,
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Err(EmbeddedError::OutOfReach(self.place.cluster()))
    }

    /// Stops being a user; the last one stops the cluster.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn leave(self) -> Result<(), EmbeddedError> {
        let _turn = self.take_turn().await?;
        let unlock = EmbeddedError::io("could not unlock", &self.place.base);
        self.users.unlock().map_err(unlock)?;
        if self.users.try_lock().is_err() || !self.is_alive().await {
            return Ok(());
        }
        self.pg_ctl(&["stop", "-m", "fast", "-w", "-t", START_SECONDS]).await?;
        // A folder that somebody put something into stays.
        let _ = std::fs::remove_dir(&self.place.socket);
        Ok(())
    }

    /// Is there a server process, answering or not?
    async fn is_alive(&self) -> bool {
        self.pg_ctl(&["status"]).await.is_ok()
    }

    /// Its URL, which every PostgreSQL client understands. It says all that the environment could say otherwise.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql:///{NAME}?host={}&port=5432&user={NAME}&sslmode=disable", self.place.socket.display())
    }

    async fn take_turn(&self) -> Result<File, EmbeddedError> {
        let path = self.place.base.join("turn.lock");
        let turn = open_lock(&path)?;
        // Not a thread that waits for the lock: who is told to stop must be able to give up.
        loop {
            match turn.try_lock() {
                Ok(()) => return Ok(turn),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN_LOOKS).await,
                Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("could not lock", path)(error)),
            }
        }
    }

    /// Makes the cluster beside its place and moves it there: a kill leaves either all of it or none.
    async fn make(&self) -> Result<(), EmbeddedError> {
        let cluster = self.place.cluster();
        if cluster.join("PG_VERSION").is_file() {
            return Ok(());
        }
        let unfinished = self.place.base.join("cluster.new");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(EmbeddedError::io("could not remove", &unfinished))?;
        }
        let mut initdb = self.account.command(self.binaries.program("initdb"));
        initdb
            .args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--data-checksums"])
            .arg("--pgdata")
            .arg(&unfinished);
        run("initdb", initdb).await?;
        std::fs::rename(&unfinished, &cluster).map_err(EmbeddedError::io("could not move", unfinished))
    }

    async fn start(&self, lock: File) -> Result<(), EmbeddedError> {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c unix_socket_permissions=0700 -c port=5432 \
             -c fsync=on -c full_page_writes=on -c max_connections=100 -c shared_buffers=64MB -c logging_collector=off",
            self.place.socket.display()
        );
        let log = self.place.log();
        let log = log.to_string_lossy();
        // Its processes inherit the lock. Ours is closed with this function: theirs stays.
        rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())
            .map_err(|error| EmbeddedError::io("could not hand on the lock of", &self.place.base)(error.into()))?;
        for _ in 1..SILENT_TRIES {
            self.forget_reused_pid();
            // The last of a killed one may go while this looks.
            if self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await
    }

    /// After a kill the pid file stays, and its number may by now be somebody else's, which PostgreSQL would respect for ever.
    /// A server works in the folder of its cluster.
    fn forget_reused_pid(&self) {
        let cluster = self.place.cluster();
        let file = cluster.join("postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&file) else { return };
        let Some(pid) = text.lines().next() else { return };
        let told = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let is_another = match std::fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) => folder != cluster,
            // A dead one may wait long for somebody to take note of it.
            Err(_) => {
                told("stat").is_ok_and(|stat| stat.contains(") Z "))
                    || told("comm").is_ok_and(|name| !name.starts_with("postgres"))
            }
        };
        if is_another && std::fs::remove_file(&file).is_ok() {
            tracing::warn!(pid, "the pid file of the private PostgreSQL named what is no server of it and was removed");
        }
    }

    async fn pg_ctl(&self, arguments: &[&str]) -> Result<(), EmbeddedError> {
        let mut command = self.account.command(self.binaries.program("pg_ctl"));
        command.arg("-D").arg(self.place.cluster()).arg("-s").args(arguments);
        run("pg_ctl", command).await
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.place.socket)
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

    async fn make_database(&self) -> Result<(), EmbeddedError> {
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

/// Does it answer that it recovers, and that one should wait?
fn is_starting(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57P03")
}

fn open_lock(path: &PathBuf) -> Result<File, EmbeddedError> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    open.map_err(EmbeddedError::io("could not open", path))
}

/// Runs a program to its end. Its output goes to a file's worth of memory only if it closes it: a server that it starts must
/// not keep us waiting, so standard streams are not inherited by that (`pg_ctl -l`).
async fn run(program: &'static str, mut command: tokio::process::Command) -> Result<(), EmbeddedError> {
    let path = PathBuf::from(program);
    let output = command.output().await.map_err(EmbeddedError::io("could not run", path))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(EmbeddedError::Program { program, output: String::from_utf8_lossy(&said).trim().into() })
}
