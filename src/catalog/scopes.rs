//! The scopes of one stream, for one format of answers.

use super::{
    entry::StreamEntry,
    graph_cache::GraphCache,
    rendered::Render,
    scope::{Scope, SharedByScopes},
};
use crate::domain::{ids::Arch, payload::Scheme};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The answers that one protocol prepares from the graphs of one stream at one revision.
#[derive(Debug)]
pub struct StreamScopes {
    scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>>,
    shared: SharedByScopes,
    /// True if full graphs were in use before and are to be rendered again.
    has_inherited: AtomicBool,
}

impl StreamScopes {
    /// Creates the scopes of a stream. Answers are rendered when they are first requested.
    #[must_use]
    pub fn new(entry: &StreamEntry, render: &Arc<dyn Render>, graph_cache: &GraphCache) -> Self {
        let (render, graph_cache) = (render.clone(), graph_cache.clone());
        Self::build(entry, SharedByScopes { render, graph_cache }, None)
    }

    /// Creates the scopes of the next revision of the stream. What was rendered of releases that did not change is shared.
    #[must_use]
    pub fn next(&self, entry: &StreamEntry) -> Self {
        let next = Self::build(entry, self.shared.clone(), Some(self));
        next.inherit(self);
        next
    }

    fn build(entry: &StreamEntry, shared: SharedByScopes, before: Option<&Self>) -> Self {
        let mut scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>> = BTreeMap::new();
        for graph in entry.graphs() {
            let before = before.and_then(|before| before.get(graph.arch.as_str(), graph.scheme.as_str()));
            let scope = Scope::new(graph.clone(), &shared, before);
            scopes.entry(graph.arch.clone()).or_default().insert(graph.scheme.clone(), scope);
        }
        Self { scopes, shared, has_inherited: AtomicBool::new(false) }
    }

    /// Returns the scope of an arch and a scheme, or `None` if it has no releases.
    #[must_use]
    pub fn get(&self, arch: &str, scheme: &str) -> Option<&Scope> {
        self.scopes.get(arch)?.get(scheme)
    }

    /// Returns all scopes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.values().flat_map(BTreeMap::values)
    }

    /// Records which full graphs were in use before, so that [`Preparer`](super::Preparer) renders them again.
    pub fn inherit(&self, before: &Self) {
        let mut any = false;
        for scope in self.iter() {
            let (arch, scheme) = (scope.graph().arch.as_str(), scope.graph().scheme.as_str());
            let in_use = before.get(arch, scheme).map(Scope::in_use).unwrap_or_default();
            any |= !in_use.is_empty();
            scope.set_inherited(&in_use.into());
        }
        self.has_inherited.store(any, Ordering::Relaxed);
    }

    /// Returns true, once, if full graphs were in use before and are not rendered again yet.
    pub(super) fn take_inherited(&self) -> bool {
        self.has_inherited.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "scopes_tests.rs"]
mod tests;
