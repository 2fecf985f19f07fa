//! Bases: the streams on which images of other streams are built, and what those inherit from them.
//!
//! A stream of own images names its base. Each of its releases says on which release of the base it is built, for each arch. The barriers and dead
//! ends of the base are copied into the stream, so that its updates follow from its own state only.

mod built_on;
mod findings;
mod inherit;
mod of_image;
mod policy;
mod resolve;
mod route;
#[cfg(test)]
pub(crate) mod samples;
mod skipped;

pub use built_on::{BaseRelease, BuiltOn, find_named_release};
pub use findings::{NewerRelease, findings, findings_about_base};
pub use inherit::{changes_what_is_inherited, inherit_from};
pub use of_image::{ImageBaseError, find_build_base};
pub use policy::{BasePolicy, BasePolicyKind, PolicyStatus};
pub use resolve::{BaseError, resolve_base};
pub use route::{barrier_after, release_to_rebase_to};
pub use skipped::skipped_barriers;

use super::{
    duration::Minutes,
    ids::{Arch, StreamId},
    reason::Reason,
    release::Release,
    stream::Stream,
};

/// The base of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// The stream that is the base.
    pub stream: StreamId,
    /// How much newer than the base of the newest release the newest release of the base may be before a finding says so.
    pub lag: Option<Minutes>,
    /// The barriers and dead ends of the base, oldest first.
    pub policies: Vec<BasePolicy>,
}

impl Base {
    /// Returns the barriers that count on an arch, oldest first.
    #[must_use]
    pub fn barriers_on(&self, arch: &Arch) -> impl DoubleEndedIterator<Item = &BasePolicy> {
        self.policies.iter().filter(move |policy| policy.kind == BasePolicyKind::Barrier && policy.counts_on(arch))
    }

    /// Returns the reason of a policy that counts on an arch for images that are built on exactly this release.
    #[must_use]
    pub fn reason_for(&self, kind: BasePolicyKind, arch: &Arch, built_on: &BaseRelease) -> Option<&Reason> {
        let is_it =
            |policy: &&BasePolicy| policy.kind == kind && policy.release.age == built_on.age && policy.counts_on(arch);
        self.policies.iter().find(is_it).map(|policy| &policy.reason)
    }
}

impl Stream {
    /// Returns the reason of a policy of the base that counts for a release on an arch, because its image is built on exactly that release.
    #[must_use]
    pub fn inherited_reason(&self, release: &Release, kind: BasePolicyKind, arch: &Arch) -> Option<&Reason> {
        self.base.as_ref()?.reason_for(kind, arch, release.built_on.as_ref()?.get(arch)?)
    }
}
