//! The write side of a store, and the states of streams that it keeps in memory.

use super::{
    events::EventFeed,
    findings_cache::FindingsCache,
    image_source::ImageSource,
    stream_cache::StreamCache,
    write_queues::{ReadTransaction, WriteQueues},
};
use crate::{
    clock::SharedClock,
    domain::{
        dialect::{Dialect, Dialects},
        epoch::Epoch,
        ids::{ProductName, StreamId},
        stream::Stream,
    },
    store::{Known, Store, StoreError, Transaction, streams::Head},
    telemetry::Metrics,
};
use jiff::Timestamp;
use std::sync::Arc;

/// The largest full graph that a change may lead to, unless it is configured: that of the setting `limits.graph_bytes`.
pub(super) const DEFAULT_GRAPH_BYTES: usize = 32 * 1024 * 1024;

/// Reads and changes streams, tokens and signing keys. Clones share its queues and its cache.
#[derive(Clone)]
pub struct Manage {
    store: Store,
    clock: SharedClock,
    dialects: Arc<Dialects>,
    write_queues: Arc<WriteQueues>,
    streams: Arc<StreamCache>,
    findings: Arc<FindingsCache>,
    events: Arc<EventFeed>,
    served: Option<ServedStates>,
    images: Option<Arc<dyn ImageSource>>,
    max_graph_bytes: usize,
}

/// Returns the state of a stream that this process serves.
type ServedStates = Arc<dyn Fn(&StreamId) -> Option<Known> + Send + Sync>;

impl Manage {
    /// Creates the write side of a store, for products of these protocols.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, dialects: Arc<Dialects>) -> Self {
        let write_queues = Arc::new(WriteQueues::new(&store));
        let max_graph_bytes = DEFAULT_GRAPH_BYTES;
        Self {
            store,
            clock,
            dialects,
            write_queues,
            streams: Arc::default(),
            findings: Arc::default(),
            events: Arc::default(),
            served: None,
            images: None,
            max_graph_bytes,
        }
    }

    /// Sets the largest full graph that a change may lead to, in bytes.
    #[must_use]
    pub fn with_max_graph_bytes(self, max_graph_bytes: usize) -> Self {
        Self { max_graph_bytes, ..self }
    }

    /// Starts from the states that this process serves, instead of reading every stream from its rows before its first change.
    #[must_use]
    pub fn with_served(self, served: impl Fn(&StreamId) -> Option<Known> + Send + Sync + 'static) -> Self {
        Self { served: Some(Arc::new(served)), ..self }
    }

    /// Publishes only releases whose images are there. Without this, nothing is asked for images.
    #[must_use]
    pub fn with_required_images(self, images: Arc<dyn ImageSource>) -> Self {
        Self { images: Some(images), ..self }
    }

    pub(super) fn images(&self) -> Option<&Arc<dyn ImageSource>> {
        self.images.as_ref()
    }

    pub(super) fn max_graph_bytes(&self) -> usize {
        self.max_graph_bytes
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Epoch {
        self.clock.now().into()
    }

    /// Returns the time with fractions of a second.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Returns the protocols.
    #[must_use]
    pub fn dialects(&self) -> &Arc<Dialects> {
        &self.dialects
    }

    /// Returns the protocol of a product, or of a new product that its first stream creates; `None` if this service does not speak it.
    pub(super) async fn dialect(
        &self,
        transaction: &mut Transaction,
        product: &ProductName,
    ) -> Result<Option<Arc<dyn Dialect>>, StoreError> {
        let dialect = match transaction.protocol(product).await? {
            Some(protocol) => self.dialects.get(&protocol),
            None => self.dialects.default_dialect(),
        };
        Ok(dialect.cloned())
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the metrics of the store.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.store.metrics()
    }

    pub(super) fn write_queues(&self) -> &WriteQueues {
        &self.write_queues
    }

    pub(super) fn findings_cache(&self) -> &Arc<FindingsCache> {
        &self.findings
    }

    pub(super) fn events(&self) -> &EventFeed {
        &self.events
    }

    pub(super) async fn reading(&self, name: &'static str) -> Result<ReadTransaction, StoreError> {
        self.write_queues.read(&self.store, name).await
    }

    /// Runs long computations off the runtime, one at a time.
    pub async fn compute<T>(&self, work: impl FnOnce() -> T) -> T {
        self.write_queues.compute(work).await
    }

    /// Keeps a state that was committed.
    pub(super) fn keep(&self, head: &Head, stream: Arc<Stream>) {
        self.streams.keep(head, stream);
    }

    /// Returns the state of a stream at its head: from memory if that revision is kept there, otherwise from its rows, or from what changed
    /// since the revision that is kept.
    pub(super) async fn load_stream(
        &self,
        transaction: &mut Transaction,
        head: &Head,
    ) -> Result<Arc<Stream>, StoreError> {
        let served = || self.served.as_ref().and_then(|served| served(&head.id));
        let kept = self.streams.get(&head.id).or_else(served);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_at(head)) {
            // A product's stop changes without a revision of its streams.
            let product_stop = transaction.product_stop(&head.id.product).await?;
            let stream = if kept.stream.product_stop == product_stop {
                kept.stream.clone()
            } else {
                Arc::new(Stream { product_stop, ..Stream::clone(&kept.stream) })
            };
            return Ok(self.streams.keep(head, stream));
        }
        let stream = transaction.load_stream_from(head, kept.as_ref()).await?;
        Ok(self.streams.keep(head, Arc::new(stream)))
    }
}
