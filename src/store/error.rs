//! What can go wrong with the store.

use thiserror::Error;

/// The store could not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused or is away.
    #[error("the database failed at {what}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row holds what no row should: somebody wrote past us.
    #[error("{table} holds something that cannot be: {problem}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What.
        problem: String,
    },
    /// The connection on which changes were told broke.
    #[error("the connection to the database broke")]
    Lost,
    /// The database did not answer in time.
    #[error("the database did not answer within {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
    /// The address of the database cannot be read.
    #[error("the database's address is not usable")]
    Address(#[source] sqlx::Error),
}

impl StoreError {
    /// For `map_err`: names what was being done.
    pub(crate) fn at(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }

    /// Is it that the database cannot be reached, or does not take anything now? Anything else is a bug.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            // Connections, resources, an operator, a server that only reads, and races that were lost too often.
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

    /// A row that cannot be.
    pub(crate) fn corrupt(table: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Corrupt { table, problem: problem.to_string() }
    }
}

/// Tells whether the same transaction, tried again, would perhaps go through.
pub trait LostRace {
    /// Was it only a race that was lost? (Serialization failure, deadlock.)
    fn lost_a_race(&self) -> bool;
}

impl LostRace for StoreError {
    fn lost_a_race(&self) -> bool {
        let Self::Database { source: sqlx::Error::Database(error), .. } = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }
}
