//! Exposure increases: releases that a change offers to some node earlier, or to a greater share of nodes, than before.

use super::sources::{Comparison, Timeline};
use crate::domain::{
    changes::{Changes, Placed},
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
use std::collections::BTreeSet;

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
    let changes = Changes::between(before, after);
    let by_rollouts = changes.changed().filter_map(|pair| {
        let release = pair.new_release().filter(|release| release.state == ReleaseState::Published)?;
        let effect = match pair.old_published_release() {
            None => Some("is published"),
            Some(old) => {
                let old = Offered { release: old, edge_rule: before.rules.edge_rule };
                rollout_effect(old, Offered { release, edge_rule: after.rules.edge_rule }, now)
            }
        }?;
        Some(ExposureIncrease { version: release.version.clone(), effect })
    });
    let others = added_offers(before, after).into_iter().chain(replaced_payloads(&changes));
    by_rollouts.chain(others).chain(reordered(&changes)).chain(newly_recognised(before, after, &changes)).collect()
}

/// Returns the known releases whose order among each other differs: nodes on one would be offered another that was older before.
fn reordered(changes: &Changes<'_>) -> Vec<ExposureIncrease> {
    let is_aged = |placed: &Placed<'_>| placed.release.state != ReleaseState::Draft;
    let kept = changes.pairs().iter().filter_map(|pair| pair.before.filter(is_aged).zip(pair.after.filter(is_aged)));
    // The pairs have the order of the later state.
    let (mut old, new): (Vec<Placed<'_>>, Vec<Placed<'_>>) = kept.unzip();
    old.sort_by_key(|placed| placed.index);
    let identity = |placed: &Placed<'_>| (placed.release.version.clone(), placed.occurrence);
    let moved = old.iter().zip(&new).filter(|(old, new)| identity(old) != identity(new));
    let effect = "has another place in the order of releases";
    moved.map(|(_, new)| ExposureIncrease { version: new.release.version.clone(), effect }).collect()
}

/// Returns the releases that stay published and have another payload than before on some arch and scheme: nodes would be offered an image
/// that they were not offered before.
fn replaced_payloads(changes: &Changes<'_>) -> Vec<ExposureIncrease> {
    let is_replaced = |old: &Release, new: &Release| {
        new.payloads.iter().any(|(key, payload)| old.payloads.get(key).is_some_and(|known| known.id != payload.id))
    };
    let published = changes.changed().filter_map(|pair| {
        let new = pair.new_release().filter(|release| release.state == ReleaseState::Published);
        pair.old_published_release().zip(new)
    });
    let replaced = published.filter(|(old, new)| is_replaced(old, new));
    let effect = "is offered as another payload";
    replaced.map(|(_, release)| ExposureIncrease { version: release.version.clone(), effect }).collect()
}

/// Returns the releases that have updates and whose nodes are recognised by more payloads or mirrors than before, or in another way.
fn newly_recognised(before: &Stream, after: &Stream, changes: &Changes<'_>) -> Vec<ExposureIncrease> {
    let effect = match (before.rules.identity, after.rules.identity) {
        (Identity::Payload, Identity::Payload) => "is recognised by more payloads",
        // The versions of known releases do not change.
        (Identity::Version, Identity::Version) => return Vec::new(),
        (Identity::Payload, Identity::Version) => "is recognised by its version",
        (Identity::Version, Identity::Payload) => "is recognised by its payloads",
    };
    let has_other_identity = before.rules.identity != after.rules.identity;
    let has_more_mirrors = !after.mirrors.is_subset(&before.mirrors);
    let is_mirrored = |release: &Release| release.payloads.values().any(|payload| payload.id.pull_spec().is_some());
    let mut new: BTreeSet<&Version> = BTreeSet::new();
    if has_other_identity || has_more_mirrors {
        let all = after.releases.iter().filter(|release| has_other_identity || is_mirrored(release));
        new.extend(all.map(|release| &release.version));
    }
    new.extend(
        changes
            .added_or_changed()
            .filter(|(after, old)| is_known_by_more(*old, after.release))
            .map(|(after, _)| &after.release.version),
    );
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

/// Returns true if payloads or aliases identify a release that did not before. The payloads of a release that the change publishes do not
/// count: the release is reported as published.
fn is_known_by_more(before: Option<&Release>, after: &Release) -> bool {
    let known: BTreeSet<_> = before.into_iter().flat_map(|release| aliases(release).chain(payloads(release))).collect();
    let was_published = before.is_some_and(|release| release.state != ReleaseState::Draft);
    aliases(after).any(|id| !known.contains(&id)) || was_published && payloads(after).any(|id| !known.contains(&id))
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

fn aliases(release: &Release) -> impl Iterator<Item = (&PayloadKey, &PayloadId)> {
    release.aliases.iter().flat_map(|(key, ids)| ids.keys().map(move |id| (key, id)))
}

fn payloads(release: &Release) -> impl Iterator<Item = (&PayloadKey, &PayloadId)> {
    release.payloads.iter().map(|(key, payload)| (key, &payload.id))
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
    let mut base = after.clone();
    base.rules = before.rules;
    base.blocked_updates.clone_from(&before.blocked_updates);
    base.base.clone_from(&before.base);
    for (after, old) in Changes::between(before, after).added_or_changed() {
        let Some((old, release)) = old.zip(base.releases.get_mut(after.index)) else { continue };
        // Every field is named, so that a new policy is not forgotten here.
        let Release {
            payloads,
            barrier,
            dead_end,
            predecessors,
            built_on,
            version: _,
            state: _,
            origin: _,
            aliases: _,
            rollouts: _,
            last_rollout_id: _,
            suppressed_upstream: _,
            notes: _,
            artifacts: _,
            promoted_from: _,
        } = old;
        let is_same = (payloads, barrier, dead_end, predecessors, built_on)
            == (&release.payloads, &release.barrier, &release.dead_end, &release.predecessors, &release.built_on);
        // A release that is not written stays shared, and is equal without being read.
        if !is_same {
            release.payloads.clone_from(payloads);
            release.barrier.clone_from(barrier);
            release.dead_end.clone_from(dead_end);
            release.predecessors.clone_from(predecessors);
            release.built_on.clone_from(built_on);
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
