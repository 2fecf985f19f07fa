//! One scope: its graph, and answers that are prepared from it.

use super::{
    full_graphs::FullGraphs,
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
    full_graphs: ArcSwap<FullGraphs>,
    /// Full graphs that are being rendered for waiting requests.
    renders: Mutex<HashMap<Visibility, Arc<SharedRender>>>,
    tally: OnceLock<Arc<PollTally>>,
}

/// All fragments in one text: reading one touches few cache lines.
#[derive(Debug, Default)]
struct Fragments {
    text: Vec<u8>,
    releases: Vec<ReleaseFragments>,
    /// The fragments of a release's rollouts are adjacent, in the order of the rollouts.
    of_rollouts: Vec<FragmentOffsets>,
}

/// The offsets at which a fragment, its payload, and the part after the payload begin, and at which that part ends.
type FragmentOffsets = [usize; 4];

#[derive(Debug)]
struct ReleaseFragments {
    /// For nodes to which no rollout applies.
    plain: FragmentOffsets,
    /// The index of the first of its fragments in `of_rollouts`.
    rollouts: usize,
}

impl Fragments {
    fn new(graph: &Graph, render: &dyn Render) -> Self {
        let mut fragments = Self::default();
        for node in graph.nodes() {
            let plain = fragments.write(&render.fragment(graph, node, None));
            fragments.releases.push(ReleaseFragments { plain, rollouts: fragments.of_rollouts.len() });
            for rollout in 0..node.rollouts.len() {
                let ends = fragments.write(&render.fragment(graph, node, Some(rollout)));
                fragments.of_rollouts.push(ends);
            }
        }
        fragments.text.shrink_to_fit();
        fragments
    }

    fn write(&mut self, fragment: &NodeFragment<Vec<u8>>) -> FragmentOffsets {
        let start = self.text.len();
        let mut append = |part: &[u8]| {
            self.text.extend_from_slice(part);
            self.text.len()
        };
        [start, append(&fragment.before), append(&fragment.payload), append(&fragment.after)]
    }

    fn get(&self, index: NodeIndex, visibility: TargetVisibility) -> Option<NodeFragment<&[u8]>> {
        let release = self.releases.get(index.0)?;
        let [start, before, payload, after] = match visibility.rollout {
            None => release.plain,
            Some(rollout) => *self.of_rollouts.get(release.rollouts + rollout)?,
        };
        Some(NodeFragment {
            before: self.text.get(start..before)?,
            payload: self.text.get(before..payload)?,
            after: self.text.get(payload..after)?,
        })
    }
}

impl Scope {
    pub(super) fn new(graph: Arc<Graph>, render: Arc<dyn Render>) -> Self {
        Self {
            fragments: Fragments::new(&graph, &*render),
            graph,
            render,
            full_graphs: ArcSwap::default(),
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

    /// Returns a rendered release for a node with this visibility of it.
    #[must_use]
    pub fn fragment(&self, index: NodeIndex, visibility: TargetVisibility) -> Option<NodeFragment<&[u8]>> {
        self.fragments.get(index, visibility)
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
        self.full_graphs.rcu(|current| {
            let mut next = FullGraphs::clone(current);
            next.insert(visibility.clone(), node_profile.clone(), rendered.clone());
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
