//! Lint: dangerous or unusual properties of a stream. Errors prevent publishing, warnings should be reviewed.

use super::bounds;
use crate::domain::{
    epoch::Epoch,
    finding::Finding,
    graph::{Graph, Node, NodeIndex},
    ids::Arch,
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
    for (age, release) in stream.aged() {
        findings.extend(missing_payloads(stream, age, release));
        findings.extend(dead_end_without_reason(release));
    }
    findings.extend(overlapping_rollouts(stream, now));
    findings.extend(rollouts_before_their_barrier(stream, now));
    let mut reported = BTreeSet::new();
    for key in stream.payload_keys() {
        let graph = Graph::new(stream, &key.arch, &key.scheme);
        // Most findings about a release are the same on every scope and are reported once.
        let new = lint_scope(&graph, key)
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
            Finding::warning(release_place(newer), format!("is newer than {} but has a lower version", older.version))
        })
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
                Some(Finding::error(release_place(release), message))
            } else {
                is_newest.then(|| Finding::warning(release_place(release), format!("has no payload on {arch}")))
            }
        })
        .collect()
}

fn dead_end_without_reason(release: &Release) -> Option<Finding> {
    let is_blank = release.dead_end.as_ref().is_some_and(|dead_end| dead_end.reason.as_str().trim().is_empty());
    is_blank.then(|| Finding::warning(release_place(release), "is a dead end without a reason"))
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
            Finding::warning(release_place(newer), message)
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
fn lint_scope(graph: &Graph, key: &PayloadKey) -> Vec<Finding> {
    let nodes = graph.nodes();
    let mut findings = Vec::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| node.barrier.is_some()) {
        let has_older_nodes = index > 0;
        let place = format!("release {}", node.version);
        if has_older_nodes && node.withdrawn {
            findings.push(Finding::error(place, "is a withdrawn barrier: nodes on older releases cannot update"));
        } else if has_older_nodes && !can_open(node) {
            findings.push(Finding::warning(
                place,
                "is a barrier whose rollouts never open: nodes on older releases cannot update",
            ));
        }
    }
    let newest = nodes.iter().enumerate().rev().find(|(_, node)| !node.withdrawn);
    if let Some((index, node)) = newest.filter(|(index, _)| *index > 0) {
        let is_reachable = (0..index).any(|from| graph.targets(NodeIndex(from)).any(|to| to.0 == index));
        if !is_reachable || !can_open(node) {
            let message = format!("is the newest release, but no node can reach it on {} {}", key.arch, key.scheme);
            findings.push(Finding::warning(format!("release {}", node.version), message));
        }
    }
    findings
}

