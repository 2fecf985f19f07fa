use super::*;
use crate::{
    catalog::NodeFragment,
    domain::{
        base,
        epoch::Epoch,
        graph::{
            Graph, Node, NodeIndex,
            visibility::{NodeContext, Visibility},
        },
        release::ReleaseState,
        rollout::{preset::Preset, wariness::Wariness},
        stream::Stream,
    },
    store::State,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::atomic::AtomicUsize;

/// Counts the releases that it renders.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Render for Counting {
    fn full_graph(&self, _: &Graph, _: &Visibility) -> Bytes {
        Bytes::new()
    }

    fn fragment(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> NodeFragment<Vec<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let rollout = rollout.map(|rollout| &node.rollouts()[rollout]);
        let text = format!("{} {} {} {:?} {rollout:?}", graph.arch, graph.scheme, node.age, node.barrier);
        NodeFragment { before: text.into(), names: Some((node.payload.to_string().into(), Vec::new())) }
    }
}

/// Requests all releases of all scopes. Returns what they are and how many were rendered for that.
fn request(scopes: &StreamScopes, render: &Counting) -> (Vec<String>, usize) {
    let before = render.0.load(Ordering::Relaxed);
    let node_context =
        NodeContext { group: Some("canary"), platform: None, wariness: Wariness::new(0.5), is_stopped: false };
    let mut texts = Vec::new();
    for scope in scopes.iter() {
        for (index, node) in scope.graph().nodes().iter().enumerate() {
            let visibility = scope.graph().target_visibility(node, &node_context, Epoch(0));
            let fragment = scope.fragment(NodeIndex(index), visibility).unwrap();
            texts.push(format!("{fragment:?}"));
        }
    }
    (texts, render.0.load(Ordering::Relaxed) - before)
}

fn entry(stream: Stream) -> StreamEntry {
    StreamEntry::new(State::unstored(stream))
}

proptest! {
    #[test]
    fn only_releases_that_changed_are_rendered_again(stream in base::samples::stream(), changed in any::<prop::sample::Index>()) {
        let counting = Arc::new(Counting::default());
        let render: Arc<dyn Render> = counting.clone();
        let first_entry = entry(stream.clone());
        let first = StreamScopes::new(&first_entry, &render, &GraphCache::default());
        let (texts, rendered) = request(&first, &counting);
        prop_assert_eq!(rendered, texts.len(), "each release is rendered once for each scope");
        prop_assert_eq!(request(&first, &counting), (texts, 0));

        // As it comes from the database: no release is shared.
        let mut next = stream;
        next.releases.iter_mut().for_each(|release| *release = release.clone().into_inner().into());
        let Some(release) = (!next.releases.is_empty()).then(|| changed.get(&next.releases).clone()) else { return Ok(()) };
        let position = next.releases.iter().position(|other| other.is_same(&release)).unwrap();
        next.releases[position].rollouts.insert(0, Preset::Linear48h.rollout(Epoch(1000)));
        let next_entry = StreamEntry::new_after(State::unstored(next.clone()), Some(&first_entry));
        let scopes = first.next(&next_entry);
        let fresh = StreamScopes::new(&entry(next), &render, &GraphCache::default());
        let (expected, _) = request(&fresh, &counting);
        let (texts, rendered) = request(&scopes, &counting);
        prop_assert_eq!(texts, expected);
        prop_assert_eq!(rendered, if release.state == ReleaseState::Draft { 0 } else { release.payloads.len() });
    }
}
