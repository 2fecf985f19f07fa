//! Locks for tasks that one process does for all: the one that holds the lock of a task does it.

use super::{database::Store, error::StoreError};
use sqlx::{Connection, PgConnection};
use std::{pin::pin, time::Duration};

/// How often a held lock is checked during long work. Connections that are idle for longer are often cut by what is between.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A task that one process does for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Writes events.
    Events,
    /// Asks registries for images.
    ImageCheck,
    /// Follows registries.
    Follow,
}

impl Task {
    /// Returns what identifies its advisory lock in the database: eight letters.
    fn key(self) -> i64 {
        i64::from_be_bytes(match self {
            Self::Events => *b"lk_event",
            Self::ImageCheck => *b"lk_image",
            Self::Follow => *b"lk_follw",
        })
    }

    /// Returns a table into which a process that does the task inserts rows.
    fn table(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::ImageCheck => "image_checks",
            Self::Follow => "follow_states",
        }
    }
}

/// The right to do a task, on a connection of its own: if that is lost, so is the lock. It belongs to a transaction that stays open, since a
/// transaction pooler may keep a session, and its locks, after the process that used it.
#[derive(Debug)]
pub struct TaskLock {
    task: Task,
    connection: PgConnection,
    is_held: bool,
}

impl Store {
    /// Opens the connection of a task's lock, which is not held yet.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn task_lock(&self, task: Task) -> Result<TaskLock, StoreError> {
        let connected = PgConnection::connect_with(&self.pool.connect_options()).await;
        let connection = connected.map_err(StoreError::at("connect_task_lock"))?;
        Ok(TaskLock { task, connection, is_held: false })
    }
}

impl TaskLock {
    /// Tries to get the lock, or checks that the connection which holds it is not lost. Returns false if another process holds it, or if this one
    /// may not write: on a read replica, and with an account that only reads.
    ///
    /// # Errors
    /// The connection is lost, and the lock with it.
    pub async fn try_hold(&mut self) -> Result<bool, StoreError> {
        if self.is_held {
            self.run("check_task_lock", "-- name: check_task_lock\nselect 1").await?;
            return Ok(true);
        }
        // It idles for as long as the task is done. Servers before 17 do not have all of these settings.
        let begin = "-- name: begin_task_lock
            begin;
            select set_config(name, '0', true) from pg_settings
            where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')";
        self.run("begin_task_lock", begin).await?;
        let held = sqlx::query_scalar!(
            r#"-- name: try_task_lock
            select case when current_setting('transaction_read_only')::boolean or not has_table_privilege($2, 'insert')
                then false else pg_try_advisory_xact_lock($1) end as "held!""#,
            self.task.key(),
            self.task.table()
        );
        self.is_held = held.fetch_one(&mut self.connection).await.map_err(StoreError::at("try_task_lock"))?;
        if !self.is_held {
            self.run("leave_task_lock", "-- name: leave_task_lock\nrollback").await?;
        }
        Ok(self.is_held)
    }

    /// Does work that needs the lock, and checks meanwhile that it is held.
    ///
    /// # Errors
    /// The lock is lost. The work is cancelled then, or its result dropped: another process may have begun.
    pub async fn hold_while<T>(&mut self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut work = pin!(work);
        loop {
            let done = tokio::time::timeout(CHECK_INTERVAL, &mut work).await;
            self.try_hold().await?;
            if let Ok(done) = done {
                return Ok(done);
            }
        }
    }

    async fn run(&mut self, name: &'static str, statement: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(statement).execute(&mut self.connection).await.map(drop).map_err(StoreError::at(name))
    }
}
