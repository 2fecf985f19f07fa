//! A cache of the full graphs of a scope, by visibility.

use super::{cached_graph::CachedGraph, encoding::Coding, node_profile::InUse, rendered::Rendered};
use crate::domain::graph::visibility::Visibility;
use std::{collections::HashMap, sync::Arc};

/// Visibilities nest along a rollout: few are in use at a time.
const MAX_ENTRIES: usize = 64;
/// The answers of a large stream are large: fewer of them are cached. All scopes share another bound, and encodings have their own.
const MAX_BYTES: usize = 16 << 20;

/// A bounded cache of answers. A new entry without room evicts others one at a time, so that requests for rare visibilities cannot
/// empty the cache for common ones.
#[derive(Debug, Clone, Default)]
pub(super) struct FullGraphs {
    entries: HashMap<Visibility, Arc<CachedGraph>>,
    /// The full graphs that were in use at the previous revision and are not rendered yet.
    inherited: Arc<[InUse]>,
}

impl FullGraphs {
    /// Returns the answer for a visibility, if it is cached.
    pub(super) fn get(&self, visibility: &Visibility) -> Option<&Arc<Rendered>> {
        let entry = self.entries.get(visibility)?;
        entry.set_used();
        Some(&entry.rendered)
    }

    /// Returns the answer for a visibility, if it is cached. Does not count as a use.
    pub(super) fn peek(&self, visibility: &Visibility) -> Option<&Arc<Rendered>> {
        self.entries.get(visibility).map(|entry| &entry.rendered)
    }

    /// Caches an answer.
    pub(super) fn insert(&mut self, visibility: Visibility, graph: Arc<CachedGraph>) {
        // Another thread may have rendered the same.
        self.entries.remove(&visibility);
        while self.has_no_room_for(&graph.rendered) {
            let Some(victim) = self.victim() else { break };
            self.entries.remove(&victim);
        }
        self.entries.insert(visibility, graph);
    }

    /// Returns the other answers.
    pub(super) fn without(&self, graph: &Arc<CachedGraph>) -> Self {
        let mut others = self.clone();
        others.entries.retain(|_, other| !Arc::ptr_eq(other, graph));
        others
    }

    /// Returns the full graphs that are requested repeatedly, and the inherited ones that are not rendered yet.
    pub(super) fn in_use(&self) -> Vec<InUse> {
        let used = self.entries.values().filter(|entry| entry.is_used());
        let used = used.map(|entry| InUse {
            node_profile: entry.node_profile.clone(),
            codings: Coding::ALL.into_iter().filter(|coding| entry.rendered.slot(*coding).is_wanted()).collect(),
        });
        let mut all: Vec<InUse> = used.collect();
        for inherited in self.inherited.iter() {
            if all.iter().all(|known| known.node_profile != inherited.node_profile) {
                all.push(inherited.clone());
            }
        }
        all.truncate(MAX_ENTRIES);
        all
    }

    /// Returns the inherited full graphs that are not rendered yet.
    pub(super) fn inherited(&self) -> &Arc<[InUse]> {
        &self.inherited
    }

    /// Sets the full graphs to render before they are requested.
    pub(super) fn set_inherited(&mut self, inherited: Arc<[InUse]>) {
        self.inherited = inherited;
    }

    fn has_no_room_for(&self, rendered: &Rendered) -> bool {
        let bytes: usize = self.entries.values().map(|entry| entry.rendered.body.len()).sum();
        self.entries.len() >= MAX_ENTRIES || bytes + rendered.body.len() > MAX_BYTES
    }

