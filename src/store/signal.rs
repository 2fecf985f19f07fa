//! Word of changes: a notification that commits with the change.

use super::{database::Store, error::StoreError, transaction::Transaction};
use crate::telemetry::{Carried, carried};
use sqlx::postgres::PgListener;

const CHANNEL: &str = "lockkeeper_changed";

impl Transaction {
    /// Tells every process that listens, when this commits, that some stream changed, and the trace that it is part of.
    ///
    /// # Errors
    /// The database is away.
    pub async fn announce(&mut self) -> Result<(), StoreError> {
        let trace = carried().unwrap_or_default().line();
        sqlx::query!("-- name: announce_change\nselect pg_notify($1, $2)", CHANNEL, trace)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("announce_change"))
    }
}

/// Hears of changes.
#[derive(Debug)]
pub struct Changes(PgListener);

impl Store {
    /// Begins to listen; changes committed from here on are heard.
    ///
    /// # Errors
    /// The database is away.
    pub async fn listen(&self) -> Result<Changes, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(StoreError::at("listen"))?;
        listener.listen(CHANNEL).await.map_err(StoreError::at("listen"))?;
        Ok(Changes(listener))
    }
}

impl Changes {
    /// Waits for the next word: the trace that the change is part of, or nothing.
    ///
    /// # Errors
    /// The connection is lost, and something may have been missed.
    pub async fn next(&mut self) -> Result<Carried, StoreError> {
        match self.0.try_recv().await {
            Ok(Some(notification)) => Ok(Carried::of(notification.payload())),
            Ok(None) => Err(StoreError::Lost),
            Err(error) => Err(StoreError::at("listen")(error)),
        }
    }
}