/// Returns true if the release opens to any node of positive wariness without a further change.
fn can_open(node: &Node) -> bool {
    let opens = |rollout: &Rollout| rollout.opens_at(Wariness::new(f64::MIN_POSITIVE), Epoch(0)).is_some();
    node.rollouts.is_empty() || node.rollouts.iter().any(opens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        document::StreamDocument,
        origin::Origin,
        policy::{barrier::Barrier, dead_end::DeadEnd},
        reason::Reason,
        samples,
    };
    use proptest::prelude::*;

    /// Builds a stream of four releases on one arch; the rollout of the newest one is running.
    fn stream() -> Stream {
        let release = |n: usize| {
            let rollouts = if n == 3 {
                "rollouts = [{ start = \"1000\", start_share = 0.0, duration = \"PT48H\" }]"
            } else {
                "rollouts = [{ start_share = 1.0 }]"
            };
            format!(
                "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n{rollouts}\n"
            )
        };
        let text: String = (0..4).map(release).collect();
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{text}");
        let document: StreamDocument = toml::from_str(&text).unwrap();
        Stream::from_document(&document, crate::domain::document::Strictness::Strict).unwrap()
    }

    fn messages(change: impl Fn(&mut Stream)) -> Vec<String> {
        let mut stream = stream();
        change(&mut stream);
        lint(&stream, Epoch(2000)).iter().map(ToString::to_string).collect()
    }

    fn barrier() -> Barrier {
        Barrier { reason: Reason::new("keys").unwrap(), arches: None, origin: Origin::Local }
    }

    fn opening(stream: &mut Stream, age: usize, start: i64) {
        let rollout = stream.releases[3].rollouts[0].clone();
        stream.releases[age].rollouts = vec![rollout];
        stream.releases[age].rollouts[0].ramp.start = Some(Epoch(start));
    }

    fn add_payload(release: &mut Release, arch: &str) {
        let (key, payload) = release.payloads.iter().next().unwrap();
        let key = PayloadKey { arch: Arch::parse(arch).unwrap(), scheme: key.scheme.clone() };
        let payload = payload.clone();
        release.payloads.insert(key, payload);
    }

    #[test]
    fn an_arch_that_joins_after_a_barrier_is_not_reported() {
        let joined = |from: Option<usize>| {
            messages(|stream| {
                stream.arches.insert(Arch::parse("aarch64").unwrap());
                stream.releases[1].barrier = Some(barrier());
                for release in from.map(|from| &mut stream.releases[from..]).into_iter().flatten() {
                    add_payload(release, "aarch64");
                }
            })
        };
        assert_eq!(joined(None), Vec::<String>::new());
        assert_eq!(joined(Some(2)), Vec::<String>::new());
        // Nodes may still run a withdrawn release.
        let withdrawn = messages(|stream| {
            stream.releases[1].barrier = Some(barrier());
            add_payload(&mut stream.releases[0], "aarch64");
            stream.releases[0].state = ReleaseState::Withdrawn;
        });
        assert_eq!(
            withdrawn[0],
            "error: release 1.1: is a barrier without a payload on aarch64: nodes on aarch64 can skip it"
        );
    }

    #[test]
    fn a_valid_stream_has_no_findings() {
        assert_eq!(messages(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_danger_is_reported() {
        let all = [
            messages(|stream| {
                stream.releases[2].barrier = Some(barrier());
                stream.releases[2].state = ReleaseState::Withdrawn;
            }),
            messages(|stream| {
                stream.releases[2].barrier = Some(barrier());
                stream.releases[2].rollouts[0] = stream.releases[2].rollouts[0].abort().unwrap();
            }),
            messages(|stream| {
                add_payload(&mut stream.releases[0], "aarch64");
                stream.releases[1].barrier = Some(barrier());
            }),
            messages(|stream| {
                let reason = Reason::from_record("").unwrap();
                stream.releases[0].dead_end = Some(DeadEnd { reason, arches: None, origin: Origin::Upstream });
            }),
            messages(|stream| stream.releases.swap(0, 1)),
            messages(|stream| opening(stream, 2, 500)),
            messages(|stream| {
                opening(stream, 2, 9000);
                stream.releases[2].barrier = Some(barrier());
            }),
            messages(|stream| stream.releases[3].rollouts.clear()),
            messages(|stream| stream.releases[3].rollouts[0] = stream.releases[3].rollouts[0].abort().unwrap()),
        ];
        insta::assert_snapshot!(all.map(|messages| messages.join("\n")).join("\n--\n"), @"
        error: release 1.2: is a withdrawn barrier: nodes on older releases cannot update
        --
        warning: release 1.2: is a barrier whose rollouts never open: nodes on older releases cannot update
        --
        error: release 1.1: is a barrier without a payload on aarch64: nodes on aarch64 can skip it
        warning: release 1.3: has no payload on aarch64
        --
        warning: release 1.0: is a dead end without a reason
        --
        warning: release 1.0: is newer than 1.1 but has a lower version
        --
        warning: release 1.3: its rollout runs at the same time as that of 1.2: nodes may update twice in a row
        --
        warning: release 1.3: its rollout starts before that of barrier 1.2, which nodes must reach first
        --
        warning: release 1.3: is the newest release, but no node can reach it on x86_64 oci
        --
        warning: release 1.3: is the newest release, but no node can reach it on x86_64 oci
        ");
    }

    proptest! {
        #[test]
        fn findings_name_existing_releases(stream in samples::stream(), now in 0i64..400_000) {
            for finding in lint(&stream, Epoch(now)) {
                prop_assert!(stream.releases.iter().any(|release| finding.place == release_place(release)));
            }
        }
    }
}
