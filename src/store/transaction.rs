//! Named transactions, and retries after serialization failures.

use super::{
    database::Store,
    error::{Retryable, StoreError},
};
use crate::telemetry::Timed;
use backon::{BackoffBuilder, ExponentialBuilder};
use sqlx::{PgConnection, Postgres};
use std::{
    future::Future,
    time::{Duration, Instant},
};
use tracing::{Instrument, Span};

/// A transaction, with a name for errors and metrics. It is rolled back if it is dropped without [`Transaction::commit`].
#[derive(Debug)]
pub struct Transaction {
    name: &'static str,
    inner: sqlx::Transaction<'static, Postgres>,
    /// Measures the transaction until it is dropped.
    _timed: Timed,
    span: Span,
}

impl Store {
    /// Begins a read-write transaction.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn begin(&self, name: &'static str) -> Result<Transaction, StoreError> {
        self.begin_with(name, self.pool.begin()).await
    }

    /// Begins a read-only transaction on one consistent state.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn begin_read(&self, name: &'static str) -> Result<Transaction, StoreError> {
        self.begin_with(name, self.pool.begin_with("begin transaction isolation level repeatable read read only")).await
    }

    /// Begins a read-write transaction on one consistent state. It fails if it writes what another transaction has changed since.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn begin_on_snapshot(&self, name: &'static str) -> Result<Transaction, StoreError> {
        self.begin_with(name, self.pool.begin_with("begin transaction isolation level repeatable read")).await
    }

    async fn begin_with(
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
    /// Commits the transaction. After it returns, the changes survive any crash.
    ///
    /// # Errors
    /// The database is unavailable or rejects the commit. Nothing was changed, unless only the response was lost.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().instrument(self.span).await.map_err(StoreError::at(self.name))
    }

    /// Returns the connection to run queries on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// Creates a span in the current trace. Without one, as in periodic tasks, nothing is traced.
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

/// How often, and for how long in total, a transaction is retried.
const MAX_RETRIES: usize = 9;
const MAX_RETRYING: Duration = Duration::from_secs(5);

/// Returns the delays before retries: growing, and random so that competing transactions do not collide again.
fn retry_delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(500))
        .with_max_times(MAX_RETRIES)
        .with_jitter()
        .build()
}

/// Runs a transaction, from begin to commit, and retries it after serialization failures and deadlocks. It waits between tries and
/// gives up after five seconds.
///
/// # Errors
/// The error of the last try.
pub async fn retrying<T, E, F>(name: &'static str, mut transaction: impl FnMut() -> F) -> Result<T, E>
where
    E: Retryable + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let (began, mut delays) = (Instant::now(), retry_delays());
    loop {
        let result = transaction().await;
        let Err(error) = &result else { return result };
        if !error.is_retryable() {
            return result;
        }
        let Some(delay) = delays.next().filter(|delay| began.elapsed() + *delay < MAX_RETRYING) else { return result };
        tracing::debug!(transaction = name, %error, "retrying transaction");
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[derive(Debug, thiserror::Error)]
    #[error("serialization failure")]
    struct Conflict;

    impl Retryable for Conflict {
        fn is_retryable(&self) -> bool {
            true
        }
    }

    #[test]
    fn retry_delays_grow_and_are_bounded() {
        let delays: Vec<Duration> = retry_delays().collect();
        assert_eq!(delays.len(), MAX_RETRIES);
        assert!(
            delays.iter().all(|delay| *delay >= Duration::from_millis(5) && *delay <= Duration::from_secs(1)),
            "{delays:?}"
        );
        assert!(delays.last() > delays.first());
    }

    #[tokio::test]
    async fn retries_end() {
        let tries = Cell::new(0);
        let outcome: Result<(), Conflict> = retrying("test", async || {
            tries.set(tries.get() + 1);
            Err(Conflict)
        })
        .await;
        assert!(outcome.is_err());
        assert!((2..=MAX_RETRIES + 1).contains(&tries.get()), "{}", tries.get());
    }
}
