//! One stream in the catalog: a graph for each scope, and cached answers.

use super::{
    known::{PayloadHashes, hashes},
    rendered::{Render, Rendered},
    scope::Scope,
};
use crate::{
    domain::{
        admission::emergency_stop::EmergencyStop,
        graph::Graph,
        hash::ContentHash,
        ids::Arch,
        payload::Scheme,
        stream::{Revision, Stream},
    },
    store::State,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// A stream at one revision.
#[derive(Debug)]
pub struct StreamEntry {
    state: State,
    arches: BTreeSet<Arch>,
    /// Shared by entries that differ only in their product's stop.
    scopes: Arc<BTreeMap<Arch, BTreeMap<Scheme, Scope>>>,
    /// The payloads of its releases in all scopes.
    payloads: PayloadHashes,
    synthetic: bool,
    texts: RwLock<HashMap<&'static str, Option<Arc<Rendered>>>>,
    /// The text that depends on the time, and the second for which it was rendered.
    timed_text: Mutex<Option<(i64, Option<Arc<Rendered>>)>>,
    /// Upstream's documents that were parsed.
    parsed: RwLock<HashMap<String, Arc<Value>>>,
}

impl StreamEntry {
    /// Builds the graphs of all its scopes.
    #[must_use]
    pub fn new(state: State, render: &dyn Render) -> Self {
        let stream = &state.stream;
        let mut scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>> = BTreeMap::new();
        for key in stream.payload_keys() {
            let scope = Scope::new(Graph::new(stream, &key.arch, &key.scheme), render);
            scopes.entry(key.arch.clone()).or_default().insert(key.scheme.clone(), scope);
        }
        Self {
            arches: stream.known_arches().into_iter().cloned().collect(),
            payloads: hashes(scopes.values().flat_map(BTreeMap::values).flat_map(|scope| scope.graph().names())),
            scopes: Arc::new(scopes),
            synthetic: stream.is_synthetic(),
            texts: RwLock::default(),
            timed_text: Mutex::default(),
            parsed: RwLock::default(),
            state,
        }
    }

    /// Returns this entry with another stop of its product, or without one. The graphs are shared; the texts are rendered again.
    #[must_use]
    pub(super) fn with_product_stop(&self, stop: Option<&EmergencyStop>) -> Self {
        let mut state = self.state.clone();
        state.stream.product_stop = stop.cloned();
        let (arches, scopes, payloads) = (self.arches.clone(), self.scopes.clone(), self.payloads.clone());
        Self {
            state,
            arches,
            scopes,
            payloads,
            synthetic: self.synthetic,
            texts: RwLock::default(),
            timed_text: Mutex::default(),
            parsed: RwLock::default(),
        }
    }

    /// Returns true while an emergency stop of the stream or of its product is active. Nothing is offered then.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let stream = &self.state.stream;
        stream.stop.is_some() || stream.product_stop.is_some()
    }

    /// Returns the hashes of its payloads.
    pub(super) fn payloads(&self) -> &[u64] {
        &self.payloads
    }

    /// Returns all scopes.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.values().flat_map(BTreeMap::values)
    }

    /// Returns the revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.state.revision
    }

    /// Returns the stored state.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.state.stream
    }

    /// Returns the time of the revision.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.state.changed_at
    }

    /// Returns the time of the revision if no other revision of the stream has the same second, so that it can be a `Last-Modified`.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.state.owns_its_second.then_some(self.state.changed_at)
    }

    /// Returns the upstream document of a kind from which the stream was imported.
    #[must_use]
    pub fn source(&self, kind: &str) -> Option<&Bytes> {
        self.state.sources.get(kind)
    }

    /// Returns an upstream document by its hash, which saves reading it from the database again.
    #[must_use]
    pub(super) fn source_by_hash(&self, hash: ContentHash) -> Option<Bytes> {
        let (kind, _) = self.state.stream.sources.iter().find(|(_, known)| **known == hash)?;
        self.state.sources.get(kind).cloned()
    }

    /// Returns a text that depends only on this revision. Renders it at the first call.
    pub fn text(&self, name: &'static str, render: impl FnOnce() -> Option<Rendered>) -> Option<Arc<Rendered>> {
        if let Some(text) = self.texts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return text.clone();
        }
        let text = render().map(Arc::new);
        self.texts.write().unwrap_or_else(PoisonError::into_inner).insert(name, text.clone());
        text
    }

    /// Returns a text that depends on this revision and the time. Renders it at most once per second.
    pub fn timed_text(&self, second: i64, render: impl FnOnce() -> Option<Rendered>) -> Option<Arc<Rendered>> {
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
    pub fn parsed_source(&self, kind: &str) -> Option<Arc<Value>> {
        if let Some(parsed) = self.parsed.read().unwrap_or_else(PoisonError::into_inner).get(kind) {
            return Some(parsed.clone());
        }
        let parsed: Arc<Value> = Arc::new(serde_json::from_slice(self.source(kind)?).ok()?);
        self.parsed.write().unwrap_or_else(PoisonError::into_inner).insert(kind.into(), parsed.clone());
        Some(parsed)
    }

    /// Returns the number of releases, without drafts.
    #[must_use]
    pub fn releases(&self) -> usize {
        self.state.stream.aged().count()
    }

    /// Returns true if it has placeholder (synthetic) payloads.
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.synthetic
    }

    /// Returns true if the stream is built for this arch.
    #[must_use]
    pub fn knows_arch(&self, arch: &str) -> bool {
        self.arches.contains(arch)
    }

    /// Returns the arches that the stream is built for.
    #[must_use]
    pub fn arches(&self) -> &BTreeSet<Arch> {
        &self.arches
    }

    /// Returns the scope of an arch and a scheme, or `None` if it has no releases.
    #[must_use]
    pub fn scope(&self, arch: &str, scheme: &str) -> Option<&Scope> {
        self.scopes.get(arch)?.get(scheme)
    }

    /// Returns true if both share the same graphs in memory.
    pub(super) fn shares_graphs_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.scopes, &other.scopes)
    }

    /// Records which full graphs were in use at the previous revision. Returns true if there are any.
    pub(super) fn inherit(&self, before: &Self) -> bool {
        let mut any = false;
        for scope in self.scopes() {
            let (arch, scheme) = (scope.graph().arch.as_str(), scope.graph().scheme.as_str());
            let in_use = before.scope(arch, scheme).map(Scope::in_use).unwrap_or_default();
            any |= !in_use.is_empty();
            scope.set_inherited(&in_use.into());
        }
        any
    }
}
