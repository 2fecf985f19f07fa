//! Prepares the database for the service: migrates it, seeds an empty one from stream documents, and loads the catalog.

use crate::{
    auth::Identity,
    catalog::{CatalogSync, RetryDelay},
    domain::actor::Actor,
    exchange::documents::DocumentFile,
    manage::{FirstStream, Manage, Request, StartError},
    store::{Access, StoreError},
};
use std::sync::Arc;
use thiserror::Error;

#[derive(Debug, Error)]
enum PrepareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database schema is older than this program; run `lockkeeper database migrate`")]
    Schema,
    #[error("cannot create a stream from its document")]
    Start(#[from] StartError),
}

/// What a database is prepared with.
pub(super) struct Preparation<'a> {
    pub(super) access: &'a Access,
    pub(super) manage: &'a Manage,
    /// The streams of an empty database.
    pub(super) documents: &'a [DocumentFile],
    /// True if this process migrates the schema.
    pub(super) migrates: bool,
    pub(super) sync: &'a CatalogSync,
}

/// Migrates the schema, seeds an empty database from the documents and loads the catalog. Retries until this succeeds, and calls `failed`
/// after each failure.
pub(super) async fn prepare(with: &Preparation<'_>, mut backoff: RetryDelay, mut failed: impl FnMut()) {
    let access = with.access;
    while let Err(error) = try_prepare(with).await {
        match &error {
            PrepareError::Store(error) if error.is_unavailable() => access.store().metrics().database_failed(),
            // The database answers, but it cannot be used yet.
            _ => access.store().metrics().database_answered(),
        }
        failed();
        tracing::warn!(error = &error as &dyn std::error::Error, "not ready: database cannot be prepared yet");
        backoff.wait().await;
        if let Err(error) = access.ensure_running().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "private PostgreSQL cannot be restarted");
        }
    }
}

async fn try_prepare(with: &Preparation<'_>) -> Result<(), PrepareError> {
    let Preparation { access, manage, documents, migrates, sync } = *with;
    if !migrates && !access.store().is_up_to_date().await? {
        return Err(PrepareError::Schema);
    }
    // A standby server has the data of its primary. A process that must not migrate may lack the right to write at all.
    if migrates && !access.store().is_replica().await? {
        seed(access, manage, documents).await?;
    }
    sync.refresh().await?;
    Ok(())
}

async fn seed(access: &Access, manage: &Manage, documents: &[DocumentFile]) -> Result<(), PrepareError> {
    access.store().migrate().await?;
    let service = Identity { actor: Actor::from_id("lockkeeper"), ..Identity::local("lockkeeper") };
    let request = Request::new(&service, "an empty store was started from stream documents");
    let streams: Vec<FirstStream> = documents.iter().map(first_stream).collect();
    if manage.start_from(&streams, &request).await? {
        tracing::info!(streams = documents.len(), "empty database seeded from stream documents");
    }
    Ok(())
}

fn first_stream(document: &DocumentFile) -> FirstStream {
    let (id, document) = (document.id().clone(), document.clone());
    FirstStream { id, read: Arc::new(move || Ok(document.read()?)) }
}
