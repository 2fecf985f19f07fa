//! Named transactions: begun in one way, and tried again where the database says that it would help.

use super::{
    database::Store,
    error::{LostRace, StoreError},
};
use crate::telemetry::Timed;
use sqlx::{PgConnection, Postgres};
use std::future::Future;
use tracing::{Instrument, Span};

/// A transaction with a name for errors. Dropped without [`Transaction::commit`] it leaves no trace.
#[derive(Debug)]
pub struct Transaction {
    name: &'static str,
    inner: sqlx::Transaction<'static, Postgres>,
    /// From its begin to whichever end it comes to.
    _timed: Timed,
    span: Span,
}

impl Store {
    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(&self, name: &'static str) -> Result<Transaction, StoreError> {
        self.begun(name, self.pool.begin()).await
    }

    /// Begins a transaction that reads one state of everything.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin_read(&self, name: &'static str) -> Result<Transaction, StoreError> {
        self.begun(name, self.pool.begin_with("begin transaction isolation level repeatable read read only")).await
    }

    async fn begun(
        &self,
        name: &'static str,
        begin: impl Future<Output = sqlx::Result<sqlx::Transaction<'static, Postgres>>>,
    ) -> Result<Transaction, StoreError> {
        let (timed, span) = (Timed::transaction(&self.metrics, name), span(name));
        let inner = begin.instrument(span.clone()).await.map_err(StoreError::at(name))?;
        Ok(Transaction { name, inner, _timed: timed, span })
    }
}

impl Transaction {
    /// Makes its changes durable: when this returns, they survive any crash.
    ///
    /// # Errors
    /// The database is away or refuses; nothing was changed unless the answer alone was lost.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().instrument(self.span).await.map_err(StoreError::at(self.name))
    }

    /// What queries run on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// Part of the trace that asks for it. What asks by itself, again and again, is not traced.
fn span(name: &'static str) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    tracing::error_span!(
        "transaction",
        otel.kind = "client",
        otel.name = name,
        db.system.name = "postgresql",
        db.operation.name = name
    )
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
