//! The images that nodes may be sent to: what registries must have.

use super::{
    changes::{Changes, Placed},
    graph::{Graph, NodeIndex},
    ids::{Arch, Version},
    payload::{PayloadId, Scheme},
    policy::graph_rules::Identity,
    release::{PayloadKey, Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet};

/// Images, and the releases that have each of them on an arch.
pub type ImageTargets = BTreeMap<PayloadId, BTreeSet<(Arch, Version)>>;

/// Images, and the arches of the nodes that pull each of them.
pub type ImageArches = BTreeMap<PayloadId, BTreeSet<Arch>>;

/// Returns the images that some node may be sent to, now or later: those of the releases to which an update leads, held back or not, and the same
/// digests in the mirrors. An emergency stop changes nothing, since it will be lifted.
#[must_use]
pub fn image_targets(stream: &Stream) -> ImageTargets {
    let mut targets = ImageTargets::new();
    for arch in stream.known_arches() {
        let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
        let graph = Graph::new(stream, arch, &key.scheme);
        for (index, node) in graph.nodes().iter().enumerate() {
            let is_target = graph.sources(NodeIndex(index)).next().is_some();
            let release = stream.releases.get(node.age).filter(|_| is_target);
            let Some(image) = release.and_then(|release| real_image(release, &key)) else { continue };
            for name in mirrored(stream, image).into_iter().chain([image.clone()]) {
                targets.entry(name).or_default().insert((arch.clone(), node.version.clone()));
            }
        }
    }
    targets
}

/// Returns the names of an image in the mirrors. Nodes of a mirror are sent there.
fn mirrored(stream: &Stream, image: &PayloadId) -> Vec<PayloadId> {
    let Some((_, digest)) = image.pull_spec().filter(|_| stream.rules.identity == Identity::Payload) else {
        return Vec::new();
    };
    let names = stream.mirrors.iter().map(|mirror| PayloadId::parse(&format!("{mirror}@{digest}")));
    // No registry has an image whose name is too long.
    names.filter_map(Result::ok).collect()
}

/// Returns the images that a change publishes: those of releases that become published, and payloads that published releases get.
#[must_use]
pub fn newly_published_images(before: &Stream, after: &Stream) -> ImageTargets {
    let mut published = ImageTargets::new();
    let changes = Changes::between(before, after);
    for (Placed { release, .. }, old) in changes.added_or_changed() {
        if release.state != ReleaseState::Published {
            continue;
        }
        let old = old.filter(|old| old.state == ReleaseState::Published);
        for key in release.payloads.keys().filter(|key| key.scheme == Scheme::oci()) {
            let Some(image) = real_image(release, key) else { continue };
            if old.and_then(|old| real_image(old, key)) != Some(image) {
                published.entry(image.clone()).or_default().insert((key.arch.clone(), release.version.clone()));
            }
        }
    }
    published
}

fn real_image<'a>(release: &'a Release, key: &PayloadKey) -> Option<&'a PayloadId> {
    release.payloads.get(key).filter(|payload| !payload.synthetic).map(|payload| &payload.id)
}

#[cfg(test)]
#[path = "image_targets_tests.rs"]
mod tests;
