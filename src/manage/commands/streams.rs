//! Creates and deletes streams, and changes their settings.

use super::{
    bases::{NewBase, NewBaseLag, with_inferred_bases},
    descriptions::NewDescription,
};
use crate::{
    domain::{
        admission::protection::Protection,
        follow::Follow,
        ids::{Arch, StreamId},
        payload::Repository,
        policy::graph_rules::{EdgeRule, GraphRules, Identity, TargetLimit},
        release::ReleaseState,
        rollout::preset::Preset,
        stream::Stream,
    },
    manage::{
        command::{Command, Next, Present, Provenance, Reads},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeSet;

/// The settings of a stream.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// What it is for.
    pub description: NewDescription,
    /// The arches that it serves.
    pub arches: BTreeSet<Arch>,
    /// Repositories that hold the same images under the same digests.
    pub mirrors: BTreeSet<Repository>,
    /// Which updates it has; if absent, the present rule stays, and a new stream has that of its protocol.
    pub edge_rule: Option<EdgeRule>,
    /// What identifies its nodes; if absent, as for the edge rule.
    pub identity: Option<Identity>,
    /// How many targets its nodes are shown; if absent, as for the edge rule.
    pub targets: Option<TargetLimit>,
    /// Limits on how fast and when it may be opened.
    pub protection: Protection,
    /// What drafts without rollouts get when they are published.
    pub default_rollout: DefaultRollout,
    /// The stream on which its images are built.
    pub base: NewBase,
    /// How much newer the base may be.
    pub base_lag: NewBaseLag,
    /// The repository that it follows.
    pub follow: NewFollow,
}

/// A default rollout as it is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRollout {
    /// It stays as it is.
    Unchanged,
    /// Drafts get no rollout.
    None,
    /// It is this preset.
    Preset(Preset),
}

/// A followed repository as it is requested.
#[derive(Debug, Clone, PartialEq)]
pub enum NewFollow {
    /// It stays as it is.
    Unchanged,
    /// Nothing is followed.
    None,
    /// It is this repository.
    Repository(Box<Follow>),
}

impl StreamSettings {
    fn reads(&self) -> Reads {
        Reads { base: self.base.stream().cloned(), ..Reads::default() }
    }

    fn apply_to(&self, stream: &Stream, base_stream: Option<&Stream>) -> Result<Stream, Refusal> {
        let Self {
            description,
            arches,
            mirrors,
            edge_rule,
            identity,
            targets,
            protection,
            default_rollout,
            base,
            base_lag,
            follow,
        } = self.clone();
        let description = description.after(stream.description.as_ref());
        let rules = GraphRules {
            edge_rule: edge_rule.unwrap_or(stream.rules.edge_rule),
            identity: identity.unwrap_or(stream.rules.identity),
            targets: targets.unwrap_or(stream.rules.targets),
        };
        let default_rollout = match default_rollout {
            DefaultRollout::Unchanged => stream.default_rollout,
            DefaultRollout::None => None,
            DefaultRollout::Preset(preset) => Some(preset),
        };
        let follow = match follow {
            NewFollow::Unchanged => stream.follow.clone(),
            NewFollow::None => None,
            NewFollow::Repository(follow) => Some(follow),
        };
        let base = base_lag.apply_to(base.after(stream.base.as_deref()))?;
        let stream =
            Stream { description, arches, mirrors, rules, protection, default_rollout, base, follow, ..stream.clone() };
        Ok(match base_stream {
            Some(base) => with_inferred_bases(stream, base),
            None => stream,
        })
    }
}

/// Creates a stream.
#[derive(Debug, Clone)]
pub struct CreateStream {
    /// The stream.
    pub stream: StreamId,
    /// Its settings.
    pub settings: StreamSettings,
}

impl Command for CreateStream {
    fn action(&self) -> Action {
        Action::CREATE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn reads(&self) -> Reads {
        self.settings.reads()
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        if present.stream.is_some() {
            return Err(Refusal::Exists { what: "stream", name: self.stream.to_string() });
        }
        let empty = Stream { rules: present.rules, ..Stream::empty(self.stream.clone()) };
        let stream = self.settings.apply_to(&empty, None)?;
        Ok(Next::from(stream).creates(&self.stream.stream))
    }
}

/// Changes the settings of a stream.
#[derive(Debug, Clone)]
pub struct SetStream {
    /// The stream.
    pub stream: StreamId,
    /// Its settings.
    pub settings: StreamSettings,
}

impl Command for SetStream {
    fn action(&self) -> Action {
        Action::SET_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn reads(&self) -> Reads {
        self.settings.reads()
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let base = self.settings.base.stream().and(present.read.base.as_deref());
        Ok(self.settings.apply_to(present.existing()?, base)?.into())
    }
}

/// Deletes a stream that never published a release, so that no node can have one of its releases.
#[derive(Debug, Clone)]
pub struct DeleteStream {
    /// The stream.
    pub stream: StreamId,
}

impl Command for DeleteStream {
    fn action(&self) -> Action {
        Action::DELETE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Recorded
    }

    fn deletes(&self) -> bool {
        true
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let stream = present.existing()?;
        let refused = |why: String| Err(Refusal::State(format!("{} {why}", self.stream)));
        if let Some(release) = stream.releases.iter().find(|release| release.state != ReleaseState::Draft) {
            return refused(format!(
                "has published {}, which nodes may run: only a stream that never published a release can be deleted",
                release.version
            ));
        }
        if !stream.sources.is_empty() {
            return refused("is imported from upstream: only a stream that was created here can be deleted".into());
        }
        if stream.stop.is_some() {
            return refused("is stopped: lift its emergency stop first".into());
        }
        Ok(Stream { product_stop: stream.product_stop.clone(), ..Stream::empty(self.stream.clone()) }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            admission::emergency_stop::EmergencyStop,
            duration::Minutes,
            follow::{FollowMode, TagPattern},
            policy::graph_rules::NewestTargets,
            reason::Reason,
        },
        manage::{
            command::LoadedReads,
            testing::{apply_to, id, next, refusal, stream},
        },
    };

