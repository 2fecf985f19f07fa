//! Releases: drafted, published, withdrawn, promoted; and what hangs on them.

use super::{
    change::Manage,
    edit::{EditError, Edited},
    refusal::Refusal,
    report::Report,
    request::{Action, Request},
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey, Notes, Promotion},
    epoch::Epoch,
    payload::{Payload, PayloadId},
    release::{PayloadKey, Release, ReleaseState},
    stream::{Stream, StreamId},
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet};

/// The release of a version.
pub(super) fn release<'a>(stream: &'a mut Stream, version: &Version) -> Result<&'a mut Release, Refusal> {
    let found = stream.releases.iter_mut().find(|release| release.version == *version);
    found.ok_or_else(|| Refusal::no_such("release", version))
}

/// Where the drafts begin.
fn end_of_aged(stream: &Stream) -> usize {
    stream.aged().count()
}

impl Manage {
    /// Changes one release of a stream.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release, or `change` refuses.
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

    /// Makes a draft.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is a release of that version.
    pub async fn create_release(
        &self,
        id: &StreamId,
        draft: &Release,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| add_draft(present, draft.clone());
        self.edit(Action::CREATE_RELEASE, id, request, edit).await
    }

    /// Takes a draft away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; it was published, and can only be withdrawn.
    pub async fn remove_release(
        &self,
        id: &StreamId,
        version: &Version,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let edit = |present: &Stream, _| {
            let mut stream = present.clone();
            if release(&mut stream, version)?.state != ReleaseState::Draft {
                return Err(Refusal::State(format!("release {version} was published; withdraw it")));
            }
            stream.releases.retain(|release| release.version != *version);
            Ok(stream.into())
        };
        self.edit(Action::REMOVE_RELEASE, id, request, edit).await
    }

    /// Publishes a draft, as the youngest release, or again what was withdrawn. What would have opened meanwhile begins now.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; it is published already, or has no payload.
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
                let place = end_of_aged(present);
                let at = present.position_of(version).unwrap_or(place);
                let moved = stream.releases.remove(at);
                stream.releases.insert(place, moved);
            }
            Ok(stream.into())
        };
        self.edit(Action::PUBLISH, id, request, edit).await
    }

    /// Takes a release back: nobody is sent to it any more. Offers that were made are taken back as well.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; it is not published.
    pub async fn withdraw(&self, id: &StreamId, version: &Version, request: &Request<'_>) -> Result<Report, EditError> {
        let withdraw = |release: &mut Release| match release.state {
            ReleaseState::Published => {
                release.state = ReleaseState::Withdrawn;
                Ok(())
            }
            ReleaseState::Withdrawn => Err(Refusal::State(format!("release {version} is withdrawn already"))),
            ReleaseState::Draft => Err(Refusal::State(format!("release {version} was never published; remove it"))),
        };
        self.edit_release(Action::WITHDRAW, (id, version), request, withdraw).await
    }

    /// Copies a release of another stream of the product into this one, as a draft: as it is, or under another version and with
    /// other payloads. Its rollouts stay behind.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release there, or one of that version here; or whoever asks may not read
    /// the other stream.
    pub async fn promote(
        &self,
        id: &StreamId,
        promoted: &Promoted,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let source = StreamId { product: id.product.clone(), stream: promoted.from.stream.clone() };
        super::edit::allow(request, crate::auth::Role::Viewer, &source)?;
        let there = self.stream(&source).await?.ok_or_else(|| Refusal::no_such("stream", &source))?;
        let mut stream = there.stream;
        let found = release(&mut stream, &promoted.from.version)?;
        if found.state == ReleaseState::Withdrawn {
            return Err(Refusal::State(format!("release {} of {source} is withdrawn", found.version)).into());
        }
        let version = promoted.version.clone().unwrap_or_else(|| found.version.clone());
        let draft = Release {
            version,
            payloads: promoted.payloads.clone().unwrap_or_else(|| found.payloads.clone()),
            // Aliases are other names of the payloads there.
            aliases: if promoted.payloads.is_some() { BTreeMap::default() } else { found.aliases.clone() },
            artifacts: if promoted.payloads.is_some() { BTreeMap::default() } else { found.artifacts.clone() },
            promoted_from: Some(promoted.from.clone()),
            rollouts: Vec::new(),
            cleared: BTreeSet::new(),
            ..found.clone()
        };
        let edit = |present: &Stream, _| add_draft(present, draft.clone());
        self.edit(Action::PROMOTE, id, request, edit).await
    }

    /// Sets the notes of a release, or takes them away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release.
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

    /// Sets the payload of a release on an arch and scheme, or takes it away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release or payload, or nodes may run it.
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
                // Nodes are sent to what they were not before.
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

    /// Gives a release another name on an arch and scheme, by which nodes may know it.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release, or it has that name.
    pub async fn add_alias(
        &self,
        place: (&StreamId, &Version),
        (key, alias): &(PayloadKey, PayloadId),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let add = |release: &mut Release| {
            let is_new = release.aliases.entry(key.clone()).or_default().insert(alias.clone());
            if is_new { Ok(()) } else { Err(Refusal::Exists { what: "alias", name: alias.to_string() }) }
        };
        self.edit_release(Action::ADD_ALIAS, place, request, add).await
    }

    /// Takes such a name away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release or name.
    pub async fn remove_alias(
        &self,
        place: (&StreamId, &Version),
        (key, alias): &(PayloadKey, PayloadId),
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let remove = |release: &mut Release| {
            let was_there = release.aliases.get_mut(key).is_some_and(|ids| ids.remove(alias));
            release.aliases.retain(|_, ids| !ids.is_empty());
            if was_there { Ok(()) } else { Err(Refusal::no_such("alias", alias)) }
        };
        self.edit_release(Action::REMOVE_ALIAS, place, request, remove).await
    }

    /// Says where a file of a release is, or takes that away.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such release or file.
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

/// What is to be promoted, and as what.
#[derive(Debug, Clone, PartialEq)]
pub struct Promoted {
    /// The release there.
    pub from: Promotion,
    /// Its version here, if another.
    pub version: Option<Version>,
    /// Its payloads here, if others.
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
