//! The bound on the cached full graphs of all scopes of all streams.

use super::{cached_graph::CachedGraph, full_graphs::FullGraphs, node_profile::NodeProfile, rendered::Rendered};
use arc_swap::ArcSwap;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes that the bodies of cached full graphs may take and do take, in all scopes that share it. Clones are the same cache.
#[derive(Debug, Clone)]
pub struct GraphCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    used: Arc<AtomicUsize>,
    cached: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    graphs: Vec<Located>,
    /// The number of entries at which those of graphs that were dropped are removed.
    sweep_at: usize,
}

/// A cached full graph and the scope that it is in.
#[derive(Debug)]
struct Located {
    graph: Weak<CachedGraph>,
    scope: Weak<ArcSwap<FullGraphs>>,
}

/// The maximum unless it is configured.
const DEFAULT_MAX_BYTES: usize = 32 << 20;
/// The least number of entries at which those of dropped graphs are removed.
const MIN_SWEEP: usize = 64;

impl GraphCache {
    /// Creates a cache of this many bytes. A single full graph that is larger is still cached.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Inner { max, used: Arc::default(), cached: Mutex::default() }))
    }

    /// Returns the bytes of the bodies that are cached.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Evicts other full graphs if there is no room, and returns an entry for the cache of `scope`. Called when a full graph was rendered;
    /// requests for cached ones take no lock.
    pub(super) fn admit(
        &self,
        scope: &Arc<ArcSwap<FullGraphs>>,
        node_profile: NodeProfile,
        rendered: Arc<Rendered>,
    ) -> Arc<CachedGraph> {
        let bytes = rendered.body.len();
        let mut cached = self.cached();
        let mut excess = self.used().saturating_add(bytes).saturating_sub(self.0.max);
        while excess > 0 {
            let Some(victim) = cached.take_victim() else { break };
            excess = excess.saturating_sub(victim);
        }
        let graph = Arc::new(CachedGraph::new(rendered, node_profile, self.0.used.clone()));
        cached.add(Located { graph: Arc::downgrade(&graph), scope: Arc::downgrade(scope) });
        graph
    }

    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.0.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for GraphCache {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_BYTES)
    }
}

impl Cached {
    fn add(&mut self, located: Located) {
        if self.graphs.len() >= self.sweep_at {
            self.graphs.retain(|located| located.graph.strong_count() > 0);
            self.sweep_at = MIN_SWEEP.max(2 * self.graphs.len());
        }
        self.graphs.push(located);
    }

    /// Evicts one full graph: from a random position on, the first one without a hit since an eviction passed it, which protects those in
    /// constant use from rarely used ones. One that is being sent stays: evicting it frees nothing, and the next request for it would allocate
    /// the same again. Returns the number of bytes, or `None` if there is no other.
    fn take_victim(&mut self) -> Option<usize> {
        let start = fastrand::usize(..self.graphs.len().max(1));
        let order = (start..self.graphs.len()).chain(0..start);
        let evictable = order.filter_map(|index| Some((index, self.graphs.get(index)?.graph.upgrade()?)));
        let mut evictable = evictable.filter(|(_, graph)| !graph.rendered.is_being_sent());
        let mut used = None;
        let unused = evictable.find(|(index, graph)| {
            let is_used = graph.take_used();
            if is_used && used.is_none() {
                used = Some((*index, graph.clone()));
            }
            !is_used
        });
        let (index, graph) = unused.or(used)?;
        if let Some(scope) = self.graphs.swap_remove(index).scope.upgrade() {
            scope.rcu(|current| current.without(&graph));
        }
        Some(graph.rendered.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        graph::{
            Graph,
            visibility::{NodeContext, Visibility},
        },
        ids::Arch,
        payload::Scheme,
        rollout::wariness::Wariness,
        samples,
        stream::Stream,
    };
    use proptest::{collection::vec, prelude::*};

    fn node() -> NodeContext<'static> {
        NodeContext { group: None, platform: None, wariness: Wariness::new(0.0), is_stopped: false }
    }

    type Scope = Arc<ArcSwap<FullGraphs>>;

    fn visibility() -> Visibility {
        let graph = Graph::new(&Stream::empty(samples::id()), &Arch::parse("x86_64").unwrap(), &Scheme::oci());
        graph.visibility(&node(), crate::domain::epoch::Epoch(0))
    }

    /// Requests the full graph of a scope. Returns its body if it had to be rendered.
    fn request(cache: &GraphCache, scope: &Scope, bytes: usize) -> Option<bytes::Bytes> {
        let visibility = visibility();
        if scope.load().get(&visibility).is_some() {
            return None;
        }
        let rendered = Arc::new(Rendered::new(vec![b'x'; bytes].into()));
        let body = rendered.body.clone();
        let graph = cache.admit(scope, NodeProfile::new(&node()), rendered);
        scope.rcu(|current| {
            let mut next = FullGraphs::clone(current);
            next.insert(visibility.clone(), graph.clone());
            next
        });
        Some(body)
    }

    fn scopes<const COUNT: usize>() -> [Scope; COUNT] {
        std::array::from_fn(|_| Scope::default())
    }

    fn cached_bytes(scopes: &[Scope]) -> usize {
        let graphs = scopes.iter().filter_map(|scope| Some(scope.load().peek(&visibility())?.body.len()));
        graphs.sum()
    }

    proptest! {
        #[test]
        fn cached_graphs_of_all_scopes_fit_into_the_bound(requests in vec((0usize..8, 1usize..50), 1..60)) {
            let (cache, scopes) = (GraphCache::new(100), scopes::<8>());
            for (scope, bytes) in requests {
                drop(request(&cache, &scopes[scope], bytes));
                prop_assert!(cache.used() <= 100);
                prop_assert_eq!(cache.used(), cached_bytes(&scopes));
            }
            drop(scopes);
            prop_assert_eq!(cache.used(), 0);
        }
    }

    #[test]
    fn rare_graphs_do_not_evict_one_in_constant_use() {
        let (cache, scopes) = (GraphCache::new(300), scopes::<50>());
        let (often, rarely) = scopes.split_first().unwrap();
        drop(request(&cache, often, 100));
        for scope in std::iter::repeat_n(rarely, 20).flatten() {
            assert!(request(&cache, often, 100).is_none());
            drop(request(&cache, scope, 100));
        }
    }

    #[test]
    fn graphs_that_are_being_sent_stay_and_a_large_one_is_the_only_one() {
        let (cache, scopes) = (GraphCache::new(100), scopes::<3>());
        let [first, second, third] = &scopes;
        let sending = [first, second].map(|scope| request(&cache, scope, 80));
        assert_eq!(cache.used(), 160);
        drop(sending);
        drop(request(&cache, third, 1000));
        assert_eq!((cache.used(), cached_bytes(&scopes)), (1000, 1000));
    }
}
