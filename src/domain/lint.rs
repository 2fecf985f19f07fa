//! What is dangerous or odd about a stream as it stands: errors are not to be published, warnings are to be looked at.

use super::{
    epoch::Epoch,
    finding::Finding,
    graph::{Graph, Node, NodeIndex},
    ramp::Course,
    release::{PayloadKey, Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    share::OpenShare,
    stream::Stream,
    wariness::Wariness,
};
use std::collections::BTreeSet;

/// Everything to be said of a stream at `now`, in the order of its releases.
#[must_use]
pub fn lint(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(versions_out_of_order(stream));
    for (age, release) in stream.aged() {
        findings.extend(missing_payloads(stream, age, release));
        findings.extend(silent_dead_end(release));
    }
    findings.extend(racing(stream, now));
    findings.extend(before_their_barriers(stream, now));
    let mut told = BTreeSet::new();
    for key in stream.payload_keys() {
        let graph = Graph::of(stream, &key.arch, &key.scheme);
        // What is wrong with a release is wrong with it everywhere, as a rule: it is told once.
        let new = in_scope(&graph, key)
            .into_iter()
            .filter(|finding| told.insert((finding.place.clone(), finding.message.clone())));
        findings.extend(new);
    }
    findings
}

fn place(release: &Release) -> String {
    format!("release {}", release.version)
}

/// Versions are only compared where both are numbers between dots.
fn versions_out_of_order(stream: &Stream) -> Vec<Finding> {
    let numbers = |release: &Release| -> Option<Vec<u64>> {
        release.version.as_str().split('.').map(|part| part.parse().ok()).collect()
    };
    let aged: Vec<&Release> = stream.aged().map(|(_, release)| release).collect();
    let pairs = aged.iter().zip(aged.iter().skip(1));
    let disordered = pairs.filter(|(older, younger)| {
        numbers(older).zip(numbers(younger)).is_some_and(|(older, younger)| younger < older)
    });
    disordered
        .map(|(older, younger)| {
            Finding::warning(place(younger), format!("is younger than {}, though its version is lower", older.version))
        })
        .collect()
}

/// The newest release is looked at, and barriers: whoever stands before one has nowhere else to go.
fn missing_payloads(stream: &Stream, age: usize, release: &Release) -> Vec<Finding> {
    if release.state != ReleaseState::Published {
        return Vec::new();
    }
    let newest = stream.aged().rfind(|(_, release)| release.state == ReleaseState::Published);
    let is_newest = newest.is_some_and(|(last, _)| last == age);
    let has = |arch: &super::arch::Arch| release.payloads.keys().any(|key| key.arch == *arch);
    let missing = stream.known_arches().into_iter().filter(|arch| !has(arch));
    missing
        .filter_map(|arch| {
            if release.barrier.as_ref().is_some_and(|barrier| barrier.stands_on(arch)) {
                let message = format!("is a barrier, but has no payload on {arch}: nodes there can skip it");
                Some(Finding::error(place(release), message))
            } else {
                is_newest.then(|| Finding::warning(place(release), format!("has no payload on {arch}")))
            }
        })
        .collect()
}

fn silent_dead_end(release: &Release) -> Option<Finding> {
    let is_silent = release.dead_end.as_ref().is_some_and(|dead_end| dead_end.reason.as_str().trim().is_empty());
    is_silent.then(|| Finding::warning(place(release), "is a dead end, and nobody is told why"))
}

/// Does it open further from `now` on?
fn is_under_way(rollout: &Rollout, now: Epoch) -> bool {
    let goes_on = rollout.state == RolloutState::Active && rollout.ramp.course != Course::Constant;
    let further = |at: Epoch| match (rollout.open_share(now), rollout.open_share(at)) {
        (OpenShare::Open(now), OpenShare::Open(then)) => then > now,
        _ => false,
    };
    goes_on && now >= rollout.ramp.start() && further(Epoch(i64::MAX / 4))
}

/// Two releases that open at a time: nodes may be sent to one, and then at once to the other.
fn racing(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let published = stream.aged().filter(|(_, release)| release.state == ReleaseState::Published);
    let under_way: Vec<&Release> = published
        .map(|(_, release)| release)
        .filter(|release| release.rollouts.iter().any(|rollout| is_under_way(rollout, now)))
        .collect();
    let pairs = under_way.iter().zip(under_way.iter().skip(1));
    pairs
        .map(|(older, younger)| {
            Finding::warning(place(younger), format!("its rollout races with that of {}", older.version))
        })
        .collect()
}

/// A release that opens earlier than a barrier before it opens to nobody until then but those at the barrier already.
fn before_their_barriers(stream: &Stream, now: Epoch) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut barrier: Option<(&Release, Epoch)> = None;
    for (_, release) in stream.aged().filter(|(_, release)| release.state == ReleaseState::Published) {
        let start = release
            .rollouts
            .iter()
            .filter(|rollout| rollout.state == RolloutState::Active)
            .map(|rollout| rollout.ramp.start())
            .min();
        if let (Some((barrier, opens)), Some(start)) = (barrier, start)
            && start < opens
            && opens > now
        {
            findings.push(Finding::warning(
                place(release),
                format!("its rollout starts before that of the barrier {} on the way to it", barrier.version),
            ));
        }
        if release.barrier.is_some() {
            barrier = start.map(|start| (release, start));
        }
    }
    findings
}

