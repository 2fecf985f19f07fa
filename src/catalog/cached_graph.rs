//! A cached full graph, in the cache of a scope and in the bound over all scopes.

use super::{node_profile::NodeProfile, rendered::Rendered};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// A full graph in the cache of a scope. Its bytes count until it is dropped.
#[derive(Debug)]
pub(super) struct CachedGraph {
    pub(super) rendered: Arc<Rendered>,
    /// One of the nodes that see it.
    pub(super) node_profile: NodeProfile,
    /// Set by a hit, cleared by the next eviction.
    is_used: AtomicBool,
    used: Arc<AtomicUsize>,
}

impl CachedGraph {
    /// Creates an entry, and counts its bytes in `used`.
    pub(super) fn new(rendered: Arc<Rendered>, node_profile: NodeProfile, used: Arc<AtomicUsize>) -> Self {
        used.fetch_add(rendered.body.len(), Ordering::Relaxed);
        Self { rendered, node_profile, is_used: AtomicBool::new(false), used }
    }

    /// Records a hit.
    pub(super) fn set_used(&self) {
        // The flag is usually set already. Reading it first avoids contention between accept loops.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if there was a hit since the last eviction that passed it.
    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Returns true if there was a hit since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }
}

impl Drop for CachedGraph {
    fn drop(&mut self) {
        self.used.fetch_sub(self.rendered.body.len(), Ordering::Relaxed);
    }
}
