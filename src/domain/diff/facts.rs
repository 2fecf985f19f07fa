//! A stream as a list of facts that can be compared.

use super::{
    fact::Fact,
    target::{ReleaseId, Target},
};
use crate::domain::{
    artifact::Promotion,
    changes::Placed,
    policy::{
        blocked_update::BlockedUpdate,
        graph_rules::{EdgeRule, Identity, TargetLimit},
        predecessors::Predecessors,
    },
    release::Release,
    rollout::{Rollout, RolloutClock},
    stream::Stream,
};

/// A fact about a stream, and the release that it is listed at.
pub(super) struct Listed {
    pub(super) target: Target,
    pub(super) fact: Fact,
}

/// Returns every fact about the settings of a stream, about some of its releases, and about some of its blocked updates. Several facts may
/// have the same target: the last one counts.
pub(super) fn facts(stream: &Stream, releases: &[Placed<'_>], blocked_updates: &[BlockedUpdate]) -> Vec<Listed> {
    let mut facts = settings(stream);
    for Placed { index, occurrence, release } in releases {
        let id = ReleaseId { version: release.version.clone(), occurrence: occurrence + 1 };
        facts.extend(policies(&id, release));
        facts.extend(details(&id, release));
        let fact = Fact::Release { state: release.state, age: *index, origin: release.origin };
        facts.push(Listed { target: Target::Release(id), fact });
    }
    let blocked = blocked_updates.iter().map(|blocked| {
        let (first, last, target) = (blocked.first.clone(), blocked.last.clone(), blocked.target.clone());
        let fact = Fact::BlockedUpdate { reason: blocked.reason.clone(), origin: blocked.origin };
        Listed { target: Target::BlockedUpdate { first, last, target }, fact }
    });
    facts.extend(blocked);
    facts
}

fn settings(stream: &Stream) -> Vec<Listed> {
    let mut facts = Vec::new();
    let mut add = |target, fact| facts.push(Listed { target, fact });
    if let Some(description) = stream.description.clone() {
        add(Target::Description, Fact::Description(description));
    }
    for arch in &stream.arches {
        add(Target::Arch(arch.clone()), Fact::Served);
    }
    for mirror in &stream.mirrors {
        add(Target::Mirror(mirror.clone()), Fact::Recognised);
    }
    // Defaults are not listed, as in documents.
    if stream.rules.edge_rule != EdgeRule::default() {
        add(Target::EdgeRule, Fact::EdgeRule(stream.rules.edge_rule));
    }
    if stream.rules.identity != Identity::default() {
        add(Target::Identity, Fact::Identity(stream.rules.identity));
    }
    if stream.rules.targets != TargetLimit::default() {
        add(Target::Targets, Fact::Targets(stream.rules.targets));
    }
    if let Some(preset) = stream.default_rollout {
        add(Target::DefaultRollout, Fact::Preset(preset));
    }
    if let Some(base) = &stream.base {
        add(Target::Base, Fact::Stream(base.stream.clone()));
        if let Some(lag) = base.lag {
            add(Target::BaseLag, Fact::Duration(lag));
        }
        for policy in &base.policies {
            let target = Target::BasePolicy { version: policy.release.version.clone(), kind: policy.kind };
            add(target, Fact::BasePolicy { reason: policy.reason.clone(), arches: policy.arches.clone() });
        }
    }
    if let Some(follow) = stream.follow.clone() {
        add(Target::Follow, Fact::Follow(follow));
    }
    if let Some(shortest) = stream.protection.shortest_rollout {
        add(Target::ShortestRollout, Fact::Duration(shortest));
    }
    if !stream.protection.canaries.is_empty() {
        add(Target::Canaries, Fact::Groups(stream.protection.canaries.clone()));
    }
    for window in &stream.protection.freeze_windows {
        // Windows with equal times count as one.
        let document = window.to_document();
        let target = Target::FreezeWindow { from: document.from, until: document.until, zone: document.zone };
        add(target, Fact::Freeze(window.reason.clone()));
    }
    if let Some(stop) = &stream.stop {
        add(Target::EmergencyStop, Fact::Stop(stop.clone()));
    }
    for (kind, hash) in &stream.sources {
        add(Target::UpstreamDocument(kind.clone()), Fact::Document(*hash));
    }
    facts
}

fn policies(id: &ReleaseId, release: &Release) -> Vec<Listed> {
    let mut facts = Vec::new();
    let mut add = |target, fact| facts.push(Listed { target, fact });
    if let Some(barrier) = &release.barrier {
        let (reason, arches) = (barrier.reason.clone(), barrier.arches.clone());
        add(Target::Barrier(id.clone()), Fact::Policy { reason, arches, origin: barrier.origin });
    }
    if let Some(dead_end) = &release.dead_end {
        let (reason, arches) = (dead_end.reason.clone(), dead_end.arches.clone());
        add(Target::DeadEnd(id.clone()), Fact::Policy { reason, arches, origin: dead_end.origin });
    }
    if let Some(Predecessors { versions, origin }) = release.predecessors.as_deref().cloned() {
        add(Target::Predecessors(id.clone()), Fact::Predecessors { versions, origin });
    }
    for rollout in &release.rollouts {
        // When it first opened is recorded with any change.
        let clock = RolloutClock { first_opened: None, ..rollout.clock };
        let rollout = Rollout { clock, ..rollout.clone() };
        add(Target::Rollout { release: id.clone(), id: rollout.id }, Fact::Rollout(Box::new(rollout)));
    }
    if !release.rollouts.is_sorted_by_key(|rollout| rollout.id) {
        let ids = release.rollouts.iter().map(|rollout| rollout.id);
        add(Target::RolloutOrder(id.clone()), Fact::RolloutOrder(ids.collect()));
    }
    for policy in &release.suppressed_upstream {
        add(Target::SuppressedUpstream { release: id.clone(), policy: *policy }, Fact::Suppressed);
    }
    facts
}

fn details(id: &ReleaseId, release: &Release) -> Vec<Listed> {
    let mut facts = Vec::new();
    let mut add = |target, fact| facts.push(Listed { target, fact });
    for (key, payload) in &release.payloads {
        add(Target::Payload { release: id.clone(), key: key.clone() }, Fact::Payload(payload.clone()));
    }
    for (key, aliases) in &release.aliases {
        for (alias, origin) in aliases {
            let target = Target::Alias { release: id.clone(), id: alias.clone(), key: key.clone() };
            add(target, Fact::Alias { key: key.clone(), origin: *origin });
        }
    }
    for (key, artifact) in &release.artifacts {
        add(Target::Artifact { release: id.clone(), key: key.clone() }, Fact::Artifact(artifact.clone()));
    }
    if let Some(notes) = &release.notes {
        add(Target::Notes(id.clone()), Fact::Notes(notes.clone()));
    }
    for (arch, on) in release.built_on.iter().flat_map(|built_on| built_on.iter()) {
        let target = Target::BuiltOn { release: id.clone(), arch: arch.clone() };
        add(target, Fact::BaseRelease(on.version.clone()));
    }
    if let Some(from) = &release.promoted_from {
        add(Target::Promotion(id.clone()), Fact::Promotion(Promotion::clone(from)));
    }
    facts
}
