//! What happens between the first connection to the database and the first answer.

use crate::{
    catalog::Follower,
    domain::stream::Stream,
    manage::{Author, ChangeError, Decision, Manage, Outcome},
    store::{Access, StoreError},
};
use std::{convert::Infallible, time::Duration};
use thiserror::Error;

#[derive(Debug, Error)]
enum PrepareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a stream document could not be taken")]
    Change(#[from] ChangeError<Infallible>),
}

/// Brings the schema up to date, starts an empty store from the documents and loads the catalog: again and again, until the
/// database lets it.
pub(super) async fn prepare(
    access: &Access,
    manage: &Manage,
    documents: &[Stream],
    follower: &Follower,
    interval: Duration,
) {
    while let Err(error) = try_prepare(access, manage, documents, follower).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "not ready: the database cannot be prepared yet");
        tokio::time::sleep(interval).await;
        if let Err(error) = access.revive().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the private PostgreSQL does not come back");
        }
    }
}

async fn try_prepare(
    access: &Access,
    manage: &Manage,
    documents: &[Stream],
    follower: &Follower,
) -> Result<(), PrepareError> {
    access.store().migrate().await?;
    if only_seeded(access).await? {
        for stream in documents {
            seed(manage, stream).await?;
        }
    }
    follower.refresh().await?;
    Ok(())
}

const ACTOR: &str = "lockkeeper";

/// Is there nothing, or nothing but what a start that was cut short left behind?
async fn only_seeded(access: &Access) -> Result<bool, StoreError> {
    let mut transaction = access.store().begin_read("look_for_streams").await?;
    let mut only = true;
    for head in transaction.heads().await? {
        let records = transaction.revision_records(head.key).await?;
        only &= records.iter().all(|(_, record)| record.actor == ACTOR);
    }
    transaction.commit().await?;
    Ok(only)
}

async fn seed(manage: &Manage, document: &Stream) -> Result<(), ChangeError<Infallible>> {
    let author = Author {
        actor: ACTOR.into(),
        reason: "an empty store was started from stream documents".into(),
        request_id: None,
    };
    // Another process may have been faster: what is there stays.
    let decide = |present: Option<&Stream>| Ok(Decision { stream: present.unwrap_or(document).clone(), value: () });
    let (outcome, ()) = manage.change_stream(&document.id, &author, &[], decide).await?;
    if let Outcome::Changed { .. } = outcome {
        tracing::info!(stream = %document.id, releases = document.releases.len(), "a stream was started from its document");
    }
    Ok(())
}
