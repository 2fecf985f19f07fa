//! Change notifications, which commit with the change.

use super::{database::Store, error::StoreError, transaction::Transaction};
use crate::telemetry::{TraceContext, trace_context};
use sqlx::postgres::PgListener;

const CHANNEL: &str = "lockkeeper_changed";

impl Transaction {
    /// Notifies all listening processes, at commit, that a stream changed. The notification carries the trace context.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn announce(&mut self) -> Result<(), StoreError> {
        let trace = trace_context().unwrap_or_default().to_line();
        sqlx::query!("-- name: announce_change\nselect pg_notify($1, $2)", CHANNEL, trace)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("announce_change"))
    }
}

/// Receives change notifications.
#[derive(Debug)]
pub struct Changes(PgListener);

impl Store {
    /// Starts listening for changes that commit from now on.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn listen(&self) -> Result<Changes, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(StoreError::at("listen"))?;
        listener.listen(CHANNEL).await.map_err(StoreError::at("listen"))?;
        Ok(Changes(listener))
    }
}

impl Changes {
    /// Waits for the next notification and returns its trace context, which may be empty.
    ///
    /// # Errors
    /// The connection is lost, and notifications may have been missed.
    pub async fn next(&mut self) -> Result<TraceContext, StoreError> {
        match self.0.try_recv().await {
            Ok(Some(notification)) => Ok(TraceContext::from_line(notification.payload())),
            Ok(None) => Err(StoreError::Lost),
            Err(error) => Err(StoreError::at("listen")(error)),
        }
    }
}
