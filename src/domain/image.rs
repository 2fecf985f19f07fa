//! Images that become releases: their builds by arch, what they say about themselves, and the version of the release.

use super::{
    artifact::Notes,
    hash::ContentHash,
    ids::{Arch, Version},
    payload::{PayloadId, Repository, Scheme},
    release::PayloadKey,
    stream::Stream,
    text::TextError,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// An image in a registry, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its repository.
    pub repository: Repository,
    /// The digest of the image's manifest on each arch.
    pub builds: BTreeMap<Arch, ContentHash>,
    /// The versions that its builds are labelled with; more than one if they differ.
    pub versions: BTreeSet<String>,
    /// What its builds say about the image that each of them is built on.
    pub bases: BTreeMap<Arch, ImageBase>,
    /// The stream that its nodes poll (the label `com.coreos.stream`), if its builds agree.
    pub polled_stream: Option<String>,
    /// What else its labels and annotations say, of its first arch.
    pub details: ImageDetails,
}

/// What labels and annotations say about an image. The text is unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageDetails {
    /// When it was built.
    pub created: Option<String>,
    /// The revision of its source.
    pub revision: Option<String>,
    /// The URL of its source.
    pub source: Option<String>,
    /// The name of the image that it is built on.
    pub base_name: Option<String>,
    /// The digest of the image that it is built on.
    pub base_digest: Option<String>,
}

/// What labels and annotations of a build say about the image that it is built on. The text is unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageBase {
    /// Its digest (`sha256:...`).
    pub digest: Option<String>,
    /// The version of the build, which is that of its base if the build does not change it.
    pub version: Option<String>,
}

/// The largest part of a label that notes repeat, in characters.
const MAX_DETAIL: usize = 512;

/// Returns the arch that streams use for an arch of images (`GOARCH`), or `None` for an arch that no stream has.
#[must_use]
pub fn arch_of_image(name: &str) -> Option<Arch> {
    let name = match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "ppc64le" | "s390x" => name,
        _ => return None,
    };
    Arch::parse(name).ok()
}

impl Image {
    /// Returns the payload of an arch.
    ///
    /// # Errors
    /// The name of the repository is too long for a payload.
    pub fn payload_id(&self, digest: ContentHash) -> Result<PayloadId, TextError> {
        PayloadId::parse(&format!("{}@sha256:{digest}", self.repository))
    }

    /// Returns the payload of every arch.
    ///
    /// # Errors
    /// The name of the repository is too long for a payload.
    pub fn payload_ids(&self) -> Result<BTreeMap<&Arch, PayloadId>, TextError> {
        self.builds.iter().map(|(arch, digest)| Ok((arch, self.payload_id(*digest)?))).collect()
    }

    /// Returns the notes of the release: those that are given, and then the details of the image.
    ///
    /// # Errors
    /// The notes are too long.
    pub fn notes(&self, given: Option<&str>) -> Result<Option<Notes>, TextError> {
        let details = self.details.to_string();
        let text = match (given, details.is_empty()) {
            (Some(given), false) => format!("{given}\n\n{details}"),
            (Some(given), true) => given.to_owned(),
            (None, false) => details,
            (None, true) => return Ok(None),
        };
        Notes::parse(&text).map(Some)
    }
}

/// Writes each detail on a line of its own.
impl fmt::Display for ImageDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = [
            ("created", &self.created),
            ("revision", &self.revision),
            ("source", &self.source),
            ("base name", &self.base_name),
            ("base digest", &self.base_digest),
        ];
        let lines: Vec<String> = details
            .into_iter()
            .filter_map(|(name, value)| {
                let value = value.as_deref().map(one_line).filter(|value| !value.is_empty())?;
                Some(format!("- {name}: {value}"))
            })
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Returns a text without control characters and line ends, cut to the largest length of a detail.
fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_DETAIL).collect()
}

/// Returns the version for a release: the label's, or if the stream has it already, the label's with the first of `.1`, `.2`, ... that is free.
///
/// # Errors
/// The version is too long with its suffix.
pub fn free_version(stream: &Stream, labelled: &Version) -> Result<Version, TextError> {
    let taken: BTreeSet<&Version> = stream.releases.iter().map(|release| &release.version).collect();
    let mut version = labelled.clone();
    let mut number = 1_u32;
    while taken.contains(&version) {
        version = Version::parse(&format!("{labelled}.{number}"))?;
        number += 1;
    }
    Ok(version)
}

/// Where the builds of an image are in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// No release has any of them.
    Absent,
    /// A release has all of them.
    In(Version),
    /// Several releases have some of them, or a release has only some. Each arch of a build that a release has, with its release.
    Partial(BTreeMap<Arch, Version>),
}

/// Returns where builds are in a stream, by their digests: a mirror has the same images under another name.
#[must_use]
pub fn find_builds(stream: &Stream, builds: &BTreeMap<Arch, ContentHash>) -> Presence {
    let found: BTreeMap<Arch, Version> =
        builds.iter().filter_map(|(arch, digest)| Some((arch.clone(), release_of(stream, arch, *digest)?))).collect();
    let versions: BTreeSet<&Version> = found.values().collect();
    match versions.first() {
        None => Presence::Absent,
        Some(version) if versions.len() == 1 && found.len() == builds.len() => Presence::In(Version::clone(version)),
        Some(_) => Presence::Partial(found),
    }
}

/// Returns the first release that has a build as its payload or as an alias.
fn release_of(stream: &Stream, arch: &Arch, digest: ContentHash) -> Option<Version> {
    let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
    find_release_by_digest(stream, &key, &format!("sha256:{digest}"))
}

/// Returns the first release that has an image, by its digest, as its payload or as an alias.
#[must_use]
pub fn find_release_by_digest(stream: &Stream, key: &PayloadKey, digest: &str) -> Option<Version> {
    let is_build = |id: &PayloadId| id.pull_spec().is_some_and(|(_, found)| found == digest);
    let found = stream.releases.iter().find(|release| {
        release.payloads.get(key).is_some_and(|payload| is_build(&payload.id))
            || release.aliases.get(key).is_some_and(|aliases| aliases.keys().any(is_build))
    });
    found.map(|release| release.version.clone())
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
