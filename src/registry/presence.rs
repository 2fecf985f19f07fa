//! Asks registries whether they still have an image: its manifest, and the blobs that the manifest names.

use super::{
    error::RegistryError,
    read::{IMAGE, INDEX, OS, checked_digest, parse},
    reference::{ImageReference, Target, parse_digest},
    session::{Part, Session},
    wire::{Descriptor, Entry, Manifest},
};
use crate::domain::{hash::ContentHash, ids::Arch, image::arch_of_image};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::Response;
use std::{collections::BTreeSet, fmt, time::Duration};
use tokio::time::Instant;

/// The largest number of an image's blobs that are asked for.
const MAX_BLOBS: usize = 256;
/// How often a registry may ask for a later request.
const MAX_DELAYS: usize = 3;
/// The delay if the registry does not say when to ask again.
const DEFAULT_DELAY: Duration = Duration::from_secs(5);

/// An image that a registry should have.
#[derive(Debug, Clone)]
pub struct WantedImage {
    /// The image: an index of images, or a single one.
    pub reference: ImageReference,
    /// The arches of the nodes that pull it. Of an index, they pull the images for these.
    pub arches: BTreeSet<Arch>,
}

/// Whether a registry has an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Present,
    /// It does not have a part, without which nodes cannot pull the image.
    Gone(Missing),
}

/// The part of an image that a registry does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The manifest, and so the image.
    Manifest,
    /// The manifest of an image in an index.
    Entry(ContentHash),
    /// An image for an arch in an index, which never had it.
    Platform(Arch),
    /// The config or a layer.
    Blob(ContentHash),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("the registry has no such image"),
            Self::Entry(digest) => write!(f, "the registry has the index, but not its image sha256:{digest}"),
            Self::Platform(arch) => write!(f, "the index has no image for {arch}"),
            Self::Blob(digest) => write!(f, "the registry has the manifest, but not its blob sha256:{digest}"),
        }
    }
}

