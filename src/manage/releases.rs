//! Drafts, publishes, withdraws and promotes releases, and changes their notes, payloads, aliases and artifacts.

use super::{
    change::Manage,
    edit::Edited,
    refusal::{EditError, Refusal},
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey, Notes, Promotion},
    epoch::Epoch,
    ids::{StreamId, Version},
    origin::Origin,
    payload::{Payload, PayloadId},
    release::{PayloadKey, Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// Finds a release by its version.
pub(super) fn release<'a>(stream: &'a mut Stream, version: &Version) -> Result<&'a mut Release, Refusal> {
    let found = stream.releases.iter_mut().find(|release| release.version == *version);
    found.ok_or_else(|| Refusal::no_such("release", version))
}

/// Returns the position of the first draft: drafts follow all other releases.
fn first_draft_position(stream: &Stream) -> usize {
    stream.aged().count()
}

impl Manage {
    /// Changes one release of a stream.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist, or `change` refuses.
    pub async fn edit_release(
        &self,
        action: Action,
        (id, version): (&StreamId, &Version),
        request: &Request<'_>,
        change: impl Fn(&mut Release) -> Result<(), Refusal>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            change(release(&mut stream, version)?)?;
            Ok(stream.into())
        };
        self.edit(action, id, request, edit).await
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; a release of that version exists already.
    pub async fn create_release(
        &self,
        id: &StreamId,
        draft: &Release,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| add_draft(present, draft.clone());
        self.edit(Action::CREATE_RELEASE, id, request, edit).await
    }

