//! Drafts, publishes, withdraws and promotes releases, and changes their notes.

use super::rollouts::{RolloutPlan, insert_rollouts};
use crate::{
    domain::{
        artifact::{Notes, Promotion},
        epoch::Epoch,
        finding::{Code, Finding},
        ids::{StreamId, Version},
        origin::Origin,
        payload::Payload,
        policy::predecessors::Predecessors,
        release::{PayloadKey, Release, ReleaseState},
        rollout::{Rollout, id::RolloutId},
        stream::Stream,
    },
    manage::{
        address::ReleaseAddress,
        command::{Command, Need, Next, Present, Reads},
        refusal::Refusal,
        request::Action,
    },
};
use litemap::LiteMap;
use std::collections::BTreeSet;

/// Creates a draft, with its policies and rollouts, and publishes it if asked to: all of it or nothing.
#[derive(Debug, Clone)]
pub struct CreateRelease {
    /// The stream.
    pub stream: StreamId,
    /// The release. It becomes a draft whatever its state.
    pub draft: Release,
    /// Its rollouts, in their order.
    pub rollouts: Vec<RolloutPlan>,
    /// True to publish it at once.
    pub is_published: bool,
}

impl Command for CreateRelease {
    fn action(&self) -> Action {
        Action::CREATE_RELEASE
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    /// Policies and rollouts require the role that setting them one by one requires.
    fn needs(&self, _: &Present<'_>) -> Option<Need> {
        let has_policies = self.draft.barrier.is_some() || self.draft.dead_end.is_some();
        let role = Action::CREATE_ROLLOUT.role;
        let need = |why: &str| Need { role, why: Some(why.into()) };
        match (self.rollouts.is_empty(), has_policies) {
            (false, _) => Some(need("the release has rollouts")),
            (true, true) => Some(need("the release is a barrier or a dead end")),
            (true, false) => None,
        }
    }

    fn uses_presets(&self) -> bool {
        self.rollouts.iter().any(RolloutPlan::uses_presets)
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let (stream, mut draft) = (present.existing()?, self.draft.clone());
        for (index, plan) in self.rollouts.iter().enumerate() {
            let rollouts = plan.rollouts(present).map_err(|refusal| refusal.within(&format!("rollouts[{index}]")))?;
            let end = draft.rollouts.len();
            insert_rollouts(&mut draft, end, rollouts);
        }
        let mut next = add_draft(stream, draft)?;
        if self.is_published {
            publish(
                &mut next.stream,
                &ReleaseAddress { stream: self.stream.clone(), version: self.draft.version.clone() },
                present.now,
            )?;
        }
        Ok(next)
    }
}

fn add_draft(present: &Stream, draft: Release) -> Result<Next, Refusal> {
    if present.position_of(&draft.version).is_some() {
        return Err(Refusal::Exists { what: "release", name: draft.version.to_string() });
    }
    let version = draft.version.clone();
    let mut stream = present.clone();
    let draft = Release { state: ReleaseState::Draft, origin: Origin::Local, ..draft };
    stream.releases.push(draft.into());
    Ok(Next::from(stream).creates(&version))
}

/// Deletes a draft. A release that was published can only be withdrawn.
#[derive(Debug, Clone)]
pub struct RemoveRelease {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for RemoveRelease {
    fn action(&self) -> Action {
        Action::REMOVE_RELEASE
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        let version = &self.release.version;
        if self.release.find(&mut stream)?.state != ReleaseState::Draft {
            return Err(Refusal::State(format!("release {version} was published: withdraw it instead")));
        }
        stream.releases.retain(|release| release.version != *version);
        Ok(stream.into())
    }
}

/// Publishes a draft as the newest release, or a withdrawn release again. Rollouts that were planned to start earlier start now. A draft
/// without rollouts gets the default rollout of its stream.
#[derive(Debug, Clone)]
pub struct PublishRelease {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for PublishRelease {
    fn action(&self) -> Action {
        Action::PUBLISH
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        publish(&mut stream, &self.release, present.now)?;
        Ok(stream.into())
    }
}

fn publish(stream: &mut Stream, address: &ReleaseAddress, now: Epoch) -> Result<(), Refusal> {
    let default_rollout = stream.default_rollout;
    let published = address.find(stream)?;
    let version = &address.version;
    if published.state == ReleaseState::Published {
        return Err(Refusal::State(format!("release {version} is published already")));
    }
    if published.payloads.is_empty() {
        return Err(Refusal::State(format!("release {version} has no payload yet")));
    }
    let was_draft = published.state == ReleaseState::Draft;
    published.state = ReleaseState::Published;
    if let Some(preset) = default_rollout.filter(|_| was_draft && published.rollouts.is_empty()) {
        let id = published.next_rollout_id();
        published.rollouts.push(Rollout { id, ..preset.rollout(now) });
    }
    for rollout in &mut published.rollouts {
        *rollout = rollout.not_before(now);
    }
    if was_draft {
        move_before_drafts(stream, version);
    }
    Ok(())
}

/// Moves a release that is no longer a draft before the drafts, which follow all other releases.
fn move_before_drafts(stream: &mut Stream, version: &Version) {
    let Some(at) = stream.position_of(version) else { return };
    let moved = stream.releases.remove(at);
    let first_draft = stream.aged().count();
    stream.releases.insert(first_draft, moved);
}

/// Withdraws a release: it is offered to no node any more, present offers included.
#[derive(Debug, Clone)]
pub struct WithdrawRelease {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for WithdrawRelease {
    fn action(&self) -> Action {
        Action::WITHDRAW
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let version = &self.release.version;
        self.release.edit(present, |release| match release.state {
            ReleaseState::Published => {
                release.state = ReleaseState::Withdrawn;
                Ok(())
            }
            ReleaseState::Withdrawn => Err(Refusal::State(format!("release {version} is withdrawn already"))),
            ReleaseState::Draft => Err(Refusal::State(format!("release {version} is a draft: delete it instead"))),
        })
    }
}

/// Copies a release of another stream of the product into this one, as a draft without rollouts. Predecessors that this stream does not
/// have are left out.
#[derive(Debug, Clone)]
pub struct PromoteRelease {
    /// The stream that gets the copy.
    pub stream: StreamId,
    /// The source release.
    pub from: Promotion,
    /// The version of the copy, if it differs.
    pub version: Option<Version>,
    /// The payloads of the copy, if they differ.
    pub payloads: Option<LiteMap<PayloadKey, Payload>>,
}

impl PromoteRelease {
    fn source(&self) -> StreamId {
        StreamId { product: self.stream.product.clone(), stream: self.from.stream.clone() }
    }
}

impl Command for PromoteRelease {
    fn action(&self) -> Action {
        Action::PROMOTE
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn reads(&self) -> Reads {
        Reads { stream: Some(self.source()), ..Reads::default() }
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let source = self.source();
        let read = present.read.stream.as_ref().ok_or_else(|| Refusal::no_such("stream", &source))?;
        let found = read.releases.iter().find(|release| release.version == self.from.version);
        let found = found.ok_or_else(|| Refusal::no_such("release", &self.from.version))?;
        if found.state == ReleaseState::Withdrawn {
            return Err(Refusal::State(format!("release {} of {source} is withdrawn", found.version)));
        }
        // Aliases, artifacts, and on what it is built, belong to the payloads of the source release.
        let (aliases, artifacts, built_on) = match self.payloads {
            Some(_) => Default::default(),
            None => (found.aliases.clone(), found.artifacts.clone(), found.built_on.clone()),
        };
        let draft = Release {
            version: self.version.clone().unwrap_or_else(|| found.version.clone()),
            payloads: self.payloads.clone().unwrap_or_else(|| found.payloads.clone()),
            aliases,
            artifacts,
            built_on,
            promoted_from: Some(Box::new(self.from.clone())),
            predecessors: None,
            rollouts: Vec::new(),
            last_rollout_id: RolloutId::NEW,
            suppressed_upstream: BTreeSet::new(),
            ..Release::clone(found)
        };
        let (present, version) = (present.existing()?, draft.version.clone());
        let (predecessors, unknown) = known_predecessors(found, present);
        let next = add_draft(present, Release { predecessors, ..draft })?;
        let findings =
            unknown.map(|unknown| Finding::warning(Code::UnknownPredecessors, format!("release {version}"), unknown));
        Ok(Next { findings: findings.into_iter().collect(), ..next })
    }
}

/// Returns the predecessors of a release that a stream has, too, and a message that names the others.
fn known_predecessors(release: &Release, stream: &Stream) -> (Option<Box<Predecessors>>, Option<String>) {
    let Some(Predecessors { versions, origin }) = release.predecessors.as_deref().cloned() else { return (None, None) };
    let is_known = |version: &Version| stream.position_of(version).is_some();
    let (known, unknown): (BTreeSet<_>, BTreeSet<_>) = versions.into_iter().partition(is_known);
    let names: Vec<&str> = unknown.iter().map(Version::as_str).collect();
    let message =
        format!("its predecessors {} are left out, because {} does not have them", names.join(", "), stream.id);
    let known = (!known.is_empty()).then(|| Box::new(Predecessors { versions: known, origin }));
    (known, (!unknown.is_empty()).then_some(message))
}

/// Sets or removes the notes of a release.
#[derive(Debug, Clone)]
pub struct SetNotes {
    /// The release.
    pub release: ReleaseAddress,
    /// The notes; `None` removes them.
    pub notes: Option<Notes>,
}

impl Command for SetNotes {
    fn action(&self) -> Action {
        Action::CHANGE_RELEASE
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.notes.clone_from(&self.notes);
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "releases_tests.rs"]
mod tests;
