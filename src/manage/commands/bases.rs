//! Bases of streams: which stream it is, on what releases are built, and which of its barriers and dead ends count.

use crate::{
    domain::{
        base::{Base, BasePolicy, BasePolicyKind, BaseRelease, BuiltOn, PolicyStatus, find_named_release},
        duration::Minutes,
        ids::{StreamId, Version},
        release::{PayloadKey, Release},
        stream::Stream,
    },
    manage::{
        address::ReleaseAddress,
        command::{Command, Next, Present, Provenance},
        refusal::Refusal,
        request::Action,
    },
};

/// The base of a stream as it is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewBase {
    /// It stays as it is.
    Unchanged,
    /// The stream has none.
    None,
    /// It is this stream.
    Stream(StreamId),
}

/// How much newer a base may be, as it is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewBaseLag {
    /// It stays as it is.
    Unchanged,
    /// It may be any.
    None,
    /// It is this long.
    Minutes(Minutes),
}

impl NewBase {
    pub(super) fn stream(&self) -> Option<&StreamId> {
        match self {
            Self::Stream(stream) => Some(stream),
            Self::Unchanged | Self::None => None,
        }
    }

    pub(super) fn after(self, present: Option<&Base>) -> Option<Box<Base>> {
        match self {
            Self::Unchanged => present.cloned().map(Box::new),
            Self::None => None,
            Self::Stream(stream) => {
                let known = present.filter(|known| known.stream == stream).cloned();
                Some(Box::new(known.unwrap_or(Base { stream, lag: None, policies: Vec::new() })))
            }
        }
    }
}

impl NewBaseLag {
    pub(super) fn apply_to(self, base: Option<Box<Base>>) -> Result<Option<Box<Base>>, Refusal> {
        let lag = match self {
            Self::Unchanged => return Ok(base),
            Self::None => None,
            Self::Minutes(lag) => Some(lag),
        };
        match (base, lag) {
            (Some(base), lag) => Ok(Some(Box::new(Base { lag, ..*base }))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Refusal::field("base_lag", "requires a base")),
        }
    }
}

/// Returns a stream whose releases say on which release of the base they are built, where that is not known and their payload or their version
/// is one of the base.
pub(super) fn with_inferred_bases(mut stream: Stream, base: &Stream) -> Stream {
    for release in &mut stream.releases {
        let inferred = inferred(release, base);
        if !inferred.is_empty() && release.built_on.as_deref() != Some(&inferred) {
            release.built_on = Some(Box::new(inferred));
        }
    }
    stream
}

fn inferred(release: &Release, base: &Stream) -> BuiltOn {
    let mut built_on = release.built_on.as_deref().cloned().unwrap_or_default();
    for (key, payload) in &release.payloads {
        if !built_on.contains_key(&key.arch) {
            let is_same = payload.id.pull_spec().and_then(|(_, digest)| release_with_digest(base, key, digest));
            let found = is_same.or_else(|| find_named_release(base, release.version.as_str()));
            built_on.extend(found.map(|found| (key.arch.clone(), found)));
        }
    }
    built_on
}

/// Returns the release of a base that has an image as its payload or as an alias.
pub(super) fn release_with_digest(base: &Stream, key: &PayloadKey, digest: &str) -> Option<BaseRelease> {
    let version = crate::domain::image::find_release_by_digest(base, key, digest)?;
    BaseRelease::find(base, &version)
}

/// Says on which release of the base the images of a release are built.
#[derive(Debug, Clone)]
pub struct SetBuiltOn {
    /// The release.
    pub release: ReleaseAddress,
    /// The release of the base for each arch. Arches that are not among them keep theirs.
    pub built_on: BuiltOn,
}

impl Command for SetBuiltOn {
    fn action(&self) -> Action {
        Action::CHANGE_RELEASE
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        require_base(present.existing()?)?;
        self.release.edit(present, |release| {
            let mut built_on = release.built_on.as_deref().cloned().unwrap_or_default();
            built_on.extend(self.built_on.iter().map(|(arch, on)| (arch.clone(), on.clone())));
            release.built_on = Some(Box::new(built_on));
            Ok(())
        })
    }
}

fn require_base(stream: &Stream) -> Result<&Base, Refusal> {
    stream.base.as_deref().ok_or_else(|| Refusal::State(format!("{} has no base", stream.id)))
}

/// A barrier or a dead end of a base, as a stream inherits it.
#[derive(Debug, Clone)]
pub struct BasePolicyAddress {
    /// The stream that inherits it.
    pub stream: StreamId,
    /// The version in the base.
    pub version: Version,
    /// Which of the two it is.
    pub kind: BasePolicyKind,
}

/// Decides that an inherited barrier or dead end does not count: on arches on which the base no longer has it, the removal is accepted, and where
/// there are none, it is overridden. So the acceptance of a removal never overrides what the base has on other arches.
#[derive(Debug, Clone)]
pub struct RemoveBasePolicy {
    /// The policy.
    pub policy: BasePolicyAddress,
}

/// Decides that an inherited barrier or dead end that was overridden counts again.
#[derive(Debug, Clone)]
pub struct SetBasePolicy {
    /// The policy.
    pub policy: BasePolicyAddress,
}

impl BasePolicyAddress {
    fn edit(&self, present: &Present<'_>, edit: impl FnOnce(&mut BasePolicy)) -> Result<Next, Refusal> {
        let stream = present.existing()?;
        let mut base = require_base(stream)?.clone();
        let found = base.policies.iter_mut().find(|known| self.is(&known.release.version, known.kind));
        let found = found
            .ok_or_else(|| Refusal::no_such(self.kind.words(), format!("{} of {}", self.version, base_name(stream))))?;
        edit(found);
        base.policies.retain(|policy| !policy.arches.is_empty());
        Ok(Stream { base: Some(Box::new(base)), ..stream.clone() }.into())
    }

    fn is(&self, version: &Version, kind: BasePolicyKind) -> bool {
        self.version == *version && self.kind == kind
    }
}

fn base_name(stream: &Stream) -> String {
    stream.base.as_ref().map(|base| base.stream.to_string()).unwrap_or_default()
}

impl Command for RemoveBasePolicy {
    fn action(&self) -> Action {
        Action::REMOVE_BASE_POLICY
    }

    fn target(&self) -> &StreamId {
        &self.policy.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.policy.edit(present, |policy| {
            if !policy.accept_removal() {
                policy.set_status(PolicyStatus::Overridden);
            }
        })
    }
}

impl Command for SetBasePolicy {
    fn action(&self) -> Action {
        Action::SET_BASE_POLICY
    }

    fn target(&self) -> &StreamId {
        &self.policy.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.policy.edit(present, |policy| policy.set_status(PolicyStatus::InForce))
    }
}

/// Records in a stream what its base has now.
#[derive(Debug, Clone)]
pub struct InheritBase {
    /// The stream.
    pub stream: StreamId,
}

impl Command for InheritBase {
    fn action(&self) -> Action {
        Action::INHERIT_BASE
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Recorded
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let stream = present.existing()?;
        let base = present.read.base.as_ref().ok_or_else(|| Refusal::State(format!("{} has no base", stream.id)))?;
        Ok(crate::domain::base::inherit_from(stream, base).into())
    }
}

#[cfg(test)]
#[path = "base_sequences_tests.rs"]
mod sequences_tests;

#[cfg(test)]
#[path = "bases_tests.rs"]
mod tests;
