//! What Fedora CoreOS prepares from the catalog: rendered releases, full graphs, and the texts of documents.

use super::{NAME, render::GraphJson};
use crate::{
    catalog::{Prepare, Prepared, PreparedScopes, Preparers, ProductView, Render, Rendered, StreamEntry, StreamScopes},
    domain::ids::StreamName,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// Prepares the answers for products whose nodes run Fedora CoreOS.
pub struct FcosPrepare(Arc<dyn Render>);

impl FcosPrepare {
    /// Creates it with a format of graphs, which tests replace.
    #[must_use]
    pub fn new(render: Arc<dyn Render>) -> Self {
        Self(render)
    }

    /// Returns it as the only protocol of a catalog.
    #[must_use]
    pub fn preparers() -> Preparers {
        let prepare: Arc<dyn Prepare> = Arc::new(Self::default());
        Preparers::new(Some(NAME), BTreeMap::from([(NAME, prepare)]))
    }
}

impl Default for FcosPrepare {
    fn default() -> Self {
        Self::new(Arc::new(GraphJson))
    }
}

/// The prepared answers about one product.
#[derive(Debug)]
pub struct FcosPrepared(BTreeMap<StreamName, Arc<PreparedStream>>);

/// The prepared answers about one stream at one revision.
#[derive(Debug)]
pub struct PreparedStream {
    entry: Arc<StreamEntry>,
    scopes: Arc<StreamScopes>,
    texts: RwLock<HashMap<&'static str, Option<Arc<Rendered>>>>,
    /// The text that depends on the time, and the second for which it was rendered.
    timed_text: Mutex<Option<(i64, Option<Arc<Rendered>>)>>,
    /// Upstream's documents that were parsed.
    parsed: RwLock<HashMap<&'static str, Arc<Value>>>,
}

impl Prepare for FcosPrepare {
    fn prepare(&self, product: &ProductView<'_>, before: Option<&dyn Prepared>) -> Arc<dyn Prepared> {
        let before: Option<&dyn std::any::Any> = before.map(|before| before as _);
        let before = before.and_then(|before| before.downcast_ref::<FcosPrepared>());
        let stream = |(name, entry): (&StreamName, &Arc<StreamEntry>)| {
            let known = before.and_then(|before| before.0.get(name));
            (name.clone(), PreparedStream::new(entry, known, || StreamScopes::new(entry, &self.0, product.graph_cache)))
        };
        Arc::new(FcosPrepared(product.streams.iter().map(stream).collect()))
    }
}

impl Prepared for FcosPrepared {
    fn scopes(&self) -> Vec<PreparedScopes<'_>> {
        self.0
            .values()
            .map(|stream| PreparedScopes { scopes: &stream.scopes, is_stopped: stream.entry.is_stopped() })
            .collect()
    }
}

impl FcosPrepared {
    /// Returns a stream.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&Arc<PreparedStream>> {
        self.0.get(name)
    }
}

impl PreparedStream {
    /// Prepares a stream. An unchanged one stays as it is. One of which only the product's stop changed keeps its rendered releases.
    fn new(
        entry: &Arc<StreamEntry>,
        before: Option<&Arc<Self>>,
        first_scopes: impl FnOnce() -> StreamScopes,
    ) -> Arc<Self> {
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.entry, entry)) {
            return before.clone();
        }
        let scopes = match before {
            None => Arc::new(first_scopes()),
            Some(before) if before.entry.shares_graphs_with(entry) => {
                before.scopes.inherit(&before.scopes);
                before.scopes.clone()
            }
            Some(before) => Arc::new(before.scopes.next(entry)),
        };
        Arc::new(Self {
            entry: entry.clone(),
            scopes,
            texts: RwLock::default(),
            timed_text: Mutex::default(),
            parsed: RwLock::default(),
        })
    }

    /// Returns the stream at its revision.
    #[must_use]
    pub fn entry(&self) -> &Arc<StreamEntry> {
        &self.entry
    }

    /// Returns its scopes.
    #[must_use]
    pub fn scopes(&self) -> &Arc<StreamScopes> {
        &self.scopes
    }

    /// Returns a text that depends only on this revision. Renders it at the first call.
    pub(super) fn text(&self, name: &'static str, render: impl FnOnce() -> Option<Rendered>) -> Option<Arc<Rendered>> {
        if let Some(text) = self.texts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return text.clone();
        }
        let text = render().map(Arc::new);
        self.texts.write().unwrap_or_else(PoisonError::into_inner).insert(name, text.clone());
        text
    }

    /// Returns a text that depends on this revision and the time. Renders it at most once per second.
    pub(super) fn timed_text(&self, second: i64, render: impl FnOnce() -> Option<Rendered>) -> Option<Arc<Rendered>> {
        let mut cached = self.timed_text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((rendered_for, text)) = &*cached
            && *rendered_for == second
        {
            return text.clone();
        }
        let new = render().map(Arc::new);
        // An unchanged text keeps its encodings.
        let before = cached.take().and_then(|(_, before)| before);
        let same = before.filter(|before| new.as_ref().is_some_and(|new| new.body == before.body));
        let text = same.or(new);
        *cached = Some((second, text.clone()));
        text
    }

    /// Returns the upstream document of a kind as JSON, or `None` if it is missing or not JSON. Parses it at the first call.
    #[must_use]
    pub(super) fn parsed_source(&self, kind: &'static str) -> Option<Arc<Value>> {
        if let Some(parsed) = self.parsed.read().unwrap_or_else(PoisonError::into_inner).get(kind) {
            return Some(parsed.clone());
        }
        let parsed: Arc<Value> = Arc::new(serde_json::from_slice(self.entry.source(kind)?).ok()?);
        self.parsed.write().unwrap_or_else(PoisonError::into_inner).insert(kind, parsed.clone());
        Some(parsed)
    }
}
