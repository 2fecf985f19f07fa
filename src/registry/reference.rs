//! References to images: registry, repository, and a tag or a digest.

use crate::{
    config::registry_url,
    domain::{hash::ContentHash, payload::Repository},
};
use reqwest::Url;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A reference to an image, such as `ghcr.io/acme/os:stable` or `ghcr.io/acme/os@sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    repository: RepositoryReference,
    target: Target,
}

/// A reference to a repository, such as `ghcr.io/acme/os`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryReference {
    registry: String,
    /// The URL of the registry, as it is named.
    named_url: Url,
    /// The URL of the registry's API.
    url: Url,
    path: String,
    name: Repository,
}

/// What a reference names in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Tag(String),
    Digest(ContentHash),
}

/// The error for text that is not a reference to an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// The registry is missing or has another form.
    #[error("must begin with a registry, such as ghcr.io/ or localhost:5000/")]
    Registry,
    /// The path is missing or has another form.
    #[error("must name a repository by parts of a-z, 0-9, '.', '_' and '-', at most 255 bytes with its registry")]
    Repository,
    /// The tag or digest is missing or has another form.
    #[error("must end with a tag (:stable) or a digest (@sha256: and 64 hexadecimal digits)")]
    Target,
}

/// Docker Hub answers at another name than its images have.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (registry, rest) = text.split_once('/').ok_or(ReferenceError::Registry)?;
        let registry = Registry::parse(registry)?;
        let (path, target) = split_target(rest)?;
        Ok(Self { repository: registry.with_path(path)?, target })
    }
}

impl TryFrom<&Repository> for RepositoryReference {
    type Error = ReferenceError;

    fn try_from(name: &Repository) -> Result<Self, ReferenceError> {
        let (registry, path) = name.as_str().split_once('/').ok_or(ReferenceError::Registry)?;
        Registry::parse(registry)?.with_path(path)
    }
}

/// A registry, and its URLs.
struct Registry {
    name: String,
    named_url: Url,
    url: Url,
}

impl Registry {
    fn parse(registry: &str) -> Result<Self, ReferenceError> {
        let registry = registry.to_ascii_lowercase();
        // A first part without these is a part of a path on Docker Hub, by the rules of Docker.
        if !registry.contains(['.', ':']) && registry != "localhost" {
            return Err(ReferenceError::Registry);
        }
        let named_url = registry_url(&registry).ok_or(ReferenceError::Registry)?;
        let url = match &*registry {
            hub if hub == DOCKER_HUB.0 => registry_url(DOCKER_HUB.1).ok_or(ReferenceError::Registry)?,
            _ => named_url.clone(),
        };
        Ok(Self { name: registry, named_url, url })
    }

    fn with_path(self, path: &str) -> Result<RepositoryReference, ReferenceError> {
        let Self { name: registry, named_url, url } = self;
        if !path.split('/').all(is_path_part) {
            return Err(ReferenceError::Repository);
        }
        let name = Repository::parse(&format!("{registry}/{path}")).map_err(|_| ReferenceError::Repository)?;
        Ok(RepositoryReference { registry, named_url, url, path: path.into(), name })
    }
}

/// Splits the path from the tag or the digest. With both, the digest decides.
fn split_target(text: &str) -> Result<(&str, Target), ReferenceError> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (path, tag) = match name.split_once(':') {
        Some((path, tag)) if is_tag(tag) => (path, Some(tag)),
        Some(_) => return Err(ReferenceError::Target),
        None => (name, None),
    };
    let target = match (digest, tag) {
        (Some(digest), _) => parse_digest(digest).map(Target::Digest),
        (None, tag) => tag.map(|tag| Target::Tag(tag.into())),
    };
    Ok((path, target.ok_or(ReferenceError::Target)?))
}

/// Parses a digest. Payloads are SHA-256 digests only.
pub(super) fn parse_digest(text: &str) -> Option<ContentHash> {
    ContentHash::parse(text.strip_prefix("sha256:")?)
}

/// Returns true for a part of a repository's path (OCI distribution specification, "Pulling manifests").
fn is_path_part(part: &str) -> bool {
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let begins_and_ends = part.starts_with(is_word) && part.ends_with(is_word);
    begins_and_ends && part.split(is_word).filter(|between| !between.is_empty()).all(is_separator)
}

/// Returns true for a tag (OCI distribution specification, "Pulling manifests").
pub(super) fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

impl ImageReference {
    /// Returns its repository.
    #[must_use]
    pub fn repository(&self) -> &RepositoryReference {
        &self.repository
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

impl RepositoryReference {
    /// Returns a reference to an image of the repository.
    #[must_use]
    pub fn with_digest(&self, digest: ContentHash) -> ImageReference {
        ImageReference { repository: self.clone(), target: Target::Digest(digest) }
    }

    /// Returns the registry, as `host` or `host:port`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub(super) fn named_url(&self) -> &Url {
        &self.named_url
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the registry and the path in it.
    #[must_use]
    pub fn name(&self) -> &Repository {
        &self.name
    }
}

impl fmt::Display for RepositoryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Target::Digest(digest) => write!(f, "{}@sha256:{digest}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1";

    #[test]
    fn references_have_a_registry_and_a_tag_or_a_digest() {
        for (text, url, path) in [
            ("ghcr.io/acme/os:stable", "https://ghcr.io/", "acme/os"),
            ("localhost:5000/os:1", "http://localhost:5000/", "os"),
            ("[::1]:5000/os:1", "http://[::1]:5000/", "os"),
            ("docker.io/acme/os:1", "https://registry-1.docker.io/", "acme/os"),
            ("quay.io/a--b/c__d.e:v_1.0-x", "https://quay.io/", "a--b/c__d.e"),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            let repository = reference.repository();
            assert_eq!((repository.url().as_str(), repository.path(), &*reference.to_string()), (url, path, text));
            assert_eq!(RepositoryReference::try_from(repository.name()).as_ref(), Ok(repository));
        }
        let both: ImageReference = format!("ghcr.io/acme/os:stable@{DIGEST}").parse().unwrap();
        assert_eq!(both.to_string(), format!("ghcr.io/acme/os@{DIGEST}"));
    }

    #[test]
    fn other_texts_are_rejected_for_the_part_that_is_wrong() {
        use ReferenceError::{Registry, Repository, Target};
        let long = format!("ghcr.io/{}:1", "a".repeat(256));
        for (text, expected) in [
            ("", Registry),
            ("os:1", Registry),
            ("acme/os:1", Registry),
            ("https://ghcr.io/acme/os:1", Registry),
            ("user@ghcr.io/acme/os:1", Registry),
            ("127.1:80/os:1", Registry),
            ("ghcr.io/Acme/os:1", Repository),
            ("ghcr.io/acme/../os:1", Repository),
            ("ghcr.io/acme//os:1", Repository),
            ("ghcr.io/acme/os?x=1:1", Repository),
            ("ghcr.io/:1", Repository),
            (&long, Repository),
            ("ghcr.io/acme/os", Target),
            ("ghcr.io/acme/os:", Target),
            ("ghcr.io/acme/os:a/b", Target),
            ("ghcr.io/acme/os@sha256:abc", Target),
            ("ghcr.io/acme/os@sha512:abc", Target),
        ] {
            assert_eq!(text.parse::<ImageReference>(), Err(expected), "{text}");
        }
    }

    proptest! {
        /// What is parsed is displayed in one form, and contains nothing that could leave its place in a URL.
        #[test]
        fn a_displayed_reference_parses_back(text in "[a-z.:/@_A-Z0-9-]{0,60}|ghcr\\.io/[a-z./_-]{1,20}:[a-zA-Z0-9._-]{1,20}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(&reference.to_string().parse::<ImageReference>().unwrap(), &reference);
                let path = reference.repository().path();
                prop_assert!(!path.contains(['?', '#', '%', '@', ':']) && !path.contains(".."));
            }
        }
    }
}
