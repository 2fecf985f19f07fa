//! One scope: its graph, and answers that are prepared from it.

use super::{
    fragments::Fragments,
    full_graphs::FullGraphs,
    graph_cache::GraphCache,
    node_profile::{InUse, NodeProfile},
    rendered::{NodeFragment, Render, Rendered},
};
use crate::{
    domain::graph::{
        Graph, NodeIndex,
        visibility::{NodeContext, TargetVisibility, Visibility},
    },
    telemetry::PollTally,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::sync::OnceCell;

/// One graph, its rendered releases, and its full graphs by visibility.
pub struct Scope {
    graph: Arc<Graph>,
    /// The format of its answers. Scopes of other formats have caches of their own.
    render: Arc<dyn Render>,
    fragments: Fragments,
    full_graphs: Arc<ArcSwap<FullGraphs>>,
    /// Bounds the full graphs of all scopes.
    graph_cache: GraphCache,
    /// Full graphs that are being rendered for waiting requests.
    renders: Mutex<HashMap<Visibility, Arc<SharedRender>>>,
    tally: OnceLock<Arc<PollTally>>,
}

/// What the scopes of a stream share.
#[derive(Clone)]
pub(super) struct SharedByScopes {
    /// The format of their answers.
    pub(super) render: Arc<dyn Render>,
    pub(super) graph_cache: GraphCache,
}

impl std::fmt::Debug for SharedByScopes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SharedByScopes").field("graph_cache", &self.graph_cache).finish_non_exhaustive()
    }
}

impl Scope {
    /// Renders nothing. What was rendered of releases that did not change is taken from the scope at the previous revision.
    pub(super) fn new(graph: Arc<Graph>, shared: &SharedByScopes, before: Option<&Self>) -> Self {
        let SharedByScopes { render, graph_cache } = shared.clone();
        let before = before.map(|before| (&*before.graph, &before.fragments));
        Self {
            fragments: Fragments::new(&graph, before),
            graph,
            render,
            full_graphs: Arc::default(),
            graph_cache,
            renders: Mutex::default(),
            tally: OnceLock::new(),
        }
    }

    /// Returns the graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the counters of polls of this scope. Calls `find` at the first poll.
    pub fn tally(&self, find: impl FnOnce() -> Arc<PollTally>) -> &PollTally {
        self.tally.get_or_init(find)
    }

    /// Returns a rendered release for a node with this visibility of it. Renders it at the first call.
    #[must_use]
    pub fn fragment(&self, index: NodeIndex, visibility: TargetVisibility) -> Option<NodeFragment<&[u8]>> {
        self.fragments.get(&self.graph, &*self.render, (index, visibility))
    }

    /// Returns the full graph for a visibility, if it is cached.
    #[must_use]
    pub fn cached_full_graph(&self, visibility: &Visibility) -> Option<Arc<Rendered>> {
        self.full_graphs.load().get(visibility).cloned()
    }

    /// Returns the full graph for a node with this visibility. Renders it on the calling thread if it is not cached.
    #[must_use]
    pub fn full_graph(&self, node_context: &NodeContext<'_>, visibility: &Visibility) -> Arc<Rendered> {
        self.cached_full_graph(visibility).unwrap_or_else(|| self.render(&NodeProfile::new(node_context), visibility))
    }

    /// Renders the full graph for a poll.
    pub(super) fn render_for_poll(&self, node_profile: &NodeProfile, visibility: &Visibility) -> Arc<Rendered> {
        if let Some(tally) = self.tally.get() {
            tally.count_rendered();
        }
        self.render(node_profile, visibility)
    }

    /// Returns the full graph, rendered if it is not cached. Does not count as a use.
    pub(super) fn prepare_full_graph(&self, node_profile: &NodeProfile, visibility: &Visibility) -> Arc<Rendered> {
        let cached = self.full_graphs.load().peek(visibility).cloned();
        cached.unwrap_or_else(|| self.render(node_profile, visibility))
    }

    fn render(&self, node_profile: &NodeProfile, visibility: &Visibility) -> Arc<Rendered> {
        let rendered = Arc::new(Rendered::new(self.render.full_graph(&self.graph, visibility)));
        rendered.prepare_file();
        let cached = self.graph_cache.admit(&self.full_graphs, node_profile.clone(), rendered.clone());
        self.full_graphs.rcu(|current| {
            let mut next = FullGraphs::clone(current);
            next.insert(visibility.clone(), cached.clone());
            next
        });
        rendered
    }

    /// Returns the full graphs that are requested repeatedly.
    pub(super) fn in_use(&self) -> Vec<InUse> {
        self.full_graphs.load().in_use()
    }

    /// Returns the full graphs that were in use at the previous revision and are not prepared yet.
    pub(super) fn inherited(&self) -> Arc<[InUse]> {
        self.full_graphs.load().inherited().clone()
    }

    /// Sets which full graphs to prepare before they are requested.
    pub(super) fn set_inherited(&self, inherited: &Arc<[InUse]>) {
        self.full_graphs.rcu(|current| {
            let mut next = FullGraphs::clone(current);
            next.set_inherited(inherited.clone());
            next
        });
    }

    /// Removes the full graphs to prepare, unless others were set since they were read.
    pub(super) fn clear_inherited(&self, read: &Arc<[InUse]>) {
        self.full_graphs.rcu(|current| {
            let mut next = FullGraphs::clone(current);
            if Arc::ptr_eq(next.inherited(), read) {
                next.set_inherited(Arc::default());
            }
            next
        });
    }

    /// Joins the requests that wait for a full graph.
    pub(super) fn join_render(&self, visibility: &Visibility) -> Waiting<'_> {
        let render = self.renders().entry(visibility.clone()).or_default().clone();
        Waiting { scope: self, visibility: visibility.clone(), render: Some(render) }
    }

    fn renders(&self) -> MutexGuard<'_, HashMap<Visibility, Arc<SharedRender>>> {
        self.renders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scope").field("graph", &self.graph).finish_non_exhaustive()
    }
}

/// A full graph that is rendered once for all requests that wait for it.
/// Holds `None` if rendering failed: the requests that wait then fail too, rather than render one after the other.
type SharedRender = OnceCell<Option<Arc<Rendered>>>;

/// A request that waits for a full graph.
pub(super) struct Waiting<'a> {
    scope: &'a Scope,
    visibility: Visibility,
    /// `None` only while it is dropped.
    render: Option<Arc<SharedRender>>,
}

#[cfg(test)]
impl Scope {
    pub(super) fn has_no_waiting_requests(&self) -> bool {
        self.renders().is_empty()
    }
}

#[cfg(test)]
impl Waiting<'_> {
    pub(super) fn references(&self) -> usize {
        self.render.as_ref().map_or(0, Arc::strong_count)
    }
}

impl Waiting<'_> {
    pub(super) fn render(&self) -> Option<&SharedRender> {
        self.render.as_deref()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut renders = self.scope.renders();
        // Dropped under the lock: of two requests that end together, the second one sees that it is the last.
        drop(self.render.take());
        if renders.get(&self.visibility).is_some_and(|render| Arc::strong_count(render) == 1) {
            renders.remove(&self.visibility);
        }
    }
}
