//! Reverts streams to revisions.

use super::known_payloads::{named_payloads, upstream_aliases};
use crate::{
    domain::{
        base::{Base, BasePolicy},
        ids::{StreamId, Version},
        origin::Origin,
        payload::PayloadId,
        policy::blocked_update::BlockedUpdate,
        release::{Aliases, PayloadKey, PolicyKind, Release, ReleaseState},
        shared::Shared,
        stream::{Revision, Stream},
    },
    manage::{
        command::{Command, Next, Present, Reads},
        refusal::Refusal,
        request::Action,
    },
};
use litemap::LiteMap;
use std::collections::{BTreeMap, BTreeSet};

/// Reverts a stream to a revision, as far as published releases allow. Releases that were published since are withdrawn, not removed,
/// because nodes may run them. Payloads, settings and an emergency stop stay as they are.
#[derive(Debug, Clone)]
pub struct RevertStream {
    /// The stream.
    pub stream: StreamId,
    /// The revision.
    pub to: Revision,
}

impl Command for RevertStream {
    fn action(&self) -> Action {
        Action::REVERT
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn reads(&self) -> Reads {
        Reads { revision: Some(self.to), ..Reads::default() }
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let no_such = || Refusal::no_such("revision", format!("{} of {}", self.to, self.stream));
        let then = present.read.revision.as_ref().ok_or_else(no_such)?;
        Ok(reverted(present.existing()?, then).into())
    }
}

/// Returns the state `then`, with the ages and payloads of all releases that were published since.
pub(super) fn reverted(present: &Stream, then: &Stream) -> Stream {
    let known: BTreeMap<(&Version, usize), &Release> = then.identified().into_iter().collect();
    let is_aged = |release: &Release| release.state != ReleaseState::Draft;
    let named = named_payloads(present);
    // What upstream removed stays withdrawn and blocked: no later import would report it again.
    let is_removed = |now: &Release| now.state == ReleaseState::Withdrawn && now.origin == Origin::Upstream;
    let aged = present.identified().into_iter().filter(|(_, release)| is_aged(release)).map(|(identity, now)| {
        match known.get(&identity).filter(|was| is_aged(was)) {
            Some(was) => Release {
                payloads: now.payloads.clone(),
                built_on: now.built_on.clone(),
                aliases: aliases_after_revert(was, now, &named),
                state: if is_removed(now) { now.state } else { was.state },
                origin: if is_removed(now) { now.origin } else { was.origin },
                suppressed_upstream: now
                    .suppressed_upstream
                    .iter()
                    .copied()
                    .filter(|policy| !has_policy(was, *policy))
                    .collect(),
                ..(*was).clone()
            },
            None => Release { state: ReleaseState::Withdrawn, ..now.clone() },
        }
    });
    let aged: Vec<Shared<Release>> = aged.map(Into::into).collect();
    let was_published = |draft: &Release| aged.iter().any(|release| release.version == draft.version);
    let drafts = then.releases.iter().filter(|release| !is_aged(release) && !was_published(release)).cloned();
    let releases = aged.iter().cloned().chain(drafts).collect();
    let is_blocked_then = |blocked: &BlockedUpdate| then.blocked_updates.iter().any(|was| was.blocks_same(blocked));
    let added = present
        .blocked_updates
        .iter()
        .filter(|blocked| blocked.origin == Origin::Upstream && !is_blocked_then(blocked));
    let blocked_updates = then.blocked_updates.iter().chain(added).cloned().collect();
    Stream { releases, blocked_updates, ..present.clone() }
}

/// Returns the state `before` with its settings, and with the ages and payloads of releases that were published since.
pub(super) fn restored(now: &Stream, before: &Stream) -> Stream {
    let Stream { releases, blocked_updates, .. } = reverted(now, before);
    Stream {
        releases,
        blocked_updates,
        description: before.description.clone(),
        arches: before.arches.clone(),
        mirrors: before.mirrors.clone(),
        rules: before.rules,
        protection: before.protection.clone(),
        default_rollout: before.default_rollout,
        base: restored_base(now, before),
        follow: before.follow.clone(),
        ..now.clone()
    }
}

/// Returns the base of a past state. What counted since then and the base no longer has still counts.
fn restored_base(now: &Stream, before: &Stream) -> Option<Box<Base>> {
    let mut base = before.base.clone()?;
    if let Some(now) = now.base.as_ref().filter(|now| now.stream == base.stream) {
        let is_known = |policy: &BasePolicy| {
            let key = (&policy.release.version, policy.kind);
            base.policies.iter().any(|known| (&known.release.version, known.kind) == key)
        };
        let added: Vec<BasePolicy> = now.policies.iter().filter(|policy| !is_known(policy)).cloned().collect();
        base.policies.extend(added);
    }
    Some(base)
}

/// Returns the aliases of a past release, with those that imports have added since: payloads that upstream has replaced, which nodes may
/// run.
fn aliases_after_revert(
    then: &Release,
    now: &Release,
    named: &BTreeSet<(PayloadKey, PayloadId)>,
) -> LiteMap<PayloadKey, Aliases> {
    let mut aliases = then.aliases.clone();
    // What identifies another release by now does not return.
    for (key, ids) in &mut aliases {
        let is_own = |id: &PayloadId| now.aliases.get(key).is_some_and(|own| own.contains_key(id));
        ids.retain(|id, _| is_own(id) || !named.contains(&(key.clone(), id.clone())));
    }
    for (key, id) in upstream_aliases(now) {
        aliases.entry(key.clone()).or_default().insert(id.clone(), Origin::Upstream);
    }
    // An alias that has become the payload is no longer an alias.
    for (key, payload) in &now.payloads {
        if let Some(ids) = aliases.get_mut(key) {
            ids.remove(&payload.id);
        }
    }
    aliases.retain(|_, ids| !ids.is_empty());
    aliases
}

fn has_policy(release: &Release, policy: PolicyKind) -> bool {
    match policy {
        PolicyKind::Barrier => release.barrier.is_some(),
        PolicyKind::DeadEnd => release.dead_end.is_some(),
        PolicyKind::Rollouts => !release.rollouts.is_empty(),
    }
}

#[cfg(test)]
#[path = "revert_tests.rs"]
mod tests;
