//! An overview of streams: what is newest, what rolls out, and what needs attention.

use super::{
    access::ReadError,
    rollouts::{RolloutStatus, is_in_progress},
};
use crate::{
    auth::{Identity, Role},
    domain::{
        admission::emergency_stop::EmergencyStop,
        dialect::Dialect,
        epoch::Epoch,
        finding::Finding,
        ids::{Arch, ProductName, StreamId, Version},
        release::ReleaseState,
        stream::{Revision, Stream},
    },
    manage::manager::Manage,
    store::{Transaction, streams::Head},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// The maximum number of rollouts, and of findings, that the overview of a stream lists.
const MAX_ITEMS: usize = 20;

/// The first items of a list, and the number of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Excerpt<T> {
    /// The first items, at most 20.
    pub items: Vec<T>,
    /// The number of all items.
    pub total: usize,
}

/// A stream at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamOverview {
    /// The stream.
    pub id: StreamId,
    /// Its newest revision.
    pub revision: Revision,
    /// When that revision was created.
    pub changed_at: Timestamp,
    /// The newest published release with a payload on each arch.
    pub newest: BTreeMap<Arch, Version>,
    /// The rollouts of published releases that have not ended and do not admit all nodes yet, those of the newest release first.
    pub rollouts: Excerpt<LiveRollout>,
    /// The lint findings, the most severe first; at most a minute old.
    pub findings: Excerpt<Finding>,
    /// The emergency stop of the stream, if one is in force.
    pub stop: Option<EmergencyStop>,
    /// The emergency stop of the product, if one is in force.
    pub product_stop: Option<EmergencyStop>,
}

/// A rollout in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRollout {
    /// The release.
    pub release: Version,
    /// The age index of the release.
    pub age: usize,
    /// Its position among the rollouts of the release, from 1.
    pub position: usize,
    /// Its status now.
    pub status: RolloutStatus,
}

impl Manage {
    /// Returns an overview of the streams that the caller may read, of one product or of all, by name, in one consistent read.
    ///
    /// # Errors
    /// The caller may read no stream of the product, or the database failed.
    pub async fn overview(
        &self,
        caller: &Identity,
        product: Option<&ProductName>,
    ) -> Result<Vec<StreamOverview>, ReadError> {
        let mut transaction = self.reading("overview").await?;
        let is_selected = |id: &StreamId| product.is_none_or(|product| *product == id.product);
        let streams = self.readable_streams(&mut transaction, caller, product, is_selected).await?;
        let products = transaction.product_records().await?;
        drop(transaction);
        let now = self.now();
        let mut overviews = Vec::with_capacity(streams.len());
        for (head, stream) in streams {
            let protocol = products.get(&head.id.product).map(|product| &product.protocol);
            let dialect = protocol.and_then(|protocol| self.dialects().get(protocol));
            let findings = self.recent_findings(dialect.map(|dialect| &**dialect), &stream, now).await;
            overviews.push(StreamOverview::new(head, &stream, &findings, now));
        }
        Ok(overviews)
    }

    /// Returns the present states of the selected streams that a caller may read. A caller that names a product must be able to read one of its
    /// streams.
    pub(super) async fn readable_streams(
        &self,
        transaction: &mut Transaction,
        caller: &Identity,
        product: Option<&ProductName>,
        is_selected: impl Fn(&StreamId) -> bool,
    ) -> Result<Vec<(Head, Arc<Stream>)>, ReadError> {
        if let Some(product) = product {
            self.product_reader(caller, product.clone())?;
        }
        let mut streams = Vec::new();
        let is_readable = |head: &Head| is_selected(&head.id) && caller.may(Role::Viewer, &head.id);
        for head in transaction.heads().await?.into_iter().filter(is_readable) {
            let stream = self.load_stream(transaction, &head).await?;
            streams.push((head, stream));
        }
        Ok(streams)
    }

    async fn recent_findings(&self, dialect: Option<&dyn Dialect>, stream: &Arc<Stream>, now: Epoch) -> Arc<[Finding]> {
        let cache = self.findings_cache();
        if let Some(findings) = cache.get(stream, now) {
            return findings;
        }
        // Another caller may have computed them while this one waited for its turn.
        self.compute(|| cache.get(stream, now).unwrap_or_else(|| cache.compute(dialect, stream, now))).await
    }
}

