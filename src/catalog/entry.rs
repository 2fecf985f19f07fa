//! One stream in the catalog: a graph for each scope, and the answers that were asked for.

use super::{
    rendered::{Render, Rendered},
    scope::Scope,
};
use crate::{
    domain::{
        arch::Arch,
        graph::Graph,
        hash::ContentHash,
        payload::Scheme,
        stream::{Revision, Stream},
    },
    store::State,
};
use bytes::Bytes;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

/// A stream at one revision.
#[derive(Debug)]
pub struct StreamEntry {
    state: State,
    arches: BTreeSet<Arch>,
    scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>>,
    synthetic: bool,
    texts: RwLock<HashMap<&'static str, Option<Arc<Rendered>>>>,
}

impl StreamEntry {
    /// Builds the graphs of all its scopes.
    #[must_use]
    pub fn of(state: State, render: &dyn Render) -> Self {
        let stream = &state.stream;
        let mut scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>> = BTreeMap::new();
        for key in stream.payload_keys() {
            let scope = Scope::of(Graph::of(stream, &key.arch, &key.scheme), render);
            scopes.entry(key.arch.clone()).or_default().insert(key.scheme.clone(), scope);
        }
        Self {
            arches: stream.known_arches().into_iter().cloned().collect(),
            scopes,
            synthetic: stream.is_synthetic(),
            texts: RwLock::default(),
            state,
        }
    }

    /// The revision that it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.state.revision
    }

    /// All that is known of it.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.state.stream
    }

    /// When it got to that revision.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.state.changed_at
    }

    /// The time that names this revision among all of the stream's, in whole seconds; none if it does not.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.state.owns_its_second.then_some(self.state.changed_at)
    }

    /// The upstream document of a kind that it came from.
    #[must_use]
    pub fn source(&self, kind: &str) -> Option<&Bytes> {
        self.state.sources.get(kind)
    }

    /// An upstream document by its hash, so that it need not be fetched again.
    #[must_use]
    pub(super) fn source_by_hash(&self, hash: ContentHash) -> Option<Bytes> {
        let (kind, _) = self.state.stream.sources.iter().find(|(_, known)| **known == hash)?;
        self.state.sources.get(kind).cloned()
    }

    /// A text that follows from this revision alone, made when it is first needed.
    pub fn text(&self, name: &'static str, make: impl FnOnce() -> Option<Rendered>) -> Option<Arc<Rendered>> {
        if let Some(text) = self.texts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return text.clone();
        }
        let text = make().map(Arc::new);
        self.texts.write().unwrap_or_else(PoisonError::into_inner).insert(name, text.clone());
        text
    }

    /// How many releases it has, drafts not counted.
    #[must_use]
    pub fn releases(&self) -> usize {
        self.state.stream.aged().count()
    }

    /// Does it hold placeholders instead of real payloads?
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.synthetic
    }

    /// Is the stream made for this arch?
    #[must_use]
    pub fn knows_arch(&self, arch: &str) -> bool {
        self.arches.contains(arch)
    }

    /// The arches that the stream is made for.
    #[must_use]
    pub fn arches(&self) -> &BTreeSet<Arch> {
        &self.arches
    }

    /// The scope of an arch and a scheme; none if there is no release in it.
    #[must_use]
    pub fn scope(&self, arch: &str, scheme: &str) -> Option<&Scope> {
        self.scopes.get(arch)?.get(scheme)
    }
}
