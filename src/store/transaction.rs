//! Named transactions: begun in one way, and tried again where the database says that it would help.

use super::{
    database::Store,
    error::{LostRace, StoreError},
};
use sqlx::{PgConnection, Postgres};
use std::future::Future;

/// A transaction with a name for errors. Dropped without [`Transaction::commit`] it leaves no trace.
#[derive(Debug)]
pub struct Transaction {
    name: &'static str,
    inner: sqlx::Transaction<'static, Postgres>,
}

impl Store {
    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(&self, name: &'static str) -> Result<Transaction, StoreError> {
        let inner = self.pool.begin().await.map_err(StoreError::at(name))?;
        Ok(Transaction { name, inner })
    }

    /// Begins a transaction that reads one state of everything.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin_read(&self, name: &'static str) -> Result<Transaction, StoreError> {
        let inner = self
            .pool
            .begin_with("begin transaction isolation level repeatable read read only")
            .await
            .map_err(StoreError::at(name))?;
        Ok(Transaction { name, inner })
    }
}

impl Transaction {
    /// Makes its changes durable: when this returns, they survive any crash.
    ///
    /// # Errors
    /// The database is away or refuses; nothing was changed unless the answer alone was lost.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await.map_err(StoreError::at(self.name))
    }

    /// What queries run on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// How often a transaction is tried.
const MOST_TRIES: u32 = 10;

/// Runs a whole transaction, from begin to commit, again while the database says that it only lost a race.
///
/// # Errors
/// Whatever the last try failed with.
pub async fn retrying<T, E, F>(name: &'static str, mut transaction: impl FnMut() -> F) -> Result<T, E>
where
    E: LostRace + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        match transaction().await {
            Err(error) if tries < MOST_TRIES && error.lost_a_race() => {
                tracing::debug!(transaction = name, tries, %error, "a transaction lost a race and is tried again");
                tries += 1;
            }
            result => return result,
        }
    }
}
