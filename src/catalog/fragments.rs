//! The rendered releases of one scope. Each is rendered when it is first requested, and shared with the next revision.

use super::rendered::{NodeFragment, Render};
use crate::domain::{
    graph::{
        Graph, NodeIndex,
        visibility::{NodeContext, TargetVisibility},
    },
    rollout::wariness::Wariness,
};
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, Mutex, OnceLock, TryLockError},
};

/// The fragments of the releases of one scope. Reading one that was rendered takes no lock.
#[derive(Debug)]
pub(super) struct Fragments {
    /// The fragments of one release are adjacent: one for each rollout that can apply to a node, then, unless one applies to every node, one
    /// for nodes to which none applies.
    slots: Box<[OnceLock<Fragment>]>,
    /// For each release, the index of its first slot, then the number of slots.
    starts: Box<[u32]>,
}

/// A rendered release. What most releases have as payload and version is not stored.
#[derive(Debug, Clone)]
struct Fragment {
    before: Arc<[u8]>,
    names: Option<Box<NodeNames>>,
}

#[derive(Debug, Clone)]
struct NodeNames {
    payload: Box<[u8]>,
    after: Box<[u8]>,
}

impl Fragments {
    /// Renders nothing. Takes the fragments of releases that did not change from the same scope at the previous revision.
    pub(super) fn new(graph: &Graph, before: Option<(&Graph, &Self)>) -> Self {
        let mut starts = Vec::with_capacity(graph.nodes().len() + 1);
        let mut count = 0;
        starts.push(count);
        for (index, _) in graph.nodes().iter().enumerate() {
            count += count_variants(graph, NodeIndex(index));
            starts.push(count);
        }
        let slots = (0..count).map(|_| OnceLock::new()).collect();
        let new = Self { slots, starts: starts.into() };
        if let Some((before_graph, before)) = before {
            new.inherit(graph, before_graph, before);
        }
        new
    }

    fn inherit(&self, graph: &Graph, before_graph: &Graph, before: &Self) {
        let mut olds = before_graph.nodes().iter().enumerate().peekable();
        for (index, node) in graph.nodes().iter().enumerate() {
            while olds.next_if(|(_, old)| old.age < node.age).is_some() {}
            let Some((old, _)) = olds.next_if(|(_, old)| old.is_same(node)) else { continue };
            for (slot, old) in self.slots_of(NodeIndex(index)).iter().zip(before.slots_of(NodeIndex(old))) {
                if let Some(fragment) = old.get() {
                    // Slots of a new value are empty.
                    let _ = slot.set(fragment.clone());
                }
            }
        }
    }

    fn slots_of(&self, index: NodeIndex) -> &[OnceLock<Fragment>] {
        let bounds = self.starts.get(index.0).zip(self.starts.get(index.0 + 1));
        let range = bounds.and_then(|(start, end)| Some(usize::try_from(*start).ok()?..usize::try_from(*end).ok()?));
        range.and_then(|range| self.slots.get(range)).unwrap_or_default()
    }

    /// Returns the fragment of a release for a node with this visibility of it. Renders it if it is the first such node.
    pub(super) fn get(
        &self,
        graph: &Graph,
        render: &dyn Render,
        (index, visibility): (NodeIndex, TargetVisibility),
    ) -> Option<NodeFragment<&[u8]>> {
        let slots = self.slots_of(index);
        let slot = match visibility.rollout {
            Some(rollout) => slots.get(rollout)?,
            None => slots.last()?,
        };
        if let Some(fragment) = slot.get() {
            return Some(fragment.borrowed());
        }
        let fragment = Fragment::new(render.fragment(graph, graph.node(index)?, visibility.rollout));
        // Of two nodes that are first, one stores the fragment.
        let _ = slot.set(fragment);
        slot.get().map(Fragment::borrowed)
    }
}

/// Returns the number of different fragments of a release: no later rollout applies to a node after one that applies to every node.
fn count_variants(graph: &Graph, index: NodeIndex) -> u32 {
    let Some(node) = graph.node(index) else { return 0 };
    let anyone = NodeContext { group: None, platform: None, wariness: Wariness::new(0.0), is_stopped: false };
    // What matches nodes without a group and platform matches all nodes of the scope.
    let audience = graph.audience(&anyone);
    let last = node.rollouts().iter().position(|rollout| rollout.selector.matches(&audience));
    u32::try_from(last.unwrap_or(node.rollouts().len())).unwrap_or(0).saturating_add(1)
}

impl Fragment {
    fn new(rendered: NodeFragment<Vec<u8>>) -> Self {
        let names = rendered.names.map(|(payload, after)| NodeNames { payload: payload.into(), after: after.into() });
        Self { before: shared(&rendered.before), names: names.map(Box::new) }
    }

    fn borrowed(&self) -> NodeFragment<&[u8]> {
        let names = self.names.as_deref();
        NodeFragment { before: &self.before, names: names.map(|names| (&*names.payload, &*names.after)) }
    }
}

/// The texts that fragments share: those of releases with equal rollouts are equal on several arches, and often in several streams.
#[derive(Debug, Default)]
struct Texts {
    texts: HashSet<Arc<[u8]>>,
    /// The number of texts at which those that are no longer used are removed.
    sweep_at: usize,
}

/// The number of parts, which are locked separately.
const SHARDS: usize = 64;
/// The least number of texts of a part at which unused ones are removed.
const MIN_SWEEP: usize = 16;

static TEXTS: LazyLock<(RandomState, [Mutex<Texts>; SHARDS])> =
    LazyLock::new(|| (RandomState::new(), std::array::from_fn(|_| Mutex::default())));

/// Returns a text, shared with an equal one if there is one. Waits for no other thread: then the text is not shared.
fn shared(text: &[u8]) -> Arc<[u8]> {
    let (hasher, shards) = &*TEXTS;
    let shard = usize::try_from(hasher.hash_one(text)).unwrap_or(0) % SHARDS;
    let texts = shards.get(shard).map(Mutex::try_lock);
    match texts {
        Some(Ok(mut texts)) => texts.shared(text),
        Some(Err(TryLockError::Poisoned(texts))) => texts.into_inner().shared(text),
        Some(Err(TryLockError::WouldBlock)) | None => text.into(),
    }
}

impl Texts {
    fn shared(&mut self, text: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.sweep_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = MIN_SWEEP.max(2 * self.texts.len());
        }
        let new: Arc<[u8]> = text.into();
        self.texts.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_shared_and_unused_ones_removed() {
        let mut texts = Texts::default();
        let kept = texts.shared(b"kept");
        for n in 0..10 * MIN_SWEEP {
            texts.shared(n.to_string().as_bytes());
        }
        assert!(texts.texts.len() <= MIN_SWEEP + 1);
        assert!(Arc::ptr_eq(&kept, &texts.shared(b"kept")));
    }
}
