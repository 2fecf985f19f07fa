//! One stream in the catalog: a graph for each scope, and the answers that were asked for.

use super::rendered::{Render, Rendered};
use crate::domain::{
    arch::Arch,
    graph::{Graph, Standing},
    payload::Scheme,
    stream::{Revision, Stream},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{PoisonError, RwLock},
};

/// A stream at one revision.
#[derive(Debug)]
pub struct StreamEntry {
    revision: Revision,
    arches: BTreeSet<Arch>,
    scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>>,
    releases: usize,
    synthetic: bool,
}

impl StreamEntry {
    /// Builds the graphs of all its scopes.
    #[must_use]
    pub fn of(stream: &Stream, revision: Revision) -> Self {
        let mut scopes: BTreeMap<Arch, BTreeMap<Scheme, Scope>> = BTreeMap::new();
        for key in stream.payload_keys() {
            let scope = Scope::of(Graph::of(stream, &key.arch, &key.scheme));
            scopes.entry(key.arch.clone()).or_default().insert(key.scheme.clone(), scope);
        }
        Self {
            revision,
            arches: stream.known_arches().into_iter().cloned().collect(),
            scopes,
            releases: stream.aged().count(),
            synthetic: stream.is_synthetic(),
        }
    }

    /// The revision that it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many releases it has, drafts not counted.
    #[must_use]
    pub fn releases(&self) -> usize {
        self.releases
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
