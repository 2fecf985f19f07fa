//! Sets and removes payloads and aliases.

use crate::{
    auth::Role,
    domain::{
        ids::StreamId,
        origin::Origin,
        payload::{Payload, PayloadId},
        release::{PayloadKey, ReleaseState},
    },
    manage::{
        address::ReleaseAddress,
        command::{Command, Need, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::btree_map::Entry;

/// Sets the payload of a release on an arch and scheme.
#[derive(Debug, Clone)]
pub struct SetPayload {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and scheme.
    pub key: PayloadKey,
    /// The payload.
    pub payload: Payload,
}

impl Command for SetPayload {
    fn action(&self) -> Action {
        Action::SET_PAYLOAD
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    /// A new payload of a published release is offered to nodes at once.
    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let stream = present.stream?;
        let release = stream.releases.iter().find(|release| release.version == self.release.version)?;
        let is_new = !release.payloads.contains_key(&self.key);
        let is_offered = is_new && release.state == ReleaseState::Published;
        is_offered.then_some(Need { role: Role::Manager, why: None })
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            release.payloads.insert(self.key.clone(), self.payload.clone());
            Ok(())
        })
    }
}

/// Removes the payload of a draft on an arch and scheme.
#[derive(Debug, Clone)]
pub struct RemovePayload {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and scheme.
    pub key: PayloadKey,
}

impl Command for RemovePayload {
    fn action(&self) -> Action {
        Action::REMOVE_PAYLOAD
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| match release.payloads.remove(&self.key) {
            Some(_) => Ok(()),
            None => Err(Refusal::no_such("payload", format!("for {} {}", self.key.arch, self.key.scheme))),
        })
    }
}

/// Adds an alias to a release: another payload under which nodes may report it.
#[derive(Debug, Clone)]
pub struct AddAlias {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and scheme.
    pub key: PayloadKey,
    /// The alias.
    pub alias: PayloadId,
}

impl Command for AddAlias {
    fn action(&self) -> Action {
        Action::ADD_ALIAS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let next = self.release.edit(present, |release| {
            match release.aliases.entry(self.key.clone()).or_default().entry(self.alias.clone()) {
                Entry::Vacant(new) => drop(new.insert(Origin::Local)),
                Entry::Occupied(_) => return Err(Refusal::Exists { what: "alias", name: self.alias.to_string() }),
            }
            Ok(())
        })?;
        Ok(next.creates(&self.key.arch))
    }
}

/// Removes an alias from a release.
#[derive(Debug, Clone)]
pub struct RemoveAlias {
    /// The release.
    pub release: ReleaseAddress,
    /// The arch and scheme.
    pub key: PayloadKey,
    /// The alias.
    pub alias: PayloadId,
}

impl Command for RemoveAlias {
    fn action(&self) -> Action {
        Action::REMOVE_ALIAS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            let is_removed = release.aliases.get_mut(&self.key).is_some_and(|ids| ids.remove(&self.alias).is_some());
            release.aliases.retain(|_, ids| !ids.is_empty());
            if is_removed { Ok(()) } else { Err(Refusal::no_such("alias", &self.alias)) }
        })
    }
}
