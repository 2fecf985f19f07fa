//! One stream in the catalog: its state, and a graph for each scope.

use super::known::{PayloadHashes, hashes};
use crate::{
    domain::{
        admission::emergency_stop::EmergencyStop,
        graph::Graph,
        ids::Arch,
        payload::Scheme,
        stream::{Revision, Stream},
    },
    store::{Known, State},
};
use bytes::Bytes;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A stream at one revision.
#[derive(Debug)]
pub struct StreamEntry {
    state: State,
    arches: BTreeSet<Arch>,
    /// Shared by entries that differ only in their product's stop.
    graphs: Arc<Graphs>,
    /// The payloads of its releases in all scopes.
    payloads: PayloadHashes,
    synthetic: bool,
}

type Graphs = BTreeMap<Arch, BTreeMap<Scheme, Arc<Graph>>>;

impl StreamEntry {
    /// Builds the graphs of all its scopes.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self::new_after(state, None)
    }

    /// Builds the same entry as [`StreamEntry::new`]. It shares with the entry of the previous revision what did not change.
    #[must_use]
    pub(super) fn new_after(mut state: State, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            // A state that was read from its rows shares nothing yet.
            state.stream.share_equal(&before.state.stream);
        }
        let stream = &state.stream;
        let mut graphs = Graphs::new();
        for key in stream.payload_keys() {
            let before = before.and_then(|before| before.graph(key.arch.as_str(), key.scheme.as_str()));
            let graph = Graph::new_after(stream, &key.arch, &key.scheme, before.map(|before| &**before));
            graphs.entry(key.arch.clone()).or_default().insert(key.scheme.clone(), Arc::new(graph));
        }
        let has_same_names = |before: &&Self| {
            let pairs = graphs.values().flat_map(BTreeMap::values).zip(before.graphs());
            before.graphs().count() == graphs.values().flatten().count()
                && pairs.into_iter().all(|(graph, before)| graph.shares_names_with(before))
        };
        let payloads = match before.filter(has_same_names) {
            Some(before) => before.payloads.clone(),
            None => hashes(graphs.values().flat_map(BTreeMap::values).flat_map(|graph| graph.names())),
        };
        Self {
            arches: stream.known_arches().into_iter().cloned().collect(),
            payloads,
            graphs: Arc::new(graphs),
            synthetic: stream.is_synthetic(),
            state,
        }
    }

    /// Returns this entry with another stop of its product, or without one. The graphs are shared.
    #[must_use]
    pub(super) fn with_product_stop(&self, stop: Option<&EmergencyStop>) -> Self {
        let mut state = self.state.clone();
        state.stream.product_stop = stop.cloned();
        let (arches, graphs, payloads) = (self.arches.clone(), self.graphs.clone(), self.payloads.clone());
        Self { state, arches, graphs, payloads, synthetic: self.synthetic }
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

    /// Returns the graphs of all scopes.
    pub fn graphs(&self) -> impl Iterator<Item = &Arc<Graph>> {
        self.graphs.values().flat_map(BTreeMap::values)
    }

    /// Returns the revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.state.revision
    }

    /// Returns the state and the revision, from which a writer can follow the history.
    #[must_use]
    pub fn known(&self) -> Known {
        Known::from(&self.state)
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

    /// Returns the graph of an arch and a scheme, or `None` if it has no releases.
    #[must_use]
    pub fn graph(&self, arch: &str, scheme: &str) -> Option<&Arc<Graph>> {
        self.graphs.get(arch)?.get(scheme)
    }

    /// Returns true if both share the same graphs in memory.
    #[must_use]
    pub fn shares_graphs_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.graphs, &other.graphs)
    }
}
