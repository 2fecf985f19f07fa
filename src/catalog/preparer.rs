//! Background work for answers: rendering full graphs that are not cached, and encoding.
//!
//! Full graphs that a request waits for are rendered on the runtime's blocking threads, few at a time. A separate thread with low priority
//! encodes answers and, after a new revision, renders the full graphs that were in use at the previous one, one job at a time. Until an
//! encoding is ready, responses are sent unencoded.

use super::{
    encoding::{Budget, Coding, Encode},
    missing::MissingGraph,
    prepared::PreparedScopes,
    rendered::Rendered,
    scopes::StreamScopes,
    streams::Catalog,
    worker::{Job, Worker},
};
use crate::{domain::epoch::Epoch, telemetry::Metrics};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
};
use tokio::sync::Semaphore;

/// The most full graphs that are rendered at a time for waiting requests.
const MAX_RENDERS: usize = 2;
/// The most jobs in the queue of the thread. If it is full, jobs are dropped; later requests queue them again.
const MAX_JOBS: usize = 256;

/// The thread's name.
pub(super) const THREAD: &str = "encoder";

/// Renders and encodes answers in the background. The thread ends when the last clone is dropped.
#[derive(Clone)]
pub struct Preparer {
    renders: Arc<Semaphore>,
    jobs: SyncSender<Job>,
}

impl Preparer {
    /// Starts the thread. It caches at most `max_bytes` bytes of encodings.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(encode: Arc<dyn Encode>, max_bytes: usize, metrics: &Metrics) -> io::Result<Self> {
        let budget = Budget::new(max_bytes);
        let shown = budget.clone();
        metrics.gauge("lockkeeper.encodings.size", "By", "Bytes of answers in gzip and zstd", move || {
            let bytes = u32::try_from(shown.used()).unwrap_or(u32::MAX);
            vec![(f64::from(bytes), Vec::new())]
        });
        let (jobs, queue) = sync_channel(MAX_JOBS);
        let worker = Worker::new(encode, budget, metrics.clone());
        std::thread::Builder::new().name(THREAD.into()).spawn(move || worker.run(&queue))?;
        Ok(Self { renders: Arc::new(Semaphore::new(MAX_RENDERS)), jobs })
    }

    /// Queues an encoding, unless it is ready, queued or unavailable. Does not block.
    pub fn request_encoding(&self, rendered: &Arc<Rendered>, coding: Coding) {
        let slot = rendered.slot(coding);
        if slot.enqueue() && self.jobs.try_send(Job::Encode(Arc::downgrade(rendered), coding)).is_err() {
            slot.clear();
        }
    }

    /// Renders a full graph that is not cached. It is rendered once, however many requests wait for it. Returns `None` if rendering
    /// panics.
    pub async fn render(&self, missing: &MissingGraph) -> Option<Arc<Rendered>> {
        let waiting = missing.scope()?.join_render(missing.visibility());
        let render = async || {
            if let Some(rendered) = missing.cached() {
                return Some(rendered);
            }
            let permit = self.renders.clone().acquire_owned().await.ok()?;
            let missing = missing.clone();
            let rendering = tokio::task::spawn_blocking(move || {
                // The graph is cached even if the request is cancelled.
                let _permit = permit;
                missing.render()
            });
            rendering.await.ok().flatten()
        };
        waiting.render()?.get_or_init(render).await.clone()
    }

    /// Queues the preparation of the full graphs that were in use before the catalog changed, for a given time.
    pub(super) fn prepare_inherited(&self, catalog: &Catalog, at: Epoch, offers_nothing: bool) {
        for prepared in catalog.all_prepared() {
            for PreparedScopes { scopes, is_stopped } in prepared.scopes() {
                if scopes.take_inherited() {
                    self.prepare(scopes, at, is_stopped || offers_nothing);
                }
            }
        }
    }

    /// Queues the preparation of the full graphs that scopes inherited, for a given time.
    pub(super) fn prepare(&self, scopes: &Arc<StreamScopes>, at: Epoch, is_stopped: bool) {
        let job = Job::Prepare { scopes: Arc::downgrade(scopes), at, is_stopped };
        if self.jobs.try_send(job).is_err() {
            // They stay recorded for the next revision. Until then, requests render what they need.
            tracing::debug!("full graphs not prepared, the queue is full");
        }
    }
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Preparer").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "preparer_tests.rs"]
mod tests;
