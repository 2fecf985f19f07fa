//! Lint: dangerous or unusual properties of a stream. Errors prevent publishing, warnings should be reviewed.

use super::bounds;
use crate::domain::{
    base::{self, skipped_barriers},
    epoch::Epoch,
    finding::{Code, Finding},
    graph::{Graph, Node, NodeIndex},
    ids::Arch,
    policy::graph_rules::{EdgeRule, Identity},
    release::{PayloadKey, Release, ReleaseState},
    rollout::{Rollout, RolloutState, ramp::Course, share::OpenShare, wariness::Wariness},
    stream::Stream,
};
use std::collections::BTreeSet;

/// Returns all findings about a stream at `now`.
#[must_use]
pub fn lint(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(bounds::findings(&Stream::empty(stream.id.clone()), stream));
    findings.extend(versions_out_of_order(stream));
    findings.extend(ambiguous_versions(stream));
    findings.extend(ignored_predecessors(stream));
    for (age, release) in stream.aged() {
        findings.extend(missing_payloads(stream, age, release));
        findings.extend(dead_end_without_reason(release));
    }
    findings.extend(overlapping_rollouts(stream, now));
    findings.extend(rollouts_before_their_barrier(stream, now));
    findings.extend(skipped_barriers(stream));
    findings.extend(base::findings(stream));
    let mut reported = BTreeSet::new();
    for key in stream.payload_keys() {
        let graph = Graph::new(stream, &key.arch, &key.scheme);
        // Most findings about a release are the same on every scope and are reported once.
        let new = lint_scope(&graph, key, stream.rules.edge_rule)
            .into_iter()
            .filter(|finding| reported.insert((finding.place.clone(), finding.message.clone())));
        findings.extend(new);
    }
    findings
}

fn release_place(release: &Release) -> String {
    format!("release {}", release.version)
}

/// Finds releases with a lower version than the release before them. Only versions made of numbers between dots are compared.
fn versions_out_of_order(stream: &Stream) -> Vec<Finding> {
    let numbers = |release: &Release| -> Option<Vec<u64>> {
        release.version.as_str().split('.').map(|part| part.parse().ok()).collect()
    };
    let aged: Vec<&Release> = stream.aged().map(|(_, release)| release).collect();
    let pairs = aged.iter().zip(aged.iter().skip(1));
    let disordered =
        pairs.filter(|(older, newer)| numbers(older).zip(numbers(newer)).is_some_and(|(older, newer)| newer < older));
    disordered
        .map(|(older, newer)| {
            Finding::warning(
                Code::VersionOrder,
                release_place(newer),
                format!("is newer than {} but has a lower version", older.version),
            )
        })
        .collect()
}

/// Finds releases whose version an older release has, too, if the version identifies nodes.
fn ambiguous_versions(stream: &Stream) -> Vec<Finding> {
    if stream.rules.identity != Identity::Version {
        return Vec::new();
    }
    let mut known = BTreeSet::new();
    let repeated = stream.aged().filter(|(_, release)| !known.insert(&release.version));
    let message = "has the version of an older release, and versions identify nodes: its nodes count as that release";
    repeated.map(|(_, release)| Finding::error(Code::AmbiguousVersion, release_place(release), message)).collect()
}

/// Finds predecessors that have no effect under the edge rule of the stream.
fn ignored_predecessors(stream: &Stream) -> Vec<Finding> {
    let rule = stream.rules.edge_rule;
    let has_ignored = |release: &Release| rule != EdgeRule::Explicit && release.predecessors.is_some();
    let ignored = stream.releases.iter().filter(|release| has_ignored(release));
    let message = format!("has predecessors, which the edge rule {} ignores", rule.as_str());
    ignored
        .map(|release| Finding::warning(Code::IgnoredPredecessors, release_place(release), message.as_str()))
        .collect()
}

/// Finds arches on which a barrier or the newest release has no payload. An arch without a payload in any older release is not reported:
/// it has no nodes yet that could skip the barrier or wait for the newest release.
fn missing_payloads(stream: &Stream, age: usize, release: &Release) -> Vec<Finding> {
    if release.state != ReleaseState::Published {
        return Vec::new();
    }
    let newest = stream.aged().rfind(|(_, release)| release.state == ReleaseState::Published);
    let is_newest = newest.is_some_and(|(last, _)| last == age);
    if !is_newest && release.barrier.is_none() {
        return Vec::new();
    }
    let has = |release: &Release, arch: &Arch| release.payloads.keys().any(|key| key.arch == *arch);
    let had_before = |arch: &Arch| stream.aged().any(|(older, release)| older < age && has(release, arch));
    let missing = stream.known_arches().into_iter().filter(|arch| !has(release, arch) && had_before(arch));
    missing
        .filter_map(|arch| {
            if release.barrier.as_ref().is_some_and(|barrier| barrier.applies_to(arch)) {
                let message = format!("is a barrier without a payload on {arch}: nodes on {arch} can skip it");
                Some(Finding::error(Code::BarrierWithoutPayload, release_place(release), message))
            } else {
                is_newest.then(|| {
                    Finding::warning(Code::MissingPayload, release_place(release), format!("has no payload on {arch}"))
                })
            }
        })
        .collect()
}

