//! Reads what a reference stands for: an index of images, or a single image.

use super::{
    error::RegistryError,
    reference::{ImageReference, Target, parse_digest},
    session::Session,
    wire::{Config, Entry, Labels, Manifest},
};
use crate::domain::{
    hash::ContentHash,
    ids::Arch,
    image::{Image, ImageBase, ImageDetails, arch_of_image},
};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const INDEX: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const IMAGE: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// The largest number of images in an index.
const MAX_ENTRIES: usize = 64;
/// The longest text of a registry that an error or a version repeats, in characters.
const MAX_TEXT: usize = 300;
pub(super) const OS: &str = "linux";
/// The platform of what is not an image, such as the attestations of a build.
const UNKNOWN: &str = "unknown";
const VERSION: &str = "org.opencontainers.image.version";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The stream that nodes poll which run the image.
const STREAM: &str = "com.coreos.stream";

/// An image of one arch, with what its annotations and labels say.
struct Build {
    arch: Arch,
    annotations: Labels,
    labels: Labels,
    created: Option<String>,
}

/// Reads what a reference stands for.
pub(super) async fn image(session: &mut Session<'_>, image: &ImageReference) -> Result<Image, RegistryError> {
    let (name, wanted) = match image.target() {
        Target::Tag(tag) => (tag.clone(), None),
        Target::Digest(digest) => (format!("sha256:{digest}"), Some(*digest)),
    };
    let content = session.manifest(&name, &format!("{INDEX}, {IMAGE}")).await?;
    let digest = checked_digest(session, &content, wanted)?;
    let manifest: Manifest = parse(session, "manifest", &content)?;
    let annotations = manifest.annotations.clone().unwrap_or_default();
    let mut builds = BTreeMap::new();
    let (outer, entries) = match (manifest.manifests, &manifest.config) {
        (Some(_), Some(_)) => return Err(session.wrong_content("sent a manifest that is both an index and an image")),
        (Some(entries), None) => (annotations, entries),
        (None, _) => {
            let build = build(session, &content).await?;
            builds.insert(build.arch.clone(), (digest, build));
            (Labels::new(), Vec::new())
        }
    };
    for (arch, digest) in linux_images(session, &entries)? {
        let content = session.manifest(&format!("sha256:{digest}"), IMAGE).await?;
        checked_digest(session, &content, Some(digest))?;
        let build = build(session, &content).await?;
        if build.arch != arch {
            let problem = format!("is listed as an image for {arch}, and is one for {}", build.arch);
            return Err(RegistryError::Unusable(format!("{}@sha256:{digest} {problem}", session.repository.name())));
        }
        builds.insert(arch, (digest, build));
    }
    if builds.is_empty() {
        return Err(RegistryError::Unusable(format!("{} has no image for {OS}", session.subject)));
    }
    Ok(describe(session, &outer, builds))
}

/// Returns the digests of an index's images for Linux, by arch.
fn linux_images(session: &Session<'_>, entries: &[Entry]) -> Result<BTreeMap<Arch, ContentHash>, RegistryError> {
    let subject = &session.subject;
    if entries.len() > MAX_ENTRIES {
        let problem = format!("{subject} is an index of {} images, of at most {MAX_ENTRIES}", entries.len());
        return Err(RegistryError::Unusable(problem));
    }
    let mut found = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for entry in entries {
        let Some(platform) = &entry.platform else {
            return Err(RegistryError::Unusable(format!("{subject} is an index with an entry without a platform")));
        };
        if platform.os != OS || platform.architecture == UNKNOWN {
            continue;
        }
        let digest = parse_digest(&entry.digest);
        let digest =
            digest.ok_or_else(|| session.wrong_content("sent an index with a digest that is not a SHA-256"))?;
        match arch_of_image(&platform.architecture) {
            None => drop(unknown.insert(&*platform.architecture)),
            Some(arch) if found.contains_key(&arch) => {
                return Err(RegistryError::Unusable(format!("{subject} is an index with two images for {arch}")));
            }
            Some(arch) => drop(found.insert(arch, digest)),
        }
    }
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.into_iter().collect();
        return Err(unknown_arches(session, &names.join(", ")));
    }
    Ok(found)
}

