//! What comes with a release of a document for people, and what it came from.

use super::{
    read::{Reader, Strictness},
    shape::{ArtifactDocument, PromotionDocument, ReleaseDocument},
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey, Location, Notes, Promotion},
    hash::ContentHash,
};
use std::collections::BTreeMap;

impl Reader {
    pub(super) fn notes(&mut self, path: &str, document: &ReleaseDocument) -> Option<Notes> {
        document.notes.as_ref().and_then(|notes| self.parse(&format!("{path}.notes"), notes))
    }

    pub(super) fn artifacts(&mut self, path: &str, documents: &[ArtifactDocument]) -> BTreeMap<ArtifactKey, Artifact> {
        let mut artifacts = BTreeMap::new();
        for (index, document) in documents.iter().enumerate() {
            let path = format!("{path}.artifacts[{index}]");
            let Some((key, artifact)) = self.artifact(&path, document) else { continue };
            let second = format!("is the second {} for {}", key.name, key.arch);
            if artifacts.insert(key, artifact).is_some() {
                self.problem(path, second);
            }
        }
        artifacts
    }

    pub(super) fn artifact(&mut self, path: &str, document: &ArtifactDocument) -> Option<(ArtifactKey, Artifact)> {
        let arch = self.parse(&format!("{path}.arch"), &document.arch);
        let name = self.parse(&format!("{path}.name"), &document.name);
        let url_path = format!("{path}.url");
        let location = self.parse::<Location>(&url_path, &document.url);
        let is_ours = self.strictness == Strictness::Ours;
        if location.as_ref().is_some_and(|location| is_ours && !location.is_web_address()) {
            self.problem(url_path, "is no absolute http or https URL");
        }
        let sha256 = document.sha256.as_ref().map(|hash| {
            let hash = ContentHash::parse(hash).ok_or("is not a SHA-256 in lower-case hexadecimal");
            self.take(&format!("{path}.sha256"), hash)
        });
        let size = document.size.filter(|size| i64::try_from(*size).is_ok());
        if size != document.size {
            self.problem(format!("{path}.size"), "is more than 9223372036854775807 bytes");
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