fn dead_end_without_reason(release: &Release) -> Option<Finding> {
    let is_blank = release.dead_end.as_ref().is_some_and(|dead_end| dead_end.reason.as_str().trim().is_empty());
    is_blank
        .then(|| Finding::warning(Code::DeadEndWithoutReason, release_place(release), "is a dead end without a reason"))
}

/// Returns true if the rollout has begun and its share still increases after `now`.
fn is_under_way(rollout: &Rollout, now: Epoch) -> bool {
    let is_running = rollout.state == RolloutState::Active && rollout.ramp.course != Course::Constant;
    let increases_until = |at: Epoch| match (rollout.open_share(now), rollout.open_share(at)) {
        (OpenShare::Open(now), OpenShare::Open(then)) => then > now,
        _ => false,
    };
    is_running && now >= rollout.begins_at() && increases_until(Epoch(i64::MAX / 4))
}

/// Finds consecutive releases whose rollouts run at the same time: nodes may update to one and then immediately to the other.
fn overlapping_rollouts(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let published = stream.aged().filter(|(_, release)| release.state == ReleaseState::Published);
    let under_way: Vec<&Release> = published
        .map(|(_, release)| release)
        .filter(|release| release.rollouts.iter().any(|rollout| is_under_way(rollout, now)))
        .collect();
    let pairs = under_way.iter().zip(under_way.iter().skip(1));
    pairs
        .map(|(older, newer)| {
            let message = format!(
                "its rollout runs at the same time as that of {}: nodes may update twice in a row",
                older.version
            );
            Finding::warning(Code::OverlappingRollouts, release_place(newer), message)
        })
        .collect()
}

/// Finds rollouts that start before the rollout of the barrier that precedes their release. Until the barrier opens, only nodes that
/// already run it can update.
fn rollouts_before_their_barrier(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut barrier: Option<(&Release, Epoch)> = None;
    for (_, release) in stream.aged().filter(|(_, release)| release.state == ReleaseState::Published) {
        let start = release
            .rollouts
            .iter()
            .filter(|rollout| rollout.state == RolloutState::Active)
            .map(Rollout::begins_at)
            .min();
        if let (Some((barrier, opens)), Some(start)) = (barrier, start)
            && start < opens
            && opens > now
        {
            findings.push(Finding::warning(
                Code::RolloutBeforeBarrier,
                release_place(release),
                format!("its rollout starts before that of barrier {}, which nodes must reach first", barrier.version),
            ));
        }
        if release.barrier.is_some() {
            barrier = start.map(|start| (release, start));
        }
    }
    findings
}

/// Returns the findings about the graph of one scope.
fn lint_scope(graph: &Graph, key: &PayloadKey, edge_rule: EdgeRule) -> Vec<Finding> {
    let nodes = graph.nodes();
    let mut findings = Vec::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| node.is_barrier()) {
        let has_older_nodes = index > 0;
        let place = format!("release {}", node.version);
        if has_older_nodes && node.withdrawn {
            findings.push(Finding::error(
                Code::WithdrawnBarrier,
                place,
                "is a withdrawn barrier: nodes on older releases cannot update",
            ));
        } else if has_older_nodes && !can_open(node) {
            findings.push(Finding::warning(
                Code::ClosedBarrier,
                place,
                "is a barrier whose rollouts never open: nodes on older releases cannot update",
            ));
        }
    }
    let newest = nodes.iter().enumerate().rev().find(|(_, node)| !node.withdrawn);
    if let Some((index, node)) = newest.filter(|(index, _)| *index > 0) {
        let is_reachable = graph.sources(NodeIndex(index)).next().is_some();
        if !is_reachable || !can_open(node) {
            let message = format!("is the newest release, but no node can reach it on {} {}", key.arch, key.scheme);
            findings.push(Finding::warning(Code::UnreachableNewest, format!("release {}", node.version), message));
        }
    }
    if edge_rule == EdgeRule::Explicit {
        let others =
            nodes.iter().enumerate().skip(1).filter(|(index, _)| newest.is_none_or(|(newest, _)| newest != *index));
        let published = others.filter(|(_, node)| !node.withdrawn);
        findings.extend(published.filter_map(|(index, node)| no_predecessor(graph, index, node, key)));
    }
    findings
}

/// Returns a finding if no update leads to a release under the edge rule `explicit`.
fn no_predecessor(graph: &Graph, index: usize, node: &Node, key: &PayloadKey) -> Option<Finding> {
    let PayloadKey { arch, scheme } = key;
    let message = if node.is_barrier() {
        format!(
            "is a barrier to which no predecessor updates on {arch} {scheme}: nodes on older releases cannot update"
        )
    } else {
        format!("has no predecessor that can update to it on {arch} {scheme}")
    };
    let is_reachable = graph.sources(NodeIndex(index)).next().is_some();
    (!is_reachable).then(|| Finding::warning(Code::NoPredecessor, format!("release {}", node.version), message))
}

/// Returns true if the release opens to any node of positive wariness without a further change.
fn can_open(node: &Node) -> bool {
    let opens = |rollout: &Rollout| rollout.opens_at(Wariness::new(f64::MIN_POSITIVE), Epoch(0)).is_some();
    node.rollouts().is_empty() || node.rollouts().iter().any(opens)
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