/// What is asked for the images of one repository.
pub(super) struct Inquiry<'a> {
    session: Session<'a>,
    /// Blobs that the registry has. Images share layers.
    present_blobs: BTreeSet<ContentHash>,
    /// When the present image is given up.
    deadline: Instant,
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(session: Session<'a>) -> Self {
        Self { session, present_blobs: BTreeSet::new(), deadline: Instant::now() }
    }

    /// Asks for an image of the repository, until the deadline.
    pub(super) async fn presence(&mut self, image: &WantedImage, deadline: Instant) -> Result<Presence, RegistryError> {
        (self.session.subject, self.deadline) = (image.reference.to_string(), deadline);
        let missing = self.missing(image).await?;
        Ok(missing.map_or(Presence::Present, Presence::Gone))
    }

    /// Returns a part of an image that the registry does not have.
    async fn missing(&mut self, image: &WantedImage) -> Result<Option<Missing>, RegistryError> {
        let (name, digest) = match image.reference.target() {
            Target::Tag(tag) => (tag.clone(), None),
            Target::Digest(digest) => (format!("sha256:{digest}"), Some(*digest)),
        };
        let Some(manifest) = self.manifest(&name, digest, &format!("{INDEX}, {IMAGE}")).await? else {
            return Ok(Some(Missing::Manifest));
        };
        let Some(entries) = &manifest.manifests else { return self.missing_blob(&manifest).await };
        for arch in &image.arches {
            let Some(entry) = entries.iter().find(|entry| is_for(entry, arch)) else {
                let is_unknown = entries.iter().any(|entry| entry.platform.is_none());
                return Ok(Some(Missing::Platform(arch.clone())).filter(|_| !is_unknown));
            };
            let wrong = || self.session.wrong("sent an index with a digest that is not a SHA-256");
            let digest = parse_digest(&entry.digest).ok_or_else(wrong)?;
            let Some(manifest) = self.manifest(&format!("sha256:{digest}"), Some(digest), IMAGE).await? else {
                return Ok(Some(Missing::Entry(digest)));
            };
            if let Some(missing) = self.missing_blob(&manifest).await? {
                return Ok(Some(missing));
            }
        }
        Ok(None)
    }

    /// Returns a manifest, or nothing if the registry does not have it.
    async fn manifest(
        &mut self,
        name: &str,
        digest: Option<ContentHash>,
        accept: &str,
    ) -> Result<Option<Manifest>, RegistryError> {
        // Not by HEAD: the manifest names the blobs.
        let response = self.ask(&Method::GET, Part { kind: "manifests", name, accept }).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let content = self.session.content(response).await?;
        checked_digest(&self.session, &content, digest)?;
        parse(&self.session, "manifest", &content).map(Some)
    }

    async fn missing_blob(&mut self, manifest: &Manifest) -> Result<Option<Missing>, RegistryError> {
        for blob in self.blobs(manifest)? {
            if !self.has_blob(blob).await? {
                return Ok(Some(Missing::Blob(blob)));
            }
        }
        Ok(None)
    }

    /// Returns the blobs of an image that the registry must have.
    fn blobs(&self, manifest: &Manifest) -> Result<Vec<ContentHash>, RegistryError> {
        let is_elsewhere = |blob: &&Descriptor| blob.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        let all = manifest.config.iter().chain(manifest.layers.iter().flatten());
        let blobs = all.filter(|blob| !is_elsewhere(blob)).take(MAX_BLOBS).map(|blob| parse_digest(&blob.digest));
        let blobs: Option<Vec<ContentHash>> = blobs.collect();
        blobs.ok_or_else(|| self.session.wrong("sent a manifest with the digest of a blob that is not a SHA-256"))
    }

    async fn has_blob(&mut self, digest: ContentHash) -> Result<bool, RegistryError> {
        if self.present_blobs.contains(&digest) {
            return Ok(true);
        }
        let name = format!("sha256:{digest}");
        let part = Part { kind: "blobs", name: &name, accept: "*/*" };
        let mut response = self.ask(&Method::HEAD, part).await?;
        if matches!(response.status(), StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            // The connection is closed before the content arrives.
            response = self.ask(&Method::GET, part).await?;
        }
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(false),
            // The registry knows the blob, and where it is. That place is not asked: its URL may be for GET only.
            status if status == StatusCode::OK || status.is_redirection() => {}
            _ => return Err(self.session.refused(&response)),
        }
        self.present_blobs.insert(digest);
        Ok(true)
    }

    /// Sends a request, and again when the registry asks to, unless that is after the deadline.
    async fn ask(&mut self, method: &Method, part: Part<'_>) -> Result<Response, RegistryError> {
        for _ in 0..MAX_DELAYS {
            let response = self.session.ask(method, part).await?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(response);
            }
            let delay = delay(response.headers());
            let later = Instant::now().checked_add(delay).filter(|later| *later < self.deadline);
            let Some(later) = later else { return Ok(response) };
            tokio::time::sleep_until(later).await;
        }
        self.session.ask(method, part).await
    }
}

/// Returns true if an entry of an index is the image that nodes of this arch pull.
fn is_for(entry: &Entry, arch: &Arch) -> bool {
    let platform = entry.platform.as_ref().filter(|platform| platform.os == OS);
    platform.and_then(|platform| arch_of_image(&platform.architecture)).as_ref() == Some(arch)
}

/// Returns how long to wait after too many requests. A date is not read: registries send seconds.
fn delay(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(DEFAULT_DELAY, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_when_to_ask_again() {
        let retry_after = |value: &'static str| {
            let value = header::HeaderValue::from_static(value);
            delay(&[(header::RETRY_AFTER, value)].into_iter().collect()).as_secs()
        };
        assert_eq!([retry_after("0"), retry_after(" 17 "), retry_after("soon"), retry_after("-1")], [0, 17, 5, 5]);
        assert_eq!(delay(&HeaderMap::new()), DEFAULT_DELAY);
        assert_eq!(retry_after("18446744073709551615"), u64::MAX);
    }
}
