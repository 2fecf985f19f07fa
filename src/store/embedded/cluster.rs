//! The private cluster itself: made once, started when it is needed, shared, stopped by the last who used it.
//!
//! Whoever uses it holds a shared lock on `users.lock`; starting and stopping happen under `turn.lock`. Locks go with their
//! process however that ends, so that a kill leaves nothing to tidy up.

use super::{EmbeddedError, account::Account, binaries::Binaries, place::Place};
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

/// The database and its owner.
const NAME: &str = "lockkeeper";
/// How long a start may take: recovery after a crash is part of it.
const START_SECONDS: &str = "120";
/// How long an answer to a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// After the postmaster was killed, its children need a moment to notice, and until then no other can start.
const START_TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

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

    /// It does not answer here. That it runs all the same, out of reach in another container on these files, would be the end
    /// of them if another was started: only who is alone, or knows that it ran here and is gone, may.
    async fn start_if_nobody_has(&self) -> Result<(), EmbeddedError> {
        let alone = self.users.try_lock().is_ok();
        let ran_here = std::fs::read_to_string(self.place.started_in()).is_ok_and(|there| there == here());
        self.users.lock_shared().map_err(EmbeddedError::io("could not lock", &self.place.base))?;
        if !alone && !ran_here {
            return Err(EmbeddedError::OutOfReach(self.place.cluster()));
        }
        self.make().await?;
        self.start().await
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
        let locked = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await;
        locked
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(EmbeddedError::io("could not lock", path))
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

    async fn start(&self) -> Result<(), EmbeddedError> {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c unix_socket_permissions=0700 -c port=5432 \
             -c fsync=on -c full_page_writes=on -c max_connections=100 -c shared_buffers=64MB -c logging_collector=off",
            self.place.socket.display()
        );
        let log = self.place.log();
        let log = log.to_string_lossy();
        let started_in = self.place.started_in();
        std::fs::write(&started_in, here()).map_err(EmbeddedError::io("could not write", started_in))?;
        for _ in 1..START_TRIES {
            self.forget_reused_pid();
            let started = self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await;
            if started.is_ok() || self.connect("postgres").await.is_some() {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.pg_ctl(&["start", "-w", "-t", START_SECONDS, "-l", &log, "-o", &options]).await
    }

    /// After a kill the pid file stays, and its number may by now be somebody else's, which PostgreSQL would respect for ever.
    fn forget_reused_pid(&self) {
        let file = self.place.cluster().join("postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&file) else { return };
        let Some(pid) = text.lines().next() else { return };
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        if name.is_ok_and(|name| !name.starts_with("postgres")) && std::fs::remove_file(&file).is_ok() {
            tracing::warn!(pid, "the pid file of the private PostgreSQL named another program and was removed");
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
        let options = self.options(database);
        tokio::time::timeout(CONNECT_TIME, PgConnection::connect_with(&options)).await.ok()?.ok()
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

/// What process numbers mean here: they mean something else in another container.
fn here() -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    namespace.map_or_else(|_| "one".into(), |namespace| namespace.to_string_lossy().into_owned())
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
