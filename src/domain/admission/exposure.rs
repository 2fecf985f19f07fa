//! Exposure increases: releases that a change offers to some node earlier, or to a greater share of nodes, than before.

use super::sources::{Comparison, Timeline};
use crate::domain::{
    epoch::Epoch,
    graph::{Graph, Node, NodeIndex},
    ids::Version,
    payload::PayloadId,
    policy::{
        barrier::Barrier,
        graph_rules::{EdgeRule, Identity},
    },
    release::{PayloadKey, Release, ReleaseState},
    rollout::{Rollout, RolloutState, share::OpenShare},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet};

/// A release whose exposure a change increases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureIncrease {
    /// The release.
    pub version: Version,
    /// How the exposure increases, as a predicate: "is published".
    pub effect: &'static str,
}

/// Returns the releases whose exposure a change increases at `now` or later.
#[must_use]
pub fn exposure_increases(before: &Stream, after: &Stream, now: Epoch) -> Vec<ExposureIncrease> {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let by_rollouts = after.identified().into_iter().filter_map(|(identity, release)| {
        let was_published = |release: &&Release| release.state == ReleaseState::Published;
        let effect = match known.get(&identity).copied().filter(was_published) {
            _ if release.state != ReleaseState::Published => None,
            None => Some("is published"),
            Some(old) => {
                let old = Offered { release: old, edge_rule: before.rules.edge_rule };
                rollout_effect(old, Offered { release, edge_rule: after.rules.edge_rule }, now)
            }
        }?;
        Some(ExposureIncrease { version: release.version.clone(), effect })
    });
    let changes = by_rollouts.chain(added_offers(before, after)).chain(replaced_payloads(before, after));
    changes.chain(reordered(before, after)).chain(newly_recognised(before, after)).collect()
}

/// Returns the known releases whose order among each other differs: nodes on one would be offered another that was older before.
fn reordered(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let order = |stream: &'_ Stream, other: &Stream| -> Vec<(Version, usize)> {
        let others: BTreeSet<_> = other.aged_identities().collect();
        stream.aged_identities().filter(|identity| others.contains(identity)).map(|(v, n)| (v.clone(), n)).collect()
    };
    let (old, new) = (order(before, after), order(after, before));
    let moved = old.iter().zip(&new).filter(|(old, new)| old != new);
    let effect = "has another place in the order of releases";
    moved.map(|(_, (version, _))| ExposureIncrease { version: version.clone(), effect }).collect()
}

/// Returns the releases that stay published and have another payload than before on some arch and scheme: nodes would be offered an image
/// that they were not offered before.
fn replaced_payloads(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let is_published = |release: &&Release| release.state == ReleaseState::Published;
    let old: BTreeMap<_, _> = before.identified().into_iter().filter(|(_, release)| is_published(release)).collect();
    let new = after.identified().into_iter().filter(|(_, release)| is_published(release));
    let is_replaced = |old: &Release, new: &Release| {
        new.payloads.iter().any(|(key, payload)| old.payloads.get(key).is_some_and(|known| known.id != payload.id))
    };
    let replaced = new.filter(|(identity, release)| old.get(identity).is_some_and(|old| is_replaced(old, release)));
    let effect = "is offered as another payload";
    replaced.map(|(_, release)| ExposureIncrease { version: release.version.clone(), effect }).collect()
}

/// Returns the releases that have updates and whose nodes are recognised by more payloads or mirrors than before, or in another way.
fn newly_recognised(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let effect = match (before.rules.identity, after.rules.identity) {
        (Identity::Payload, Identity::Payload) => "is recognised by more payloads",
        // The versions of known releases do not change.
        (Identity::Version, Identity::Version) => return Vec::new(),
        (Identity::Payload, Identity::Version) => "is recognised by its version",
        (Identity::Version, Identity::Payload) => "is recognised by its payloads",
    };
    let has_other_identity = before.rules.identity != after.rules.identity;
    let is_known_by_more = is_known_by_more(before, after);
    let is_new = |release: &Release| has_other_identity || is_known_by_more(release);
    let releases = after.releases.iter().map(|release| &**release);
    let new: BTreeSet<&Version> = releases.filter(|release| is_new(release)).map(|release| &release.version).collect();
    if new.is_empty() {
        return Vec::new();
    }
    let mut with_updates = BTreeSet::new();
    for key in after.payload_keys() {
        let graph = Graph::new(after, &key.arch, &key.scheme);
        let sources = sources_of_updates(&graph).into_iter().map(|node| &node.version);
        with_updates.extend(sources.filter(|version| new.contains(version)).cloned());
    }
    with_updates.into_iter().map(|version| ExposureIncrease { version, effect }).collect()
}