/// What follows from the graph of a scope.
fn in_scope(graph: &Graph, key: &PayloadKey) -> Vec<Finding> {
    let nodes = graph.nodes();
    let mut findings = Vec::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| node.barrier.is_some()) {
        let strands = index > 0;
        let place = format!("release {}", node.version);
        if strands && node.withdrawn {
            findings.push(Finding::error(place, "is a barrier and withdrawn: nodes before it can go nowhere"));
        } else if strands && !can_open(node) {
            findings.push(Finding::warning(
                place,
                "is a barrier whose rollouts are closed for good: nodes before it can go nowhere",
            ));
        }
    }
    let newest = nodes.iter().enumerate().rev().find(|(_, node)| !node.withdrawn);
    if let Some((index, node)) = newest.filter(|(index, _)| *index > 0) {
        let reached = (0..index).any(|from| graph.targets(NodeIndex(from)).any(|to| to.0 == index));
        if !reached || !can_open(node) {
            let message = format!("is the newest, and no node can reach it on {} {}", key.arch, key.scheme);
            findings.push(Finding::warning(format!("release {}", node.version), message));
        }
    }
    findings
}

/// Will it ever let in a node, if nobody touches it?
fn can_open(node: &Node) -> bool {
    let opens = |rollout: &Rollout| rollout.opens_at(Wariness::given(f64::MIN_POSITIVE), Epoch(0)).is_some();
    node.rollouts.is_empty() || node.rollouts.iter().any(opens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        barrier::Barrier, dead_end::DeadEnd, document::StreamDocument, origin::Origin, reason::Reason, samples,
    };
    use proptest::prelude::*;

    /// Releases on one arch, the newest opening.
    fn stream() -> Stream {
        let release = |n: usize| {
            let rollouts = if n == 3 {
                "rollouts = [{ start = \"1000\", start_share = 0.0, duration = \"PT48H\" }]"
            } else {
                "rollouts = [{ start_share = 1.0 }]"
            };
            format!(
                "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"{n}\" }}]\n{rollouts}\n"
            )
        };
        let text: String = (0..4).map(release).collect();
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{text}");
        let document: StreamDocument = toml::from_str(&text).unwrap();
        Stream::from_document(&document, crate::domain::document::Strictness::Ours).unwrap()
    }

    fn told(change: impl Fn(&mut Stream)) -> Vec<String> {
        let mut stream = stream();
        change(&mut stream);
        lint(&stream, Epoch(2000)).iter().map(ToString::to_string).collect()
    }

    fn barrier() -> Barrier {
        Barrier { reason: Reason::given("keys").unwrap(), arches: None, origin: Origin::Local }
    }

    fn opening(stream: &mut Stream, age: usize, start: i64) {
        let rollout = stream.releases[3].rollouts[0].clone();
        stream.releases[age].rollouts = vec![rollout];
        stream.releases[age].rollouts[0].ramp.start = Some(Epoch(start));
    }

    #[test]
    fn a_good_stream_has_none() {
        assert_eq!(told(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_danger_is_told() {
        let all = [
            told(|stream| {
                stream.releases[2].barrier = Some(barrier());
                stream.releases[2].state = ReleaseState::Withdrawn;
            }),
            told(|stream| {
                stream.releases[2].barrier = Some(barrier());
                stream.releases[2].rollouts[0] = stream.releases[2].rollouts[0].abort().unwrap();
            }),
            told(|stream| {
                stream.arches.insert(crate::domain::arch::Arch::parse("aarch64").unwrap());
                stream.releases[1].barrier = Some(barrier());
            }),
            told(|stream| {
                let reason = Reason::recorded("").unwrap();
                stream.releases[0].dead_end = Some(DeadEnd { reason, arches: None, origin: Origin::Upstream });
            }),
            told(|stream| stream.releases.swap(0, 1)),
            told(|stream| opening(stream, 2, 500)),
            told(|stream| {
                opening(stream, 2, 9000);
                stream.releases[2].barrier = Some(barrier());
            }),
            told(|stream| stream.releases[3].rollouts.clear()),
            told(|stream| stream.releases[3].rollouts[0] = stream.releases[3].rollouts[0].abort().unwrap()),
        ];
        insta::assert_snapshot!(all.map(|told| told.join("\n")).join("\n--\n"), @"
        error: release 1.2: is a barrier and withdrawn: nodes before it can go nowhere
        --
        warning: release 1.2: is a barrier whose rollouts are closed for good: nodes before it can go nowhere
        --
        error: release 1.1: is a barrier, but has no payload on aarch64: nodes there can skip it
        warning: release 1.3: has no payload on aarch64
        --
        warning: release 1.0: is a dead end, and nobody is told why
        --
        warning: release 1.0: is younger than 1.1, though its version is lower
        --
        warning: release 1.3: its rollout races with that of 1.2
        --
        warning: release 1.3: its rollout starts before that of the barrier 1.2 on the way to it
        --
        warning: release 1.3: is the newest, and no node can reach it on x86_64 oci
        --
        warning: release 1.3: is the newest, and no node can reach it on x86_64 oci
        ");
    }

    proptest! {
        #[test]
        fn any_stream_can_be_judged(stream in samples::stream(), now in 0i64..400_000) {
            for finding in lint(&stream, Epoch(now)) {
                prop_assert!(stream.releases.iter().any(|release| finding.place == place(release)));
            }
        }
    }
}