impl StreamOverview {
    fn new(head: Head, stream: &Stream, findings: &[Finding], now: Epoch) -> Self {
        let mut by_severity: Vec<&Finding> = findings.iter().collect();
        by_severity.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            id: head.id,
            revision: head.revision,
            changed_at: head.changed_at,
            newest: newest(stream),
            rollouts: Excerpt::new(live_rollouts(stream, now)),
            findings: Excerpt::new(by_severity.into_iter().cloned()),
            stop: stream.stop.clone(),
            product_stop: stream.product_stop.clone(),
        }
    }
}

impl<T> Excerpt<T> {
    fn new(items: impl IntoIterator<Item = T>) -> Self {
        let mut rest = items.into_iter();
        let items: Vec<T> = rest.by_ref().take(MAX_ITEMS).collect();
        let total = items.len() + rest.count();
        Self { items, total }
    }
}

fn newest(stream: &Stream) -> BTreeMap<Arch, Version> {
    let published = stream.aged().filter(|(_, release)| release.state == ReleaseState::Published);
    let on_arches = published
        .flat_map(|(_, release)| release.payloads.keys().map(|key| (key.arch.clone(), release.version.clone())));
    // Later releases replace earlier ones.
    on_arches.collect()
}

pub(super) fn live_rollouts(stream: &Stream, now: Epoch) -> impl Iterator<Item = LiveRollout> {
    let published = stream.aged().rev().filter(|(_, release)| release.state == ReleaseState::Published);
    published.flat_map(move |(age, release)| {
        let rollouts = (1..).zip(&release.rollouts);
        let in_progress = rollouts.filter(move |(_, rollout)| is_in_progress(stream, rollout, now));
        in_progress.map(move |(position, rollout)| LiveRollout {
            release: release.version.clone(),
            age,
            position,
            status: RolloutStatus::new(stream, rollout, now),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        graph::{Graph, visibility::NodeContext},
        rollout::wariness::Wariness,
        samples,
    };
    use proptest::prelude::*;

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let listed = Excerpt::new(0..50);
        assert_eq!((listed.items.len(), listed.total), (MAX_ITEMS, 50));
        let listed = Excerpt::new([1, 2]);
        assert_eq!((listed.items, listed.total), (vec![1, 2], 2));
    }

    proptest! {
        /// A node is held back by a rollout exactly if its wariness is above the share that the overview shows.
        #[test]
        fn the_share_is_what_polls_compute(stream in samples::stream(), now in 0i64..400_000, wariness in 0.0..=1.0f64) {
            let live: Vec<LiveRollout> = live_rollouts(&stream, Epoch(now)).collect();
            let is_stopped = stream.active_stop().is_some();
            let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(wariness), is_stopped };
            for key in stream.payload_keys() {
                let graph = Graph::new(&stream, &key.arch, &key.scheme);
                for node in graph.nodes().iter().filter(|node| !node.withdrawn) {
                    let visibility = graph.target_visibility(node, &node_context, Epoch(now));
                    let Some(rollout) = visibility.rollout else { continue };
                    let is_it = |live: &&LiveRollout| live.release == node.version && live.status.id == node.rollouts()[rollout].id;
                    let held_back = match live.iter().find(is_it) {
                        Some(_) if is_stopped => true,
                        Some(live) => live.status.share.is_none_or(|share| wariness > share),
                        // Rollouts that are not in progress are closed, or open to all nodes.
                        None => is_stopped || node.rollouts()[rollout].opens_at(Wariness::new(1.0), Epoch(now)).is_none(),
                    };
                    prop_assert_eq!(visibility.held_back, held_back, "{:?} {:?}", node.rollouts()[rollout], live);
                }
            }
        }

        #[test]
        fn the_newest_release_of_an_arch_is_published(stream in samples::stream()) {
            for (arch, version) in newest(&stream) {
                let newest = stream.aged().rfind(|(_, release)| {
                    release.state == ReleaseState::Published && release.payloads.keys().any(|key| key.arch == arch)
                });
                prop_assert_eq!(newest.map(|(_, release)| &release.version), Some(&version));
            }
        }
    }
}
