//! Trimmed streams in `updates.json`. The format cannot express that nodes are shown only their newest targets: what may be trimmed away for
//! some node is written as closed.

use super::policies::{WirePolicies, WireRollout};
use crate::domain::{
    finding::{Code, Finding},
    graph::Graph,
    ids::{StreamName, Version},
    policy::graph_rules::{EdgeRule, TargetLimit},
    release::Release,
    stream::Stream,
};
use std::collections::BTreeSet;

/// The releases of a stream that may be trimmed away for some node.
pub(super) struct Trimmable {
    limit: TargetLimit,
    ages: BTreeSet<usize>,
    /// The releases that were closed, oldest first.
    closed: Vec<Version>,
}

impl Trimmable {
    pub(super) fn new(stream: &Stream) -> Self {
        let mut ages = BTreeSet::new();
        // The edge rule `open` shows each node the target that it would choose among all of them, as agents do.
        if stream.rules.edge_rule == EdgeRule::Derived && stream.rules.targets != TargetLimit::All {
            for key in stream.payload_keys() {
                let graph = Graph::new(stream, &key.arch, &key.scheme);
                ages.extend(graph.trimmable().into_iter().filter_map(|index| Some(graph.node(index)?.age)));
            }
        }
        Self { limit: stream.rules.targets, ages, closed: Vec::new() }
    }

    /// Closes the rollout of a release that may be trimmed away.
    pub(super) fn close(&mut self, age: usize, release: &Release, policies: WirePolicies) -> WirePolicies {
        let is_open = policies.rollout.is_some_and(|rollout| rollout != WireRollout::CLOSED);
        if !is_open || !self.ages.contains(&age) {
            return policies;
        }
        self.closed.push(release.version.clone());
        WirePolicies { rollout: policies.barrier.is_some().then_some(WireRollout::CLOSED), ..policies }
    }

    /// Returns a finding about what was closed.
    pub(super) fn finding(&self, stream: &StreamName) -> Option<Finding> {
        let [first, last] = [self.closed.first()?, self.closed.last()?];
        let releases = match self.closed.len() {
            1 => format!("1 release ({first}) is"),
            count => format!("{count} releases from {first} to {last} are"),
        };
        let message = format!(
            "updates.json cannot express that nodes are shown some of their targets only (targets: {}); {releases} written as closed, because \
             newer ones may keep them out of what a node is shown",
            self.limit
        );
        Some(Finding::warning(Code::NotExpressible, format!("stream {stream}"), message))
    }
}
