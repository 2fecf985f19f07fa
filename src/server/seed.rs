//! What happens between the first connection to the database and the first answer.

use crate::{
    catalog::{Backoff, Follower},
    domain::stream::Stream,
    manage::{Author, ChangeError, Manage},
    store::{Access, StoreError},
};
use std::convert::Infallible;
use thiserror::Error;

#[derive(Debug, Error)]
enum PrepareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the schema is older than this program: `lockkeeper database migrate` brings it up to date")]
    Schema,
    #[error("a stream document could not be taken")]
    Change(#[from] ChangeError<Infallible>),
}

/// Brings the schema up to date, starts an empty store from the documents and loads the catalog: again and again, until the
/// database lets it. Each time that it does not, `failed` is called.
pub(super) async fn prepare(
    access: &Access,
    manage: &Manage,
    documents: &[Stream],
    migrate: bool,
    follower: &Follower,
    mut backoff: Backoff,
    mut failed: impl FnMut(),
) {
    while let Err(error) = try_prepare(access, manage, documents, migrate, follower).await {
        match &error {
            PrepareError::Store(error) if error.is_away() => access.store().metrics().database_failed(),
            // It answers, though with what is of no use.
            _ => access.store().metrics().database_answered(),
        }
        failed();
        tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the database cannot be prepared yet");
        backoff.wait().await;
        if let Err(error) = access.revive().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the private PostgreSQL does not come back");
        }
    }
}

async fn try_prepare(
    access: &Access,
    manage: &Manage,
    documents: &[Stream],
    migrate: bool,
    follower: &Follower,
) -> Result<(), PrepareError> {
    if !migrate && !access.store().is_up_to_date().await? {
        return Err(PrepareError::Schema);
    }
    // A server that follows another one has what that one has, and who leaves the schema alone may not write at all.
    if migrate && !access.store().is_replica().await? {
        start(access, manage, documents).await?;
    }
    follower.refresh().await?;
    Ok(())
}

async fn start(access: &Access, manage: &Manage, documents: &[Stream]) -> Result<(), PrepareError> {
    access.store().migrate().await?;
    let author = Author {
        actor: "lockkeeper".into(),
        reason: "an empty store was started from stream documents".into(),
        request_id: None,
    };
    if manage.start_from(documents, &author).await? {
        tracing::info!(streams = documents.len(), "an empty store was started from stream documents");
    }
    Ok(())
}
