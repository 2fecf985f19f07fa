//! Export of streams in upstream's format and file layout, for `export fcos`.

use crate::{
    domain::{epoch::Epoch, stream::Stream},
    exchange::Exported,
    protocol::fcos::documents::{DocumentInput, Kind, document},
};
use jiff::Timestamp;

/// Builds the documents of a stream. `source` returns the imported documents that they are based on.
pub fn export<'a>(
    stream: &Stream,
    changed_at: Timestamp,
    now: Epoch,
    source: impl Fn(&str) -> Option<&'a [u8]>,
) -> Vec<Exported> {
    let of_kind = |kind: Kind| {
        let input = DocumentInput {
            stream,
            original: source(kind.as_str()),
            changed_at,
            now,
            is_stopped: stream.active_stop().is_some(),
        };
        let document = document(kind, &input)?;
        Some(Exported { path: kind.path(&stream.id.stream), body: document.body, findings: document.findings })
    };
    Kind::ALL.iter().copied().filter_map(of_kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            graph::{Graph, NodeIndex, visibility::NodeContext},
            release::PayloadKey,
            rollout::wariness::Wariness,
            samples,
        },
        exchange::fcos::model::model,
        protocol::fcos::wire,
    };
    use proptest::{option, prelude::*, sample::select};
    use std::collections::BTreeSet;

    fn read_back(stream: &Stream, now: Epoch) -> Stream {
        let exported = export(stream, Timestamp::UNIX_EPOCH, now, |_| None);
        let text = |path: &str| &exported.iter().find(|exported| exported.path.contains(path)).unwrap().body;
        let releases: wire::Releases = wire::from_json(text("releases.json")).unwrap();
        let updates: wire::Updates = wire::from_json(text("updates/")).unwrap();
        model(&stream.id, &releases, &updates).unwrap().stream
    }

    fn open(stream: &Stream, key: &PayloadKey, node_context: &NodeContext<'_>, now: Epoch) -> BTreeSet<(usize, usize)> {
        let graph = Graph::new(stream, &key.arch, &key.scheme);
        let visibility = graph.visibility(node_context, now);
        let age = |index: NodeIndex| graph.node(index).unwrap().age;
        graph.untrimmed_open_edges(&visibility).map(|edge| (age(edge.from), age(edge.to))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn exported_rollouts_never_admit_more_nodes_than_served_ones(
            stream in samples::stream(),
            exported_at in 0i64..400_000,
            later in 0i64..400_000,
            wariness in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64],
            group in option::of(select(&samples::GROUPS)),
            platform in option::of(select(&samples::PLATFORMS)),
        ) {
            let exported = read_back(&stream, Epoch(exported_at));
            let now = Epoch(exported_at + later);
            let node_context = NodeContext { group, platform, wariness: Wariness::new(wariness), is_stopped: false };
            for key in stream.payload_keys() {
                let (exported, served) = (open(&exported, key, &node_context, now), open(&stream, key, &node_context, now));
                prop_assert!(exported.is_subset(&served), "{key:?} exported {exported:?} served {served:?}");
            }
        }
    }
}
