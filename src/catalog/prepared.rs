//! What protocols prepare from the catalog.

use super::{entry::StreamEntry, graph_cache::GraphCache, scopes::StreamScopes};
use crate::domain::ids::{ProductName, ProtocolName, StreamName};
use bytes::Bytes;
use std::{any::Any, collections::BTreeMap, fmt::Debug, sync::Arc};

/// Prepares the answers of one protocol.
pub trait Prepare: Send + Sync {
    /// Prepares the answers about a product, after any change of it. `before` is what this protocol prepared for it before; what did not
    /// change can be taken from there.
    fn prepare(&self, product: &ProductView<'_>, before: Option<&dyn Prepared>) -> Arc<dyn Prepared>;
}

/// The answers that a protocol prepared for one product. The protocol finds them with [`Catalog::prepared`](super::Catalog::prepared).
pub trait Prepared: Any + Send + Sync + Debug {
    /// Returns the scopes whose full graphs may be rendered before they are requested. Those that were in use before are.
    fn scopes(&self) -> Vec<PreparedScopes<'_>> {
        Vec::new()
    }
}

/// The scopes of one stream among prepared answers.
#[derive(Debug, Clone, Copy)]
pub struct PreparedScopes<'a> {
    /// The scopes.
    pub scopes: &'a Arc<StreamScopes>,
    /// True if the stream is stopped.
    pub is_stopped: bool,
}

/// A product from which answers are prepared.
#[derive(Debug, Clone, Copy)]
pub struct ProductView<'a> {
    /// Its name.
    pub name: &'a ProductName,
    /// Its streams. An unchanged stream is the same entry in memory.
    pub streams: &'a BTreeMap<StreamName, Arc<StreamEntry>>,
    /// Its published files, by path.
    pub files: &'a BTreeMap<String, Bytes>,
    /// Bounds the full graphs of all products.
    pub graph_cache: &'a GraphCache,
}

/// The protocols that prepare answers, by name.
#[derive(Clone)]
pub struct Preparers {
    default: Option<&'static str>,
    by_name: BTreeMap<&'static str, Arc<dyn Prepare>>,
    graph_cache: GraphCache,
}

impl Preparers {
    /// Collects protocols. `default` is the one of products whose protocol is not known.
    #[must_use]
    pub fn new(default: Option<&'static str>, by_name: BTreeMap<&'static str, Arc<dyn Prepare>>) -> Self {
        Self { default, by_name, graph_cache: GraphCache::default() }
    }

    /// Sets the cache of full graphs that all products share.
    #[must_use]
    pub fn with_graph_cache(self, graph_cache: GraphCache) -> Self {
        Self { graph_cache, ..self }
    }

    /// Returns the cache of full graphs that all products share.
    #[must_use]
    pub(super) fn graph_cache(&self) -> &GraphCache {
        &self.graph_cache
    }

    /// Returns what a protocol prepares; `None` if it prepares nothing or this service does not speak it.
    pub(super) fn get(&self, protocol: Option<&ProtocolName>) -> Option<&Arc<dyn Prepare>> {
        self.by_name.get(protocol.map(ProtocolName::as_str).or(self.default)?)
    }
}

impl Debug for Preparers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.by_name.keys()).finish()
    }
}
