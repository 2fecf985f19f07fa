//! One product in the catalog.

use super::{
    entry::StreamEntry,
    prepared::{Prepared, Preparers, ProductView},
};
use crate::{
    domain::ids::{ProductName, StreamName},
    store::ProductRecord,
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A product with its streams, and the answers that its protocol prepared.
#[derive(Debug, Clone, Default)]
pub(super) struct Product {
    /// Its settings; `None` if they are not known, as in snapshots of older versions.
    pub(super) record: Option<ProductRecord>,
    pub(super) streams: BTreeMap<StreamName, Arc<StreamEntry>>,
    /// Its published files, by path.
    pub(super) files: Arc<BTreeMap<String, Bytes>>,
    pub(super) prepared: Option<Arc<dyn Prepared>>,
    /// True if it changed since its answers were prepared.
    pub(super) is_changed: bool,
}

impl Product {
    /// Returns true if it has neither settings nor streams.
    pub(super) fn is_absent(&self) -> bool {
        self.record.is_none() && self.streams.is_empty()
    }

    /// Prepares its answers. If that panics, the product keeps its last ones, and is prepared again at the next refresh. While a stream of it
    /// is stopped, it has none then: the last ones may offer updates.
    pub(super) fn prepare(&mut self, name: &ProductName, preparers: &Preparers) {
        let Some(protocol) = preparers.get(self.record.as_ref().map(|record| &record.protocol)) else {
            (self.prepared, self.is_changed) = (None, false);
            return;
        };
        let view =
            ProductView { name, streams: &self.streams, files: &self.files, graph_cache: preparers.graph_cache() };
        let prepare = AssertUnwindSafe(|| protocol.prepare(&view, self.prepared.as_deref()));
        if let Ok(answers) = catch_unwind(prepare) {
            (self.prepared, self.is_changed) = (Some(answers), false);
        } else {
            tracing::error!(product = %name, "answers of the product cannot be prepared");
            if self.streams.values().any(|entry| entry.is_stopped()) {
                self.prepared = None;
            }
        }
    }
}