    /// Deletes a draft.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release was published and can only be withdrawn.
    pub async fn remove_release(
        &self,
        id: &StreamId,
        version: &Version,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            if release(&mut stream, version)?.state != ReleaseState::Draft {
                return Err(Refusal::State(format!("release {version} was published: withdraw it instead")));
            }
            stream.releases.retain(|release| release.version != *version);
            Ok(stream.into())
        };
        self.edit(Action::REMOVE_RELEASE, id, request, edit).await
    }

    /// Publishes a draft as the newest release, or a withdrawn release again. Rollouts that were planned to start earlier start
    /// now.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release is published already, or has no payload.
    pub async fn publish(&self, id: &StreamId, version: &Version, request: &Request<'_>) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            let published = release(&mut stream, version)?;
            if published.state == ReleaseState::Published {
                return Err(Refusal::State(format!("release {version} is published already")));
            }
            if published.payloads.is_empty() {
                return Err(Refusal::State(format!("release {version} has no payload yet")));
            }
            let was_draft = published.state == ReleaseState::Draft;
            published.state = ReleaseState::Published;
            for rollout in &mut published.rollouts {
                *rollout = rollout.not_before(now);
            }
            if was_draft {
                let position = first_draft_position(present);
                let at = present.position_of(version).unwrap_or(position);
                let moved = stream.releases.remove(at);
                stream.releases.insert(position, moved);
            }
            Ok(stream.into())
        };
        self.edit(Action::PUBLISH, id, request, edit).await
    }

    /// Withdraws a release: it is offered to no node any more, present offers included.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release is not published.
    pub async fn withdraw(&self, id: &StreamId, version: &Version, request: &Request<'_>) -> Result<Report, EditError> {
        let withdraw = |release: &mut Release| match release.state {
            ReleaseState::Published => {
                release.state = ReleaseState::Withdrawn;
                Ok(())
            }
            ReleaseState::Withdrawn => Err(Refusal::State(format!("release {version} is withdrawn already"))),
            ReleaseState::Draft => Err(Refusal::State(format!("release {version} is a draft: delete it instead"))),
        };
        self.edit_release(Action::WITHDRAW, (id, version), request, withdraw).await
    }

    /// Copies a release of another stream of the product into this one, as a draft without rollouts. Version and payloads may
    /// differ.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the source release does not exist or is withdrawn, the version exists in this stream, or the
    /// caller may not read the source stream.
    pub async fn promote(
        &self,
        id: &StreamId,
        promoted: &Promoted,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let source = StreamId { product: id.product.clone(), stream: promoted.from.stream.clone() };
        super::edit::allow(request, crate::auth::Role::Viewer, &source)?;
        let snapshot = self.stream(&source).await?.ok_or_else(|| Refusal::no_such("stream", &source))?;
        let mut stream = snapshot.stream;
        let found = release(&mut stream, &promoted.from.version)?;
        if found.state == ReleaseState::Withdrawn {
            return Err(Refusal::State(format!("release {} of {source} is withdrawn", found.version)).into());
        }
        let version = promoted.version.clone().unwrap_or_else(|| found.version.clone());
        let draft = Release {
            version,
            payloads: promoted.payloads.clone().unwrap_or_else(|| found.payloads.clone()),
            // Aliases and artifacts belong to the payloads of the source release.
            aliases: if promoted.payloads.is_some() { BTreeMap::default() } else { found.aliases.clone() },
            artifacts: if promoted.payloads.is_some() { BTreeMap::default() } else { found.artifacts.clone() },
            promoted_from: Some(promoted.from.clone()),
            rollouts: Vec::new(),
            suppressed_upstream: BTreeSet::new(),
            ..found.clone()
        };
        let edit = |present: &Stream, _| add_draft(present, draft.clone());
        self.edit(Action::PROMOTE, id, request, edit).await
    }

    /// Sets or removes the notes of a release.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist.
    pub async fn set_notes(
        &self,
        place: (&StreamId, &Version),
        notes: Option<&Notes>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            release.notes = notes.cloned();
            Ok(())
        };
        self.edit_release(Action::CHANGE_RELEASE, place, request, set).await
    }

    /// Sets or removes the payload of a release on an arch and scheme.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release or payload does not exist, or nodes may run the payload.
    pub async fn set_payload(
        &self,
        place: (&StreamId, &Version),
        key: &PayloadKey,
        payload: Option<&Payload>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            let is_new = !release.payloads.contains_key(key);
            if payload.is_some() && is_new && release.state == ReleaseState::Published {
                // A new payload of a published release is offered to nodes at once.
                super::edit::allow(request, crate::auth::Role::Manager, place.0)?;
            }
            match payload {
                Some(payload) => drop(release.payloads.insert(key.clone(), payload.clone())),
                None if release.payloads.remove(key).is_some() => {}
                None => return Err(Refusal::no_such("payload", format!("for {} {}", key.arch, key.scheme))),
            }
            Ok(())
        };
        let action = if payload.is_some() { Action::SET_PAYLOAD } else { Action::REMOVE_PAYLOAD };
        self.edit_release(action, place, request, set).await
    }

    /// Adds an alias to a release: another payload under which nodes may report it.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release does not exist, or has the alias already.
    pub async fn add_alias(
        &self,
        (id, version): (&StreamId, &Version),
        (key, alias): &(PayloadKey, PayloadId),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            let aliases = &mut release(&mut stream, version)?.aliases;
            match aliases.entry(key.clone()).or_default().entry(alias.clone()) {
                Entry::Vacant(new) => drop(new.insert(Origin::Local)),
                Entry::Occupied(_) => return Err(Refusal::Exists { what: "alias", name: alias.to_string() }),
            }
            Ok(Edited { stream, created: Some(key.arch.to_string()) })
        };
        self.edit(Action::ADD_ALIAS, id, request, edit).await
    }

    /// Removes an alias from a release.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release or alias does not exist.
    pub async fn remove_alias(
        &self,
        place: (&StreamId, &Version),
        (key, alias): &(PayloadKey, PayloadId),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let remove = |release: &mut Release| {
            let is_removed = release.aliases.get_mut(key).is_some_and(|ids| ids.remove(alias).is_some());
            release.aliases.retain(|_, ids| !ids.is_empty());
            if is_removed { Ok(()) } else { Err(Refusal::no_such("alias", alias)) }
        };
        self.edit_release(Action::REMOVE_ALIAS, place, request, remove).await
    }

    /// Sets or removes the location of an artifact.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the release or artifact does not exist.
    pub async fn set_artifact(
        &self,
        place: (&StreamId, &Version),
        key: &ArtifactKey,
        artifact: Option<&Artifact>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let set = |release: &mut Release| {
            match artifact {
                Some(artifact) => drop(release.artifacts.insert(key.clone(), artifact.clone())),
                None if release.artifacts.remove(key).is_some() => {}
                None => return Err(Refusal::no_such("artifact", format!("{} for {}", key.name, key.arch))),
            }
            Ok(())
        };
        let action = if artifact.is_some() { Action::SET_ARTIFACT } else { Action::REMOVE_ARTIFACT };
        self.edit_release(action, place, request, set).await
    }
}

/// A release to promote, and what differs in the copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Promoted {
    /// The source release.
    pub from: Promotion,
    /// The version of the copy, if it differs.
    pub version: Option<Version>,
    /// The payloads of the copy, if they differ.
    pub payloads: Option<BTreeMap<PayloadKey, Payload>>,
}

fn add_draft(present: &Stream, draft: Release) -> Result<Edited, Refusal> {
    if present.position_of(&draft.version).is_some() {
        return Err(Refusal::Exists { what: "release", name: draft.version.to_string() });
    }
    let created = Some(draft.version.to_string());
    let mut stream = present.clone();
    stream.releases.push(Release { state: ReleaseState::Draft, origin: crate::domain::origin::Origin::Local, ..draft });
    Ok(Edited { stream, created })
}
