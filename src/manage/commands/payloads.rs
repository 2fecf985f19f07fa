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
use litemap::Entry;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::graph_rules::GraphRules;
    use crate::manage::{
        command::LoadedReads,
        testing::{NOW, apply, found, id, key, next, payload, payload_id, refusal, release, stream},
    };

    fn set(version: &str, arch: &str) -> SetPayload {
        SetPayload { release: release(version), key: key(arch), payload: payload(7) }
    }

    #[test]
    fn a_payload_is_set_and_removed() {
        let added = next(&set("4", "aarch64"), &stream());
        let replaced = next(&set("4", "x86_64"), &added);
        let ids: Vec<_> = found(&replaced, "4").payloads.values().map(|payload| payload.id.clone()).collect();
        assert_eq!(ids, [payload_id(7), payload_id(7)]);
        let remove = RemovePayload { release: release("4"), key: key("aarch64") };
        let removed = next(&remove, &added);
        assert_eq!(removed, stream());
        assert_eq!(refusal(&remove, &removed), "there is no payload for aarch64 oci");
    }

    #[test]
    fn only_a_new_payload_of_a_published_release_needs_a_manager() {
        let stream = stream();
        for (version, arch, needs_manager) in [
            ("1", "aarch64", true),
            ("3", "aarch64", true),
            ("3", "x86_64", false),
            ("2", "aarch64", false),
            ("4", "aarch64", false),
            ("4", "x86_64", false),
            ("9", "aarch64", false),
        ] {
            let present = Present {
                id: &id(),
                stream: Some(&stream),
                read: &LoadedReads::default(),
                rules: GraphRules::default(),
                now: NOW,
            };
            let need = set(version, arch).needs(&present);
            let expected = needs_manager.then_some(Need { role: Role::Manager, why: None });
            assert_eq!(need, expected, "{version} {arch}");
            assert_eq!(set(version, arch).needs(&Present { stream: None, ..present }), None);
        }
    }

    #[test]
    fn an_alias_is_added_once_as_a_local_one() {
        let add = AddAlias { release: release("1"), key: key("x86_64"), alias: payload_id(12) };
        let added = apply(&add, &stream()).unwrap();
        assert_eq!(added.created.as_deref(), Some("x86_64"));
        let aliases: Vec<_> = found(&added.stream, "1").aliases[&key("x86_64")].clone().into_iter().collect();
        assert_eq!(aliases, [(payload_id(11), Origin::Upstream), (payload_id(12), Origin::Local)]);
        assert_eq!(refusal(&add, &added.stream), format!("alias {} exists already", payload_id(12)));
        let known = AddAlias { alias: payload_id(11), ..add };
        assert_eq!(refusal(&known, &stream()), format!("alias {} exists already", payload_id(11)));
    }

    #[test]
    fn the_last_alias_of_a_key_leaves_no_empty_set() {
        let remove = RemoveAlias { release: release("1"), key: key("x86_64"), alias: payload_id(11) };
        let removed = next(&remove, &stream());
        assert!(found(&removed, "1").aliases.is_empty());
        let no_such = format!("there is no alias {}", payload_id(11));
        assert_eq!(refusal(&remove, &removed), no_such);
        assert_eq!(refusal(&RemoveAlias { key: key("aarch64"), ..remove.clone() }, &stream()), no_such);
        assert_eq!(refusal(&RemoveAlias { release: release("3"), ..remove }, &stream()), no_such);
    }
}
