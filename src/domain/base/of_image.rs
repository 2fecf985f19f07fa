//! On which release of the base an image is built, by what it says about itself.

use super::{BaseRelease, built_on::find_same_version, find_named_release};
use crate::domain::{
    ids::{Arch, Version},
    image::{ImageBase, find_release_by_digest},
    payload::Scheme,
    release::PayloadKey,
    stream::Stream,
};
use thiserror::Error;

/// An image of which it is not known on which release of the base it is built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageBaseError {
    /// Two sources name different releases.
    #[error("for {arch}, {one} says that the image is built on {named}, and {other} says {other_named}")]
    Disagreement {
        /// The arch.
        arch: Arch,
        /// One source.
        one: &'static str,
        /// What it names.
        named: Version,
        /// The other source.
        other: &'static str,
        /// What that names.
        other_named: Version,
    },
    /// No source names one.
    #[error(
        "the image for {arch} says neither by its base digest nor by its version on which release of {base} it is built: name it"
    )]
    Unknown {
        /// The arch.
        arch: Arch,
        /// The base.
        base: String,
    },
}

/// Returns the release of the base on which a build is: the one with its base digest as a payload or an alias, else the one that its version
/// names, else the one that the caller names.
///
/// # Errors
/// Two of them disagree, or no source names one.
pub fn find_build_base(
    base: &Stream,
    arch: &Arch,
    build: &ImageBase,
    named: Option<&Version>,
) -> Result<BaseRelease, ImageBaseError> {
    let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
    let by_digest = build.digest.as_deref().and_then(|digest| find_release_by_digest(base, &key, digest));
    let by_digest = by_digest.and_then(|version| BaseRelease::find(base, &version));
    // Of an image that names a digest which the base does not have, a version that the base does not have may be one that it gets later.
    let is_unknown = build.digest.is_some() && by_digest.is_none();
    let find: fn(&Stream, &str) -> Option<BaseRelease> =
        if is_unknown { find_same_version } else { find_named_release };
    let by_version = build.version.as_deref().and_then(|version| find(base, version));
    let by_caller = named.map(|version| BaseRelease { version: version.clone(), age: 0 });
    let mut sources = [("its base digest", by_digest), ("its version", by_version), ("the request", by_caller)]
        .into_iter()
        .filter_map(|(source, found)| Some((source, found?)));
    let Some((one, found)) = sources.next() else {
        return Err(ImageBaseError::Unknown { arch: arch.clone(), base: base.id.to_string() });
    };
    let other = sources.find(|(_, other)| other.version != found.version);
    match other {
        Some((other, different)) => Err(ImageBaseError::Disagreement {
            arch: arch.clone(),
            one,
            named: found.version,
            other,
            other_named: different.version,
        }),
        None => Ok(found),
    }
}