/// Returns a predicate that is true of releases which payloads, aliases or mirrors identify that did not before.
fn is_known_by_more<'a>(before: &'a Stream, after: &Stream) -> impl Fn(&Release) -> bool + 'a {
    let has_more_mirrors = !after.mirrors.is_subset(&before.mirrors);
    let known: BTreeSet<_> =
        before.releases.iter().flat_map(|release| aliases(release).chain(payloads(release))).collect();
    // The payloads of a release that this change publishes are reported as published, not as recognised.
    let was_published = before.releases.iter().filter(|release| release.state != ReleaseState::Draft);
    let published: BTreeSet<&Version> = was_published.map(|release| &release.version).collect();
    move |release| {
        has_more_mirrors && release.payloads.values().any(|payload| payload.id.pull_spec().is_some())
            || aliases(release).any(|id| !known.contains(&id))
            || published.contains(&release.version) && payloads(release).any(|id| !known.contains(&id))
    }
}

/// Returns the nodes from which an update is offered now or later.
fn sources_of_updates(graph: &Graph) -> Vec<&Node> {
    let length = graph.nodes().last().map_or(0, |node| node.age + 1);
    // For each age, how many sets of sources begin and end there.
    let (mut begins, mut ends) = (vec![0usize; length + 1], vec![0usize; length + 1]);
    for (index, _) in graph.nodes().iter().enumerate().filter(|(_, node)| !is_closed(node)) {
        for range in graph.source_ages(NodeIndex(index)).ranges() {
            for (counts, at) in [(&mut begins, range.start), (&mut ends, range.end)] {
                if let Some(count) = counts.get_mut(at) {
                    *count += 1;
                }
            }
        }
    }
    let has_update: Vec<bool> = begins
        .iter()
        .zip(&ends)
        .scan(0, |sets, (begin, end)| {
            *sets = *sets + begin - end;
            Some(*sets > 0)
        })
        .collect();
    let is_source = |node: &&Node| node.dead_end.is_none() && has_update.get(node.age) == Some(&true);
    graph.nodes().iter().filter(is_source).collect()
}

fn aliases(release: &Release) -> impl Iterator<Item = (&Version, &PayloadKey, &PayloadId)> {
    release.aliases.iter().flat_map(move |(key, ids)| ids.keys().map(move |id| (&release.version, key, id)))
}

fn payloads(release: &Release) -> impl Iterator<Item = (&Version, &PayloadKey, &PayloadId)> {
    release.payloads.iter().map(move |(key, payload)| (&release.version, key, &payload.id))
}

/// Returns the releases that are offered from more releases, or on more scopes, for other reasons than release states and rollouts.
fn added_offers(before: &Stream, after: &Stream) -> Vec<ExposureIncrease> {
    let base = with_states_and_rollouts_only(before, after);
    if base == *after {
        return Vec::new();
    }
    let timeline = Timeline::of_one_order(after);
    let mut offered = BTreeSet::new();
    for key in after.payload_keys() {
        let [old_graph, new_graph] = [&base, after].map(|stream| Graph::new(stream, &key.arch, &key.scheme));
        let comparison = Comparison::new([&old_graph, &new_graph], &timeline);
        let gained = comparison.targets().filter(|target| target.only_in(1) > 0);
        let open = gained.filter_map(|target| target.nodes.into_iter().next_back().flatten());
        offered.extend(open.filter(|node| !is_closed(node)).map(|node| node.version.clone()));
    }
    offered.into_iter().map(|version| ExposureIncrease { version, effect: "is offered to more nodes" }).collect()
}

