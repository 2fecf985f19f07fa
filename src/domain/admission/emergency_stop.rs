//! Emergency stops: while one is in force nothing is offered; lifting it restores the previous offers.

use crate::domain::{epoch::Epoch, reason::Reason};

/// An emergency stop of a stream, or of a product with all of its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyStop {
    /// The start. Plan time of every rollout is frozen from then on.
    pub since: Epoch,
    /// The reason.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stream::Stream;
    use crate::domain::{
        graph::{Graph, visibility::NodeContext},
        rollout::wariness::Wariness,
        samples,
    };
    use proptest::prelude::*;

    fn stop(since: i64) -> EmergencyStop {
        EmergencyStop { since: Epoch(since), reason: Reason::new("nodes do not come up again").unwrap() }
    }

    proptest! {
        #[test]
        fn lifting_restores_the_offers_of_the_moment_of_the_stop(
            stream in samples::stream(), since in 0i64..400_000, waited in 0i64..400_000, wariness in 0.0..=1.0f64,
        ) {
            let stopped = Stream { stop: Some(stop(since)), product_stop: None, ..stream.clone() };
            let lifted = stopped.lifted(Epoch(since + waited));
            let node_context = NodeContext { group: Some("default"), platform: None, wariness: Wariness::new(wariness), is_stopped: false };
            for key in stream.payload_keys() {
                let open = |stream: &Stream, now: i64| {
                    let graph = Graph::new(stream, &key.arch, &key.scheme);
                    let visibility = graph.visibility(&node_context, Epoch(now));
                    graph.untrimmed_open_edges(&visibility).collect::<Vec<_>>()
                };
                let before = open(&stream, since);
                // Local shares never fall. Upstream's may, and then lifting offers less than before.
                let after = open(&lifted, since + waited);
                prop_assert!(after.iter().all(|edge| before.contains(edge)), "{before:?} {after:?}");
            }
        }

        #[test]
        fn nothing_is_offered_during_a_stop(stream in samples::stream(), now in 0i64..400_000) {
            let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(0.0), is_stopped: true };
            for key in stream.payload_keys() {
                let graph = Graph::new(&stream, &key.arch, &key.scheme);
                let visibility = graph.visibility(&node_context, Epoch(now));
                prop_assert_eq!(graph.open_edges(&visibility).count(), 0);
                for node in 0..graph.nodes().len() {
                    prop_assert_eq!(graph.open_targets(crate::domain::graph::NodeIndex(node), &node_context, Epoch(now)).count(), 0);
                }
            }
        }
    }

    #[test]
    fn the_earlier_of_two_stops_counts() {
        let mut stream = Stream { stop: Some(stop(20)), ..Stream::empty(samples::id()) };
        assert_eq!(stream.plan_time(Epoch(30)), Epoch(20));
        stream.product_stop = Some(stop(10));
        assert_eq!((stream.plan_time(Epoch(30)), stream.plan_time(Epoch(5))), (Epoch(10), Epoch(5)));
        assert_eq!(stream.lifted(Epoch(30)).active_stop(), None);
    }
}
