//! Checks and completes what a changed stream says about its base.

use super::{BaseRelease, BuiltOn, inherit::inherit_from};
use crate::domain::{
    changes::{Changes, Placed},
    ids::{Arch, StreamId, Version},
    release::{Release, ReleaseState},
    shared::Shared,
    stream::Stream,
};
use std::collections::BTreeSet;
use thiserror::Error;

/// A stream that does not fit its base.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BaseError {
    /// The base does not exist.
    #[error("{0} does not exist, so it cannot be a base")]
    NoSuchStream(StreamId),
    /// A stream is its own base.
    #[error("a stream cannot be its own base")]
    Itself,
    /// The base has a base itself.
    #[error("{0} has a base itself, so it cannot be a base")]
    HasBase(StreamId),
    /// An image is built on a release that the base has not published.
    #[error("release {version} is built on {named} for {arch}, which {base} has not published")]
    NoSuchRelease {
        /// The release.
        version: Version,
        /// The arch.
        arch: Arch,
        /// The release of the base.
        named: Version,
        /// The base.
        base: StreamId,
    },
    /// It is not known on what an image is built.
    #[error("release {version} does not say on which release of {base} it is built for {arch}: name it in `built_on`")]
    Missing {
        /// The release.
        version: Version,
        /// The arch.
        arch: Arch,
        /// The base.
        base: StreamId,
    },
}

/// Returns the next state of a stream with what it inherits from its base, and with the ages of the releases that its own are built on. A stream
/// without a base says of no release on what it is built.
///
/// # Errors
/// The base cannot be one, or it is not known for a published release on what it is built.
pub fn resolve_base(before: &Stream, next: Stream, base: Option<&Stream>) -> Result<Stream, BaseError> {
    let Some(own) = &next.base else { return Ok(without_base(next)) };
    if own.stream == next.id {
        return Err(BaseError::Itself);
    }
    let base = base.ok_or_else(|| BaseError::NoSuchStream(own.stream.clone()))?;
    if base.base.is_some() {
        return Err(BaseError::HasBase(base.id.clone()));
    }
    let has_other_base = before.base.as_ref().map(|base| &base.stream) != Some(&base.id);
    let mut next = next;
    let changed: Vec<usize> = if has_other_base {
        (0..next.releases.len()).collect()
    } else {
        Changes::between(before, &next).added_or_changed().map(|(Placed { index, .. }, _)| index).collect()
    };
    for index in changed {
        let Some(release) = next.releases.get(index) else { continue };
        let resolved = resolve_release(release, base)?;
        if release.built_on.as_deref() != resolved.as_ref()
            && let Some(release) = next.releases.get_mut(index)
        {
            release.built_on = resolved.map(Box::new);
        }
    }
    Ok(inherit_from(&next, base))
}

fn without_base(mut stream: Stream) -> Stream {
    let is_known = |release: &&mut Shared<Release>| release.built_on.is_some();
    for release in stream.releases.iter_mut().filter(is_known) {
        release.built_on = None;
    }
    stream
}

/// Returns on what a release is built, for each arch that it has a payload for. A draft may say it before it has the payload.
fn resolve_release(release: &Release, base: &Stream) -> Result<Option<BuiltOn>, BaseError> {
    let is_draft = release.state == ReleaseState::Draft;
    let built: BTreeSet<&Arch> = release.payloads.keys().map(|key| &key.arch).collect();
    let mut resolved = BuiltOn::new_vec();
    let named = release.built_on.iter().flat_map(|built_on| built_on.iter());
    for (arch, named) in named.filter(|(arch, _)| is_draft || built.contains(arch)) {
        let found = BaseRelease::find(base, &named.version).ok_or_else(|| BaseError::NoSuchRelease {
            version: release.version.clone(),
            arch: arch.clone(),
            named: named.version.clone(),
            base: base.id.clone(),
        })?;
        resolved.insert(arch.clone(), found);
    }
    let missing = built.into_iter().find(|arch| !is_draft && !resolved.contains_key(*arch));
    if let Some(arch) = missing {
        let (version, arch) = (release.version.clone(), arch.clone());
        return Err(BaseError::Missing { version, arch, base: base.id.clone() });
    }
    Ok((!resolved.is_empty()).then_some(resolved))
}
