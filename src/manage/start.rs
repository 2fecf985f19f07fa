//! The first start: creates the first streams of an empty store.

use super::{
    command::{Command, LoadedReads},
    commands::documents::StartStream,
    error::CommandError,
    manager::Manage,
    plan::{Loaded, Plan, plan},
    request::Request,
    write::{Step, write},
};
use crate::{
    domain::{ids::StreamId, stream::Stream},
    store::{Retryable, StoreError, Transaction, retrying},
};
use futures_util::{StreamExt, future::BoxFuture, stream};
use std::{panic::resume_unwind, sync::Arc};
use thiserror::Error;

/// The number of streams after which the first start logs its progress.
const PROGRESS_INTERVAL: usize = 100;
/// The number of streams that are read and planned while an earlier one is written.
const PLANNED_AHEAD: usize = 2;

/// A stream to create. It is read when it is its turn, so that many streams need not fit into memory twice.
#[derive(Clone)]
pub struct FirstStream {
    /// Its id.
    pub id: StreamId,
    /// Reads it.
    pub read: Arc<dyn Fn() -> Result<Stream, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>,
}

/// Why an empty store was not started. Nothing was changed.
#[derive(Debug, Error)]
pub enum StartError {
    /// The database failed, or a stream breaks a rule.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A stream cannot be read.
    #[error("cannot read a stream")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        CommandError::from(error).into()
    }
}

impl Retryable for StartError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Command(error) if error.is_retryable())
    }
}

/// A stream that is read and planned, and not written yet.
struct Planned {
    command: StartStream,
    loaded: Loaded,
    plan: Plan,
}

impl Manage {
    /// Creates the first streams of an empty store, all or none. Returns false if there are streams already, or none to create.
    ///
    /// # Errors
    /// The database failed, or a stream cannot be read or breaks a rule.
    pub async fn start_from(&self, streams: &[FirstStream], request: &Request<'_>) -> Result<bool, StartError> {
        let start = async || {
            let mut transaction = self.store().begin("start_store").await?;
            transaction.lock_all_streams().await?;
            if streams.is_empty() || !transaction.heads_with_deleted().await?.is_empty() {
                return Ok(false);
            }
            self.create_all(&mut transaction, streams, request).await?;
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(true)
        };
        retrying("start_store", start).await
    }

    /// Creates streams, and reads and plans the next ones while one is written.
    async fn create_all(
        &self,
        transaction: &mut Transaction,
        streams: &[FirstStream],
        request: &Request<'_>,
    ) -> Result<(), StartError> {
        let ids: Vec<StreamId> = streams.iter().map(|stream| stream.id.clone()).collect();
        let mut loaded: Vec<Loaded> = Vec::with_capacity(streams.len());
        for head in transaction.create_streams(&ids).await? {
            // What the streams of a product have in common is read once.
            let last = loaded.last().filter(|last| last.head.id.product == head.id.product);
            loaded.push(match last {
                Some(last) => Loaded { head, ..last.clone() },
                None => self.load(transaction, head, LoadedReads::default()).await?,
            });
        }
        let all: Arc<[FirstStream]> = streams.into();
        let planned = |(stream, loaded)| self.plan_first(stream, loaded, &all, request);
        let plans = streams.iter().zip(loaded).map(planned);
        // A list: of a lazy iterator, the compiler cannot tell that the task may move between threads.
        let plans: Vec<BoxFuture<'static, _>> = plans.collect();
        let mut plans = stream::iter(plans).buffered(PLANNED_AHEAD).enumerate();
        while let Some((number, planned)) = plans.next().await {
            if number > 0 && number % PROGRESS_INTERVAL == 0 {
                tracing::info!(streams = number, total = streams.len(), "creating the first streams");
            }
            let Planned { command, loaded, plan } = planned?;
            let Some(next) = &plan.next else { continue };
            let step = Step { before: &plan.before, next, at: plan.now };
            write(transaction, &command, request, &loaded.head, step).await?;
        }
        Ok(())
    }

    /// Reads and plans a stream on another thread.
    fn plan_first(
        &self,
        stream: &FirstStream,
        mut loaded: Loaded,
        all: &Arc<[FirstStream]>,
        request: &Request<'_>,
    ) -> BoxFuture<'static, Result<Planned, StartError>> {
        let (stream, all, now) = (stream.clone(), all.clone(), self.clock().now());
        let (caller, reason) = (request.caller.clone(), request.reason.to_owned());
        let work = move || {
            let command = StartStream { written: (stream.read)().map_err(StartError::Unreadable)? };
            let base = command.reads().base.and_then(|base| all.iter().find(|other| other.id == base));
            let base = base.map(|base| (base.read)().map_err(StartError::Unreadable)).transpose()?;
            loaded.read.base = base.map(Arc::new);
            let plan = plan(&command, &Request::new(&caller, &reason), &loaded, now)?;
            Ok(Planned { command, loaded, plan })
        };
        // The thread fails only if it panics: it is cancelled only when the runtime ends, and this task with it.
        Box::pin(async {
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        })
    }
}
