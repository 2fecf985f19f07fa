//! On which release of the base the images of a release are built.

use crate::domain::{
    ids::{Arch, Version},
    stream::Stream,
};
use litemap::LiteMap;

/// A release of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseRelease {
    /// Its version.
    pub version: Version,
    /// Its age index in the base.
    pub age: u32,
}

impl BaseRelease {
    pub(super) fn new(version: Version, age: usize) -> Self {
        Self { version, age: u32::try_from(age).unwrap_or(u32::MAX) }
    }

    /// Returns a release of a stream by its version; `None` if the stream has not published it.
    #[must_use]
    pub fn find(base: &Stream, version: &Version) -> Option<Self> {
        base.aged().find(|(_, release)| release.version == *version).map(|(age, _)| Self::new(version.clone(), age))
    }
}

/// The release of the base on which the image of each arch is built.
pub type BuiltOn = LiteMap<Arch, BaseRelease>;

/// Returns the release of a base that the version of an image names: with that version, or without the number that Lockkeeper appends to a
/// version that another image has already.
#[must_use]
pub fn find_named_release(base: &Stream, version: &str) -> Option<BaseRelease> {
    let named = |text: &str| BaseRelease::find(base, &Version::parse(text).ok()?);
    let without_number = || {
        let (rest, number) = version.rsplit_once('.')?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
    };
    named(version).or_else(|| named(without_number()?))
}
