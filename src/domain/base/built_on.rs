//! On which release of the base the images of a release are built.

use crate::domain::{
    ids::{Arch, Version},
    release::Release,
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

/// Returns the release of a base that has this version.
pub(super) fn find_same_version(base: &Stream, version: &str) -> Option<BaseRelease> {
    BaseRelease::find(base, &Version::parse(version).ok()?)
}

/// Returns the release of a base that the version of an image names: with that version, or without the number that Lockkeeper appends to a
/// version that another image has already. If the base has versions with such numbers itself, they are not removed: the image may be built on one
/// that the base gets later.
#[must_use]
pub fn find_named_release(base: &Stream, version: &str) -> Option<BaseRelease> {
    find_same_version(base, version).or_else(|| {
        let (rest, _) = split_number(version)?;
        let is_numbered = |(_, release): (usize, &Release)| {
            split_number(release.version.as_str()).is_some_and(|(other, _)| other == rest)
        };
        if base.aged().any(is_numbered) { None } else { find_same_version(base, rest) }
    })
}

fn split_number(version: &str) -> Option<(&str, &str)> {
    let split = version.rsplit_once('.')?;
    (!split.1.is_empty() && split.1.bytes().all(|byte| byte.is_ascii_digit())).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        document::{Strictness, shape::StreamDocument},
        stream::Stream,
    };

    fn base(versions: &[&str]) -> Stream {
        let releases: Vec<String> = versions.iter().map(|version| format!("{{ version = \"{version}\" }}")).collect();
        let text = format!(
            "format = 1\nproduct = \"os\"\nstream = \"stable\"\norigin = \"local\"\nreleases = [{}]",
            releases.join(", ")
        );
        let document: StreamDocument = toml::from_str(&text).unwrap();
        Stream::from_document(&document, Strictness::Strict).unwrap()
    }

    #[test]
    fn an_appended_number_is_removed_unless_the_base_has_such_versions() {
        let found = |versions: &[&str], version: &str| {
            find_named_release(&base(versions), version).map(|found| found.version.to_string())
        };
        let fedora = &["44.20260701.3.0", "44.20260715.3.0"];
        assert_eq!(found(fedora, "44.20260715.3.0").as_deref(), Some("44.20260715.3.0"));
        assert_eq!(found(fedora, "44.20260701.3.0.2").as_deref(), Some("44.20260701.3.0"));
        assert_eq!(found(fedora, "44.20260701.3.0.x"), None);
        // 10.2 may be a release that the base gets later.
        assert_eq!(found(&["10", "10.1"], "10.2"), None);
        assert_eq!(found(&["10", "11"], "10.2").as_deref(), Some("10"));
        assert_eq!(found(&["10", "11"], "11.1.1"), None);
    }
}