    fn newest(number: u16) -> TargetLimit {
        NewestTargets::new(number).into()
    }

    fn settings() -> StreamSettings {
        StreamSettings {
            description: NewDescription::Unchanged,
            arches: BTreeSet::from([Arch::parse("s390x").unwrap()]),
            mirrors: BTreeSet::from([Repository::parse("mirror.example/os").unwrap()]),
            edge_rule: Some(EdgeRule::Open),
            identity: None,
            targets: None,
            protection: Protection { shortest_rollout: Some(Minutes(60)), ..Protection::default() },
            default_rollout: DefaultRollout::Unchanged,
            base: NewBase::Unchanged,
            base_lag: NewBaseLag::Unchanged,
            follow: NewFollow::Unchanged,
        }
    }

    #[test]
    fn a_new_stream_has_its_settings_and_no_releases() {
        let create = CreateStream { stream: id(), settings: settings() };
        let created = apply_to(&create, None, &LoadedReads::default()).unwrap();
        let StreamSettings { arches, mirrors, protection, .. } = settings();
        let rules = GraphRules { edge_rule: EdgeRule::Open, ..GraphRules::default() };
        assert_eq!(created.stream, Stream { arches, mirrors, rules, protection, ..Stream::empty(id()) });
        assert_eq!(created.created.as_deref(), Some("stable"));
        assert_eq!(refusal(&create, &created.stream), "stream os/stable exists already");
    }

    #[test]
    fn only_a_stream_that_never_published_is_deleted() {
        let delete = DeleteStream { stream: id() };
        assert!(refusal(&delete, &stream()).contains("which nodes may run"));
        let mut drafts = stream();
        for release in &mut drafts.releases {
            release.state = ReleaseState::Draft;
        }
        assert_eq!(next(&delete, &drafts), Stream::empty(id()));
        let since = crate::manage::testing::NOW;
        let stop = Some(EmergencyStop { since, reason: Reason::new("broken").unwrap() });
        let stopped = Stream { stop, ..drafts.clone() };
        assert_eq!(refusal(&delete, &stopped), "os/stable is stopped: lift its emergency stop first");
        let missing = apply_to(&delete, None, &LoadedReads::default()).unwrap_err();
        assert_eq!(missing.to_string(), "there is no stream os/stable");
    }

    #[test]
    fn settings_are_replaced_and_nothing_else_changes() {
        let set = SetStream { stream: id(), settings: settings() };
        let StreamSettings { arches, mirrors, protection, .. } = settings();
        let rules = GraphRules { edge_rule: EdgeRule::Open, ..GraphRules::default() };
        assert_eq!(next(&set, &stream()), Stream { arches, mirrors, rules, protection, ..stream() });
    }

    #[test]
    fn a_default_rollout_stays_until_another_one_or_none_is_set() {
        let with = |before: Option<Preset>, default_rollout| {
            let before = Stream { default_rollout: before, ..stream() };
            let settings = StreamSettings { default_rollout, ..settings() };
            next(&SetStream { stream: id(), settings }, &before).default_rollout
        };
        for before in [None, Some(Preset::Week)] {
            assert_eq!(with(before, DefaultRollout::Unchanged), before);
            assert_eq!(with(before, DefaultRollout::None), None);
            assert_eq!(with(before, DefaultRollout::Preset(Preset::Linear48h)), Some(Preset::Linear48h));
        }
    }

    #[test]
    fn a_followed_repository_stays_until_another_one_or_none_is_set() {
        let follow = |tags: &str| {
            Box::new(Follow {
                image: Repository::parse("ghcr.io/acme/os").unwrap(),
                tags: TagPattern::parse(tags).unwrap(),
                mode: FollowMode::Draft,
                rollout: None,
            })
        };
        let with = |before: Option<Box<Follow>>, follow| {
            let before = Stream { follow: before, ..stream() };
            let settings = StreamSettings { follow, ..settings() };
            next(&SetStream { stream: id(), settings }, &before).follow
        };
        for before in [None, Some(follow("^a$"))] {
            assert_eq!(with(before.clone(), NewFollow::Unchanged), before);
            assert_eq!(with(before.clone(), NewFollow::None), None);
            assert_eq!(with(before, NewFollow::Repository(follow("^b$"))), Some(follow("^b$")));
        }
    }

    #[test]
    fn graph_rules_that_are_not_given_stay() {
        let rules = GraphRules { edge_rule: EdgeRule::Explicit, identity: Identity::Version, targets: newest(3) };
        let before = Stream { rules, ..stream() };
        let with = |edge_rule, identity, targets| {
            let settings = StreamSettings { edge_rule, identity, targets, ..settings() };
            next(&SetStream { stream: id(), settings }, &before).rules
        };
        assert_eq!(with(None, None, None), rules);
        assert_eq!(with(Some(EdgeRule::Derived), None, None), GraphRules { edge_rule: EdgeRule::Derived, ..rules });
        assert_eq!(with(None, Some(Identity::Payload), None), GraphRules { identity: Identity::Payload, ..rules });
        for targets in [TargetLimit::All, newest(1)] {
            assert_eq!(with(None, None, Some(targets)), GraphRules { targets, ..rules });
        }
    }
}
