use super::*;
use crate::domain::{
    epoch::Epoch,
    graph::Edge,
    origin::Origin,
    payload::{Payload, Repository},
    policy::graph_rules::EdgeRule,
    rollout::preset::Preset,
    samples,
};
use proptest::prelude::*;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn image(repository: &str, number: u8) -> PayloadId {
    PayloadId::parse(&format!("{repository}@sha256:{}", format!("{number:02x}").repeat(32))).unwrap()
}

fn key() -> PayloadKey {
    PayloadKey { arch: Arch::parse("x86_64").unwrap(), scheme: Scheme::oci() }
}

/// Builds a published release with a rollout and an image.
fn release(number: u8) -> Release {
    let mut release = Release::published(version(&number.to_string()), Origin::Local);
    release.payloads.insert(key(), Payload { id: image("quay.io/os", number), synthetic: false });
    release.rollouts = vec![Preset::Linear48h.rollout(Epoch(0))];
    release
}

fn stream(releases: impl IntoIterator<Item = Release>) -> Stream {
    Stream { releases: releases.into_iter().map(Into::into).collect(), ..Stream::empty(samples::id()) }
}

fn names(targets: &ImageTargets) -> Vec<String> {
    targets.keys().map(ToString::to_string).collect()
}

#[test]
fn nodes_are_sent_to_later_releases_that_are_not_withdrawn() {
    let mut releases: Vec<Release> = (1..=5).map(release).collect();
    releases[2].state = ReleaseState::Withdrawn;
    releases[4].state = ReleaseState::Draft;
    let expected = [image("quay.io/os", 2), image("quay.io/os", 4)].map(|image| image.to_string());
    assert_eq!(names(&image_targets(&stream(releases.clone()))), expected);
    // What is held back will be offered, and the newest one is not all that nodes may choose.
    releases[3].rollouts[0].state = crate::domain::rollout::RolloutState::Aborted;
    assert_eq!(names(&image_targets(&stream(releases))), expected);
}

#[test]
fn the_mirrors_need_the_same_digests_if_nodes_name_them() {
    let mut stream = stream((1..=2).map(release));
    stream.mirrors = ["mirror.example/os", "quay.io/os"].map(|name| Repository::parse(name).unwrap()).into();
    let images = ["mirror.example/os", "quay.io/os"].map(|name| image(name, 2).to_string());
    assert_eq!(names(&image_targets(&stream)), images);
    stream.rules.identity = Identity::Version;
    assert_eq!(names(&image_targets(&stream)), images[1..]);
}

#[test]
fn publishing_a_release_or_a_payload_publishes_its_images() {
    let mut draft = release(2);
    draft.state = ReleaseState::Draft;
    let before = stream([release(1), draft]);
    let published = |after: &Stream| names(&newly_published_images(&before, after));
    assert_eq!(published(&before), Vec::<String>::new());
    let mut after = stream([release(1), release(2)]);
    assert_eq!(published(&after), [image("quay.io/os", 2).to_string()]);
    let arm = PayloadKey { arch: Arch::parse("aarch64").unwrap(), scheme: Scheme::oci() };
    after.releases[0].payloads.insert(arm.clone(), Payload { id: image("quay.io/os", 3), synthetic: false });
    let both = [2, 3].map(|number| image("quay.io/os", number).to_string());
    assert_eq!(published(&after), both);
    after.releases[0].payloads.insert(arm, Payload { id: image("quay.io/os", 3), synthetic: true });
    after.releases[1].state = ReleaseState::Withdrawn;
    assert_eq!(published(&after), Vec::<String>::new());
}

/// Returns true if the documented rules let a node update from one release to a later one; both have a payload in the scope.
fn may_update(stream: &Stream, key: &PayloadKey, from: usize, to: usize) -> bool {
    let (source, target) = (&stream.releases[from], &stream.releases[to]);
    let in_scope = |release: &Release| release.state != ReleaseState::Draft && release.payloads.contains_key(key);
    let is_barrier = |release: &Release| release.barrier.as_ref().is_some_and(|barrier| barrier.applies_to(&key.arch));
    let skipped = &stream.releases[from + 1..to];
    let position = |version| stream.position_of(version).unwrap();
    let is_blocked = stream.blocked_updates.iter().any(|blocked| {
        let sources = position(&blocked.first)..=position(&blocked.last);
        blocked.applies_to(&key.arch) && sources.contains(&from) && position(&blocked.target) == to
    });
    let is_candidate = match stream.rules.edge_rule {
        EdgeRule::Derived => !target.rollouts.is_empty() || is_barrier(target),
        EdgeRule::Open => true,
        EdgeRule::Explicit => {
            target.predecessors.as_ref().is_some_and(|listed| listed.versions.contains(&source.version))
        }
    };
    is_candidate
        && in_scope(source)
        && in_scope(target)
        && target.state == ReleaseState::Published
        && !source.dead_end.as_ref().is_some_and(|dead_end| dead_end.applies_to(&key.arch))
        && !skipped.iter().any(|release| in_scope(release) && is_barrier(release))
        && !is_blocked
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// The targets are those of all pairs of releases between which the rules allow an update.
    #[test]
    fn targets_are_those_of_all_pairs(stream in samples::stream()) {
        let mut expected = ImageTargets::new();
        for arch in stream.known_arches() {
            let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
            for to in 0..stream.releases.len() {
                if !(0..to).any(|from| may_update(&stream, &key, from, to)) {
                    continue;
                }
                let release = &stream.releases[to];
                let payload = &release.payloads[&key];
                if payload.synthetic {
                    continue;
                }
                let digest = payload.id.as_str().split_once('@').unwrap().1;
                let mirrors = stream.mirrors.iter().filter(|_| stream.rules.identity == Identity::Payload);
                let mirrored = mirrors.map(|mirror| PayloadId::parse(&format!("{mirror}@{digest}")).unwrap());
                for name in mirrored.chain([payload.id.clone()]) {
                    expected.entry(name).or_default().insert((arch.clone(), release.version.clone()));
                }
            }
        }
        prop_assert_eq!(image_targets(&stream), expected);
    }

    /// Whatever a graph offers is among the targets, also during a stop.
    #[test]
    fn every_edge_leads_to_a_target(stream in samples::stream()) {
        let targets = image_targets(&Stream { stop: None, ..stream.clone() });
        prop_assert_eq!(&targets, &image_targets(&stream));
        for arch in stream.known_arches() {
            let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
            let graph = Graph::new(&stream, arch, &key.scheme);
            for Edge { to, .. } in graph.edges() {
                let node = graph.node(to).unwrap();
                let is_real = real_image(&stream.releases[node.age], &key).is_some();
                prop_assert_eq!(is_real, targets.contains_key(&node.payload));
            }
        }
    }
}
