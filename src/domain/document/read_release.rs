//! Parsing of release notes, artifacts and promotions.

use super::{
    read::{Reader, Strictness},
    shape::{ArtifactDocument, PromotionDocument, ReleaseDocument},
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey, Location, Notes, Promotion},
    hash::ContentHash,
};
use litemap::LiteMap;
use std::collections::BTreeMap;

impl Reader {
    pub(super) fn notes(&mut self, path: &str, document: &ReleaseDocument) -> Option<Notes> {
        document.notes.as_ref().and_then(|notes| self.parse(&format!("{path}.notes"), notes))
    }

    pub(super) fn artifacts(&mut self, path: &str, documents: &[ArtifactDocument]) -> LiteMap<ArtifactKey, Artifact> {
        let mut artifacts = BTreeMap::new();
        for (index, document) in documents.iter().enumerate() {
            let path = format!("{path}.artifacts[{index}]");
            let Some((key, artifact)) = self.artifact(&path, document) else { continue };
            let duplicate = format!("is the second {} for {}", key.name, key.arch);
            if artifacts.insert(key, artifact).is_some() {
                self.problem(path, duplicate);
            }
        }
        artifacts.into_iter().collect()
    }

    pub(super) fn artifact(&mut self, path: &str, document: &ArtifactDocument) -> Option<(ArtifactKey, Artifact)> {
        let arch = self.parse(&format!("{path}.arch"), &document.arch);
        let name = self.parse(&format!("{path}.name"), &document.name);
        let url_path = format!("{path}.url");
        let location = self.parse::<Location>(&url_path, &document.url);
        let is_strict = self.strictness == Strictness::Strict;
        if location.as_ref().is_some_and(|location| is_strict && !location.is_http_url()) {
            self.problem(url_path, "must be an absolute http or https URL");
        }
        let sha256 = document.sha256.as_ref().map(|hash| {
            let hash = ContentHash::parse(hash).ok_or("must be a SHA-256 in lower-case hexadecimal");
            self.check(&format!("{path}.sha256"), hash)
        });
        let size = document.size.filter(|size| i64::try_from(*size).is_ok());
        if size != document.size {
            self.problem(format!("{path}.size"), "must be at most 9223372036854775807 bytes");
        }
        let sha256 = match sha256 {
            Some(hash) => Some(hash?),
            None => None,
        };
        Some((ArtifactKey { arch: arch?, name: name? }, Artifact { location: location?, sha256, size }))
    }

    pub(super) fn promotion(&mut self, path: &str, document: &PromotionDocument) -> Option<Promotion> {
        let stream = self.parse(&format!("{path}.promoted_from.stream"), &document.stream);
        let version = self.parse(&format!("{path}.promoted_from.version"), &document.version);
        Some(Promotion { stream: stream?, version: version? })
    }
}
