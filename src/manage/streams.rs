//! Creates streams, changes their settings, replaces them by documents and reverts them to revisions.

use super::{
    change::Manage,
    edit::{Edited, allow},
    refusal::{EditError, Refusal},
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    document::Problem,
    ids::{StreamId, Version},
    origin::Origin,
    payload::PayloadId,
    policy::blocked_update::BlockedUpdate,
    release::{Aliases, PayloadKey, Release, ReleaseState},
    stream::{Revision, Stream},
};
use std::collections::{BTreeMap, BTreeSet};

impl Manage {
    /// Creates a stream, or changes its settings: arches, mirrors, protection.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; `set` finds invalid fields.
    pub async fn set_stream(
        &self,
        id: &StreamId,
        set: impl Fn(&Stream) -> Result<Stream, Vec<Problem>>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let action = if request.expected == Some(Revision(0)) { Action::CREATE_STREAM } else { Action::SET_STREAM };
        allow(request, action.role, id)?;
        let edit = |present: Option<&Stream>, _| match present {
            None if request.expected != Some(Revision(0)) => Err(Refusal::no_such("stream", id)),
            None => {
                let stream = set(&Stream::empty(id.clone()))?;
                Ok(Edited { stream, created: Some(id.stream.to_string()) })
            }
            Some(present) => Ok(set(present)?.into()),
        };
        let reports = self.edit_all(action, std::slice::from_ref(id), request, edit).await?;
        reports.into_iter().next().ok_or_else(|| Refusal::no_such("stream", id).into())
    }

    /// Replaces a stream by a document.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the document creates the stream or changes its settings, and the caller is not an admin.
    pub async fn write_document(&self, written: &Stream, request: &Request<'_>) -> Result<Report, EditError> {
        let id = &written.id;
        allow(request, Action::PUT_DOCUMENT.role, id)?;
        let edit = |present: Option<&Stream>, _| {
            let empty = Stream::empty(id.clone());
            let before = present.unwrap_or(&empty);
            let settings = |stream: &Stream| (stream.arches.clone(), stream.mirrors.clone(), stream.protection.clone());
            if present.is_none() || settings(before) != settings(written) {
                allow(request, Action::SET_STREAM.role, id)?;
            }
            Ok(with_upstream_aliases(before, written).into())
        };
        let reports = self.edit_all(Action::PUT_DOCUMENT, std::slice::from_ref(id), request, edit).await?;
        reports.into_iter().next().ok_or_else(|| Refusal::no_such("stream", id).into())
    }

    /// Reverts a stream to a revision, as far as published releases allow. Releases that were published since are withdrawn, not
    /// removed, because nodes may run them. Payloads, settings and an emergency stop stay as they are.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the revision does not exist.
    pub async fn revert(&self, id: &StreamId, to: Revision, request: &Request<'_>) -> Result<Report, EditError> {
        allow(request, Action::REVERT.role, id)?;
        let then = self.revision(id, to).await?.ok_or_else(|| Refusal::no_such("revision", format!("{to} of {id}")))?;
        self.edit(Action::REVERT, id, request, |present, _| Ok(reverted(present, &then.stream).into())).await
    }
}

/// Returns what a document says, with upstream's aliases of published releases if it omits them: nodes may run those payloads, and no
/// later import would add them again.
fn with_upstream_aliases(present: &Stream, written: &Stream) -> Stream {
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = written.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut stream = written.clone();
    let named = names(&stream);
    for (release, before) in stream.releases.iter_mut().zip(before) {
        let Some(before) = before.filter(|before| before.state != ReleaseState::Draft) else { continue };
        for (key, id) in upstream_aliases(before) {
            if !named.contains(&(key.clone(), id.clone())) {
                release.aliases.entry(key.clone()).or_default().insert(id.clone(), Origin::Upstream);
            }
        }
    }
    stream
}

/// Returns the payloads and aliases of all releases.
fn names(stream: &Stream) -> BTreeSet<(PayloadKey, PayloadId)> {
    let payloads = |release: &Release| -> Vec<_> {
        release.payloads.iter().map(|(key, payload)| (key.clone(), payload.id.clone())).collect()
    };
    let aliases = |release: &Release| -> Vec<_> {
        release.aliases.iter().flat_map(|(key, ids)| ids.keys().map(|id| (key.clone(), id.clone()))).collect()
    };
    stream.releases.iter().flat_map(|release| payloads(release).into_iter().chain(aliases(release))).collect()
}

fn upstream_aliases(release: &Release) -> impl Iterator<Item = (&PayloadKey, &PayloadId)> {
    release.aliases.iter().flat_map(|(key, ids)| {
        ids.iter().filter(|(_, origin)| **origin == Origin::Upstream).map(move |(id, _)| (key, id))
    })
}

/// Returns the state `then`, with the ages and payloads of all releases that were published since.
fn reverted(present: &Stream, then: &Stream) -> Stream {
    let known: BTreeMap<(&Version, usize), &Release> = then.identified().into_iter().collect();
    let is_aged = |release: &Release| release.state != ReleaseState::Draft;
    let named = names(present);
    // What upstream removed stays withdrawn and blocked: no later import would report it again.
    let is_removed = |now: &Release| now.state == ReleaseState::Withdrawn && now.origin == Origin::Upstream;
    let aged = present.identified().into_iter().filter(|(_, release)| is_aged(release)).map(|(identity, now)| {
        match known.get(&identity).filter(|was| is_aged(was)) {
            Some(was) => Release {
                payloads: now.payloads.clone(),
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
    let aged: Vec<Release> = aged.collect();
    let was_published = |draft: &Release| aged.iter().any(|release| release.version == draft.version);
    let drafts = then.releases.iter().filter(|release| !is_aged(release) && !was_published(release)).cloned();
    let releases: Vec<Release> = aged.iter().cloned().chain(drafts).collect();
    let is_upstream = |blocked: &&BlockedUpdate| blocked.origin == Origin::Upstream;
    let added =
        present.blocked_updates.iter().filter(is_upstream).filter(|block| !then.blocked_updates.contains(block));
    let blocked_updates = then.blocked_updates.iter().chain(added).cloned().collect();
    Stream { releases, blocked_updates, ..present.clone() }
}

/// Returns the aliases of a past release, with those that imports have added since: payloads that upstream has replaced, which nodes may
/// run.
fn aliases_after_revert(
    then: &Release,
    now: &Release,
    named: &BTreeSet<(PayloadKey, PayloadId)>,
) -> BTreeMap<PayloadKey, Aliases> {
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

fn has_policy(release: &Release, policy: crate::domain::release::PolicyKind) -> bool {
    use crate::domain::release::PolicyKind;
    match policy {
        PolicyKind::Barrier => release.barrier.is_some(),
        PolicyKind::DeadEnd => release.dead_end.is_some(),
        PolicyKind::Rollouts => !release.rollouts.is_empty(),
    }
}