    /// Chooses the entry to evict: at random among those without a hit since the last eviction, because a fixed order has no hits at all
    /// when more visibilities than fit are requested in turn. An entry that is being sent stays unless there are too many: evicting it frees
    /// nothing, and the next request for it would allocate the same again.
    fn victim(&self) -> Option<Visibility> {
        let is_full = self.entries.len() >= MAX_ENTRIES;
        let removable = self.entries.iter().filter(|(_, entry)| is_full || !entry.rendered.is_being_sent());
        let (used, unused): (Vec<_>, Vec<_>) = removable.partition(|(_, entry)| entry.take_used());
        fastrand::choice(if unused.is_empty() { used } else { unused }).map(|(visibility, _)| visibility.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::node_profile::NodeProfile;
    use crate::domain::{
        document::StreamDocument,
        epoch::Epoch,
        graph::{Graph, visibility::NodeContext},
        ids::Arch,
        payload::Scheme,
        rollout::wariness::Wariness,
        stream::Stream,
    };
    use bytes::Bytes;

    /// Returns this many visibilities, each of which sees one release more.
    fn visibilities(count: u32) -> Vec<Visibility> {
        let release = |n: u32| {
            let share = f64::from(n) / f64::from(count);
            format!(
                "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n\
                 rollouts = [{{ start_share = {share:.4} }}]\n"
            )
        };
        let releases: String = (1..=count).map(release).collect();
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{releases}");
        let document: StreamDocument = toml::from_str(&text).unwrap();
        let stream = Stream::from_document(&document, crate::domain::document::Strictness::Strict).unwrap();
        let graph = Graph::new(&stream, &Arch::parse("x86_64").unwrap(), &Scheme::oci());
        let visibility = |n: u32| {
            let wariness = Wariness::new((f64::from(n) + 0.5) / f64::from(count));
            graph.visibility(
                &NodeContext { group: None, platform: None, wariness, is_stopped: false },
                Epoch(1_790_000_000),
            )
        };
        (0..count).map(visibility).collect()
    }

    fn node_profile() -> NodeProfile {
        NodeProfile::new(&NodeContext { group: None, platform: None, wariness: Wariness::new(0.5), is_stopped: false })
    }

    fn cached(rendered: &Arc<Rendered>) -> Arc<CachedGraph> {
        Arc::new(CachedGraph::new(rendered.clone(), node_profile(), Arc::default()))
    }

    fn rendered(bytes: usize) -> Arc<Rendered> {
        Arc::new(Rendered::new(Bytes::from(vec![b'x'; bytes])))
    }

    /// Requests these in turn, several times, and inserts each missing one with this many bytes. Returns the number of misses.
    fn misses(graphs: &mut FullGraphs, visibilities: &[Visibility], bytes: usize, rounds: usize) -> usize {
        let (mut misses, same) = (0, rendered(bytes));
        for visibility in std::iter::repeat_n(visibilities, rounds).flatten() {
            if graphs.get(visibility).is_none() {
                misses += 1;
                graphs.insert(visibility.clone(), cached(&same));
            }
        }
        misses
    }

    #[test]
    fn nine_visibilities_that_fit_are_rendered_once() {
        let (visibilities, mut graphs) = (visibilities(9), FullGraphs::default());
        assert_eq!(misses(&mut graphs, &visibilities, MAX_BYTES / 9, 100), 9);
        assert_eq!(graphs.entries.len(), 9);
    }

    #[test]
    fn nine_visibilities_that_do_not_fit_do_not_empty_the_cache() {
        let (visibilities, mut graphs) = (visibilities(9), FullGraphs::default());
        let misses = misses(&mut graphs, &visibilities, MAX_BYTES / 8, 100);
        assert_eq!(graphs.entries.len(), 8);
        // One of the nine is always missing. A cache that is emptied, or that evicts the oldest, misses all 900 times.
        assert!(misses < 600, "{misses}");
    }

    #[test]
    fn rare_visibilities_do_not_evict_a_common_one() {
        let (visibilities, mut graphs) = (visibilities(9), FullGraphs::default());
        let (often, rarely) = visibilities.split_first().unwrap();
        let same = rendered(MAX_BYTES / 3);
        graphs.insert(often.clone(), cached(&same));
        for visibility in std::iter::repeat_n(rarely, 100).flatten() {
            assert!(graphs.get(often).is_some());
            if graphs.get(visibility).is_none() {
                graphs.insert(visibility.clone(), cached(&same));
            }
        }
    }

    #[test]
    fn an_answer_that_is_being_sent_is_not_rendered_again() {
        let (visibilities, mut graphs) = (visibilities(9), FullGraphs::default());
        let mut sending = Vec::new();
        for visibility in std::iter::repeat_n(&visibilities, 10).flatten() {
            if graphs.get(visibility).is_none() {
                let rendered = rendered(MAX_BYTES / 2);
                sending.push(rendered.body.clone());
                graphs.insert(visibility.clone(), cached(&rendered));
            }
        }
        assert_eq!((sending.len(), graphs.entries.len()), (9, 9));
        drop(sending);
        graphs.insert(visibilities[0].clone(), cached(&rendered(MAX_BYTES / 2)));
        assert_eq!(graphs.entries.len(), 2, "answers that are no longer sent are evicted");
    }

    #[test]
    fn the_number_of_entries_is_bounded_even_if_all_are_being_sent() {
        let (visibilities, mut graphs) = (visibilities(128), FullGraphs::default());
        let sending: Vec<_> = visibilities
            .iter()
            .map(|visibility| {
                let rendered = rendered(1);
                let body = rendered.body.clone();
                graphs.insert(visibility.clone(), cached(&rendered));
                body
            })
            .collect();
        assert_eq!((graphs.entries.len(), sending.len()), (MAX_ENTRIES, 128));
        graphs.insert(visibilities[0].clone(), cached(&rendered(2 * MAX_BYTES)));
        assert!(graphs.get(&visibilities[0]).is_some(), "an answer larger than the cache is the only one in it");
    }
}
