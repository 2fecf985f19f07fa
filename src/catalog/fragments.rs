//! The rendered releases of one scope. Each is rendered when it is first requested, and shared with the next revision.

use super::rendered::{NodeFragment, Render};
use crate::domain::graph::{
    Graph, NodeIndex,
    visibility::{NodeContext, TargetVisibility},
};
use crate::domain::rollout::wariness::Wariness;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, TryLockError},
};

/// The fragments of the releases of one scope. Reading one that was rendered takes no lock.
#[derive(Debug)]
pub(super) struct Fragments {
    /// The fragments of one release are adjacent: one for each rollout that can apply to a node, then, unless one applies to every node, one
    /// for nodes to which none applies.
    slots: Box<[OnceLock<Fragment>]>,
    /// For each release, the index of its first slot, then the number of slots.
    starts: Box<[u32]>,
    texts: Arc<SharedTexts>,
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
    pub(super) fn new(graph: &Graph, texts: Arc<SharedTexts>, before: Option<(&Graph, &Self)>) -> Self {
        let mut starts = Vec::with_capacity(graph.nodes().len() + 1);
        let mut count = 0;
        starts.push(count);
        for (index, _) in graph.nodes().iter().enumerate() {
            count += count_variants(graph, NodeIndex(index));
            starts.push(count);
        }
        let slots = (0..count).map(|_| OnceLock::new()).collect();
        let new = Self { slots, starts: starts.into(), texts };
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
        let fragment = self.texts.fragment(render.fragment(graph, graph.node(index)?, visibility.rollout));
        // Of two nodes that are first, one stores the fragment.
        let _ = slot.set(fragment);
        slot.get().map(Fragment::borrowed)
    }

    #[cfg(test)]
    pub(super) fn rendered(&self) -> usize {
        self.slots.iter().filter(|slot| slot.get().is_some()).count()
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
    fn borrowed(&self) -> NodeFragment<&[u8]> {
        let names = self.names.as_deref();
        NodeFragment { before: &self.before, names: names.map(|names| (&*names.payload, &*names.after)) }
    }
}

/// The texts of fragments that are equal on several arches.
#[derive(Debug, Default)]
pub(super) struct SharedTexts(Mutex<Texts>);

#[derive(Debug, Default)]
struct Texts {
    texts: HashSet<Arc<[u8]>>,
    /// The number of texts at which those that are no longer used are removed.
    sweep_at: usize,
}

/// The least number of texts at which unused ones are removed.
const MIN_SWEEP: usize = 64;

impl SharedTexts {
    fn fragment(&self, rendered: NodeFragment<Vec<u8>>) -> Fragment {
        let names =
            rendered.names.map(|(payload, after)| Box::new(NodeNames { payload: payload.into(), after: after.into() }));
        Fragment { before: self.share(&rendered.before), names }
    }

    /// Returns a text, shared with an equal one if there is one. Waits for no other thread: then the text is not shared.
    fn share(&self, text: &[u8]) -> Arc<[u8]> {
        let mut texts = match self.0.try_lock() {
            Ok(texts) => texts,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return text.into(),
        };
        if let Some(known) = texts.texts.get(text) {
            return known.clone();
        }
        if texts.texts.len() >= texts.sweep_at {
            texts.texts.retain(|text| Arc::strong_count(text) > 1);
            texts.sweep_at = MIN_SWEEP.max(2 * texts.texts.len());
        }
        let new: Arc<[u8]> = text.into();
        texts.texts.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_shared_and_unused_ones_removed() {
        let texts = SharedTexts::default();
        let kept = texts.share(b"kept");
        assert!(Arc::ptr_eq(&kept, &texts.share(b"kept")));
        for n in 0..10 * MIN_SWEEP {
            texts.share(n.to_string().as_bytes());
        }
        assert!(texts.0.lock().unwrap().texts.len() <= MIN_SWEEP + 1);
        assert!(Arc::ptr_eq(&kept, &texts.share(b"kept")));
        let locked = texts.0.lock().unwrap();
        assert_eq!(&*texts.share(b"kept"), b"kept", "a text is not shared while another thread looks for one");
        drop(locked);
    }
}
