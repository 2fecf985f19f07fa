//! Errors of the store.

use thiserror::Error;

/// An operation on the store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database rejected a statement or is unavailable.
    #[error("database operation {what} failed")]
    Database {
        /// The name of the statement or transaction.
        what: &'static str,
        /// The cause.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database schema")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row holds an invalid value, which this service does not write.
    #[error("invalid row in table {table}: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        problem: String,
    },
    /// The connection that receives notifications was lost.
    #[error("lost the connection to the database")]
    Lost,
    /// The database did not answer in time.
    #[error("the database did not answer within {seconds} s")]
    Timeout {
        /// How long the caller waited.
        seconds: u64,
    },
    /// The URL of the database is invalid.
    #[error("invalid database URL")]
    Address(#[source] sqlx::Error),
}

impl StoreError {
    /// Returns a function for `map_err` that adds the name of the operation.
    pub(crate) fn at(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }

    /// Returns true if the database cannot be reached or does not accept statements now. Any other error is a bug.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            // Connection errors, exhausted resources, operator intervention, read-only servers, serialization failures.
            Self::Database { source: sqlx::Error::Database(error), .. } => error
                .code()
                .is_some_and(|code| ["08", "53", "57", "25006", "40"].iter().any(|class| code.starts_with(class))),
            Self::Database { source, .. } => matches!(
                source,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            ),
            Self::Lost | Self::Timeout { .. } => true,
            Self::Migrate(_) | Self::Corrupt { .. } | Self::Address(_) => false,
        }
    }

    /// Returns an error for an invalid row.
    pub(crate) fn corrupt(table: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Corrupt { table, problem: problem.to_string() }
    }
}

/// Errors after which the same transaction may succeed when it is repeated.
pub trait Retryable {
    /// Returns true for a serialization failure or a deadlock.
    fn is_retryable(&self) -> bool;
}

impl Retryable for StoreError {
    fn is_retryable(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(error), .. } = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }
}
