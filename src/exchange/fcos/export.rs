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
            document::Strictness,
            graph::{Edge, Graph, NodeIndex, visibility::NodeContext},
            policy::graph_rules::{EdgeRule, NewestTargets},
            release::PayloadKey,
            rollout::wariness::Wariness,
            samples,
        },
        exchange::fcos::model::model,
        protocol::fcos::wire,
    };
    use proptest::{option, prelude::*, sample::select};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn read_back(stream: &Stream, now: Epoch) -> Stream {
        let exported = export(stream, Timestamp::UNIX_EPOCH, now, |_| None);
        let text = |path: &str| &exported.iter().find(|exported| exported.path.contains(path)).unwrap().body;
        let releases: wire::Releases = wire::from_json(text("releases.json")).unwrap();
        let updates: wire::Updates = wire::from_json(text("updates/")).unwrap();
        model(&stream.id, &releases, &updates).unwrap().stream
    }

    /// Returns the updates that are open to nodes. Under the edge rule `open` the served graph stands for all older targets, too.
    fn open(stream: &Stream, key: &PayloadKey, node_context: &NodeContext<'_>, now: Epoch) -> BTreeSet<(usize, usize)> {
        let graph = Graph::new(stream, &key.arch, &key.scheme);
        let visibility = graph.visibility(node_context, now);
        let age = |index: NodeIndex| graph.node(index).unwrap().age;
        let ages = |edge: Edge| (age(edge.from), age(edge.to));
        match stream.rules.edge_rule {
            EdgeRule::Open => graph.untrimmed_open_edges(&visibility).map(ages).collect(),
            EdgeRule::Derived | EdgeRule::Explicit => graph.open_edges(&visibility).map(ages).collect(),
        }
    }

    /// Builds a stream of two scopes whose releases all have a completed rollout; the last one exists in one scope only.
    fn completed(targets: Option<u16>, barriers: &[usize]) -> Stream {
        let releases = (0..6).map(|number| {
            let arches: &[&str] = if number == 5 { &["x86_64"] } else { &["aarch64", "x86_64"] };
            let payload = |arch: &&str| json!({"arch": arch, "scheme": "checksum", "id": format!("{number:063x}{}", arch.len() % 10)});
            let mut release = json!({
                "version": format!("1.{number}"), "payloads": arches.iter().map(payload).collect::<Vec<_>>(),
                "rollouts": [{"start": "2026-07-22T14:00:00Z", "start_share": 1.0}],
            });
            if barriers.contains(&number) {
                release["barrier"] = json!({"reason": "keys"});
            }
            release
        });
        let document =
            json!({"format": 1, "product": "os", "stream": "stable", "releases": releases.collect::<Vec<_>>()});
        let mut stream = Stream::from_document(&serde_json::from_value(document).unwrap(), Strictness::Strict).unwrap();
        stream.rules.targets = targets.and_then(NewestTargets::new).into();
        stream
    }

    /// Returns the versions with a rollout in the exported `updates.json`, and its findings.
    fn rolled_out(stream: &Stream) -> (Vec<String>, Vec<String>) {
        let exported = export(stream, Timestamp::UNIX_EPOCH, Epoch(0), |_| None);
        let exported = exported.iter().find(|exported| exported.path.contains("updates/")).unwrap();
        let updates: Value = serde_json::from_slice(&exported.body).unwrap();
        let releases = updates["releases"].as_array().unwrap().iter();
        let open = releases.filter(|release| release["metadata"]["rollout"].is_object());
        (
            open.map(|release| release["version"].as_str().unwrap().to_owned()).collect(),
            exported.findings.iter().map(|finding| finding.message.clone()).collect(),
        )
    }

    #[test]
    fn what_may_be_trimmed_away_is_closed_with_one_finding() {
        let all = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];
        assert_eq!(rolled_out(&completed(None, &[])), (all.map(Into::into).to_vec(), Vec::new()));
        assert_eq!(rolled_out(&completed(Some(6), &[])), (all.map(Into::into).to_vec(), Vec::new()));
        // On aarch64 1.3 is one of the newest two, but not on x86_64.
        let (open, findings) = rolled_out(&completed(Some(2), &[]));
        assert_eq!(open, ["1.4", "1.5"]);
        assert_eq!(
            findings,
            ["updates.json cannot express that nodes are shown some of their targets only (targets: newest 2); \
            4 releases from 1.0 to 1.3 are written as closed, because newer ones may keep them out of what a node is \
             shown"]
        );
        // A barrier is never trimmed away, and takes a place.
        let (open, findings) = rolled_out(&completed(Some(2), &[3]));
        assert_eq!(open, ["1.2", "1.3", "1.4", "1.5"]);
        assert_eq!(findings.len(), 1);
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
