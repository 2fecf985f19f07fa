//! Change notifications, which commit with the change.

use super::{database::Store, error::StoreError, transaction::Transaction};
use crate::telemetry::{TraceContext, trace_context};
use sqlx::postgres::PgListener;

const CHANNEL: &str = "lockkeeper_changed";
/// The channel of events that were written. Programs of earlier versions do not listen to it.
const EVENTS: &str = "lockkeeper_events";

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

    /// Notifies all listening processes, at commit, that events were written.
    pub(super) async fn announce_events(&mut self) -> Result<(), StoreError> {
        sqlx::query!("-- name: announce_events\nselect pg_notify($1, '')", EVENTS)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("announce_events"))
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A stream or a product changed. The trace context of the change may be empty.
    Change(TraceContext),
    /// Events were written.
    Events,
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
        listener.listen_all([CHANNEL, EVENTS]).await.map_err(StoreError::at("listen"))?;
        Ok(Changes(listener))
    }
}

impl Changes {
    /// Waits for the next notification.
    ///
    /// # Errors
    /// The connection is lost, and notifications may have been missed.
    pub async fn next(&mut self) -> Result<Signal, StoreError> {
        match self.0.try_recv().await {
            Ok(Some(notification)) if notification.channel() == EVENTS => Ok(Signal::Events),
            Ok(Some(notification)) => Ok(Signal::Change(TraceContext::from_line(notification.payload()))),
            Ok(None) => Err(StoreError::Lost),
            Err(error) => Err(StoreError::at("listen")(error)),
        }
    }
}