/// Returns the next state as it would be if only release states and rollouts had changed.
fn with_states_and_rollouts_only(before: &Stream, after: &Stream) -> Stream {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let old_releases: Vec<Option<&Release>> =
        after.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut base = after.clone();
    base.rules = before.rules;
    base.blocked_updates.clone_from(&before.blocked_updates);
    for (release, old) in base.releases.iter_mut().zip(old_releases) {
        // Every field is named, so that a new policy is not forgotten here.
        if let Some(Release {
            payloads,
            barrier,
            dead_end,
            predecessors,
            version: _,
            state: _,
            origin: _,
            aliases: _,
            rollouts: _,
            suppressed_upstream: _,
            notes: _,
            artifacts: _,
            promoted_from: _,
        }) = old
        {
            release.payloads.clone_from(payloads);
            release.barrier.clone_from(barrier);
            release.dead_end.clone_from(dead_end);
            release.predecessors.clone_from(predecessors);
        }
    }
    base
}

/// Returns true if all rollouts of a release are aborted: no node is offered it.
fn is_closed(node: &Node) -> bool {
    node.is_rollout() && node.rollouts().iter().all(|rollout| rollout.state == RolloutState::Aborted)
}

/// A published release under an edge rule.
#[derive(Clone, Copy)]
struct Offered<'a> {
    release: &'a Release,
    edge_rule: EdgeRule,
}

impl Offered<'_> {
    /// Returns true if the release would be open without rollouts to all nodes that have an update to it.
    fn opens_without_rollouts(&self, arches: impl Fn(&Barrier) -> bool) -> bool {
        self.edge_rule.opens_without_rollouts() || self.release.barrier.as_deref().is_some_and(arches)
    }
}

fn rollout_effect(before: Offered<'_>, after: Offered<'_>, now: Epoch) -> Option<&'static str> {
    let (old, new) = (&before.release.rollouts, &after.release.rollouts);
    let is_closed = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
    // Without rollouts a barrier is open to all nodes, and any other release to none, except under some edge rules.
    match (old.is_empty(), new.is_empty()) {
        (true, true) => None,
        (false, true) if after.release.barrier.is_some() => Some("is a barrier and loses its rollouts"),
        (false, true) => after.opens_without_rollouts(|_| true).then_some("loses its rollouts"),
        (true, false) => {
            // On an arch where the release is not a barrier, it was offered to no node.
            let is_everywhere =
                |barrier: &Barrier| after.release.payloads.keys().all(|key| barrier.applies_to(&key.arch));
            (!before.opens_without_rollouts(is_everywhere) && !new.iter().all(is_closed)).then_some("gets a rollout")
        }
        (false, false) => {
            let pairs = old.iter().zip(new);
            let same_nodes = pairs.clone().all(|(old, new)| old.selector == new.selector);
            let rest_is_closed = new.iter().skip(old.len()).all(is_closed);
            if new.len() < old.len() || !same_nodes || !rest_is_closed {
                return Some("gets different rollouts");
            }
            pairs.clone().any(|(old, new)| opens_further(old, new, now)).then_some("opens further")
        }
    }
}

/// Shares are linear between the breakpoints of the ramps, so comparing them around the breakpoints is enough.
fn opens_further(old: &Rollout, new: &Rollout, now: Epoch) -> bool {
    if old == new {
        return false;
    }
    let breakpoints = old.breakpoints().into_iter().chain(new.breakpoints());
    let around = breakpoints.flat_map(|at| [at.plus_seconds(-1), at, at.plus_seconds(1)]);
    let mut times = around.filter(|at| *at >= now).chain([now, Epoch(i64::MAX)]);
    times.any(|at| is_more(new.open_share(at), old.open_share(at)))
}

/// Shares after a pause or a hold may differ by rounding.
const ROUNDING: f64 = 1e-9;

fn is_more(new: OpenShare, old: OpenShare) -> bool {
    match (new, old) {
        (OpenShare::Closed, _) => false,
        (OpenShare::Open(_), OpenShare::Closed) => true,
        (OpenShare::Open(new), OpenShare::Open(old)) => new > old + ROUNDING,
    }
}

#[cfg(test)]
#[path = "exposure_tests.rs"]
mod tests;
