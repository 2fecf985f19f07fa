//! One stream in the catalog: a graph for each scope, and the answers that were asked for.

use super::rendered::{Render, Rendered};
use crate::{
    domain::{
        arch::Arch,
        graph::{Graph, Standing},
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
    sync::{PoisonError, RwLock},
};

/// A stream at one revision.
#[derive(Debug)]
pub struct StreamEntry {
    state: State,
    arches: BTreeSet<Arch>,
    scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>>,
    synthetic: bool,
    texts: RwLock<HashMap<&'static str, Option<Rendered>>>,
}

impl StreamEntry {
    /// Builds the graphs of all its scopes.
    #[must_use]
    pub fn of(state: State) -> Self {
        let stream = &state.stream;
        let mut scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>> = BTreeMap::new();
        for key in stream.payload_keys() {
            let scope = Scope::of(Graph::of(stream, &key.arch, &key.scheme));
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
    pub fn text(&self, name: &'static str, make: impl FnOnce() -> Option<Rendered>) -> Option<Rendered> {
        if let Some(text) = self.texts.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return text.clone();
        }
        let text = make();
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

/// One graph, and its answers by what they hold back.
#[derive(Debug)]
pub struct Scope {
    graph: Graph,
    wholes: RwLock<HashMap<Standing, Rendered>>,
}

/// Standings nest along a rollout, so that few are in use at a time; those of the past go when it gets crowded.
const MOST_STANDINGS: usize = 64;

impl Scope {
    fn of(graph: Graph) -> Self {
        Self { graph, wholes: RwLock::default() }
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The whole graph as this standing sees it, rendered when it is first needed.
    #[must_use]
    pub fn whole(&self, standing: &Standing, render: &impl Render) -> Rendered {
        if let Some(rendered) = self.wholes.read().unwrap_or_else(PoisonError::into_inner).get(standing) {
            return rendered.clone();
        }
        let rendered = Rendered::new(render.whole(&self.graph, standing));
        let mut wholes = self.wholes.write().unwrap_or_else(PoisonError::into_inner);
        if wholes.len() >= MOST_STANDINGS {
            wholes.clear();
        }
        wholes.insert(standing.clone(), rendered.clone());
        rendered
    }
}