fn unknown_arches(session: &Session<'_>, names: &str) -> RegistryError {
    let expected = "amd64, arm64, ppc64le or s390x";
    RegistryError::Unusable(format!("{} is for {}, expected {expected}", session.subject, names.escape_debug()))
}

/// Reads the config of an image whose manifest is given.
async fn build(session: &mut Session<'_>, content: &[u8]) -> Result<Build, RegistryError> {
    let manifest: Manifest = parse(session, "manifest", content)?;
    if manifest.schema_version != 2 {
        return Err(
            session.wrong_content(format!("sent a manifest of schema version {}, not 2", manifest.schema_version))
        );
    }
    let digest = manifest.config.as_ref().and_then(|config| parse_digest(&config.digest));
    let digest = digest.ok_or_else(|| session.wrong_content("sent a manifest without the SHA-256 of a config"))?;
    let content = session.blob(digest).await?;
    checked_digest(session, &content, Some(digest))?;
    let config: Config = serde_json::from_slice(&content).map_err(|error| {
        RegistryError::Unusable(format!(
            "{} has no config of an image: {}",
            session.subject,
            shortened(&error.to_string())
        ))
    })?;
    if config.os != OS {
        let problem = format!("{} is for {}, not for {OS}", session.subject, shortened(&config.os));
        return Err(RegistryError::Unusable(problem));
    }
    let arch = arch_of_image(&config.architecture).ok_or_else(|| unknown_arches(session, &config.architecture))?;
    Ok(Build {
        arch,
        annotations: manifest.annotations.unwrap_or_default(),
        labels: config.execution.and_then(|execution| execution.labels).unwrap_or_default(),
        created: config.created,
    })
}

/// Returns the digest of a content, which must be the wanted one.
pub(super) fn checked_digest(
    session: &Session<'_>,
    content: &[u8],
    wanted: Option<ContentHash>,
) -> Result<ContentHash, RegistryError> {
    let digest = ContentHash::from_content(content);
    match wanted {
        Some(wanted) if wanted != digest => {
            Err(session.wrong(format!("sent other content than sha256:{wanted} stands for")))
        }
        _ => Ok(digest),
    }
}

pub(super) fn parse<T: DeserializeOwned>(
    session: &Session<'_>,
    what: &str,
    content: &[u8],
) -> Result<T, RegistryError> {
    let failed = |error: serde_json::Error| {
        session.wrong_content(format!("sent a {what} that cannot be read: {}", shortened(&error.to_string())))
    };
    serde_json::from_slice(content).map_err(failed)
}

/// Returns the beginning of a text that the registry sent, which may have megabytes.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Describes an image. Annotations come before labels, which an image has from the image that it is built on, too.
fn describe(session: &Session<'_>, outer: &Labels, builds: BTreeMap<Arch, (ContentHash, Build)>) -> Image {
    let value = |build: &Build, name: &str| {
        let found = [outer, &build.annotations, &build.labels].into_iter().find_map(|labels| labels.get(name));
        found.filter(|value| !value.is_empty()).map(|value| shortened(value))
    };
    let base = |build: &Build| ImageBase { digest: value(build, BASE_DIGEST), version: value(build, VERSION) };
    let first = builds.values().next().map(|(_, build)| build);
    let detail = |name: &str| first.and_then(|build| value(build, &format!("org.opencontainers.image.{name}")));
    let details = ImageDetails {
        created: detail("created").or_else(|| first.and_then(|build| build.created.clone())),
        revision: detail("revision"),
        source: detail("source"),
        base_name: detail("base.name"),
        base_digest: detail("base.digest"),
    };
    Image {
        repository: session.repository.name().clone(),
        bases: builds.iter().map(|(arch, (_, build))| (arch.clone(), base(build))).collect(),
        polled_stream: builds.values().next().and_then(|(_, build)| value(build, STREAM)),
        versions: builds.values().filter_map(|(_, build)| value(build, VERSION)).collect(),
        builds: builds.into_iter().map(|(arch, (digest, _))| (arch, digest)).collect(),
        details,
    }
}
