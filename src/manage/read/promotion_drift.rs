//! Promotion drift: what one stream has and another one of the product has not.

use super::{access::ReadError, streams::StreamReader};
use crate::domain::{
    ids::{StreamName, Version},
    payload::PayloadId,
    release::{PayloadKey, Release, ReleaseState},
    stream::{Revision, Stream},
};
use std::collections::{HashMap, HashSet};

/// The maximum number of releases that are listed.
const MAX_LISTED: usize = 100;

/// What was not promoted from one stream to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionDrift {
    /// The source stream.
    pub from: StreamName,
    /// The revision of the source stream.
    pub revision: Revision,
    /// The newest release of the source stream that was promoted, with the version that it has in the target.
    pub newest_promoted: Option<DriftedRelease>,
    /// The published releases of the source stream that are newer than that, the newest first.
    pub missing: Vec<Version>,
    /// How many these are. At most a hundred are listed.
    pub missing_count: usize,
}

/// A promoted release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftedRelease {
    /// Its version in the source stream.
    pub version: Version,
    /// Its version in the target stream.
    pub promoted_as: Version,
}

impl StreamReader<'_> {
    /// Compares the stream with another one of its product, from which releases are promoted.
    ///
    /// # Errors
    /// One of the streams does not exist, the caller may not read the other one, or the database failed.
    pub async fn promotion_drift(&self, from: &StreamName) -> Result<PromotionDrift, ReadError> {
        let into = self.present().await?;
        let source = self.beside(from)?.present().await?;
        let (newest_promoted, mut missing) = drift(&source.stream, &into.stream);
        let missing_count = missing.len();
        missing.truncate(MAX_LISTED);
        Ok(PromotionDrift { from: from.clone(), revision: source.revision, newest_promoted, missing, missing_count })
    }
}

fn drift(from: &Stream, into: &Stream) -> (Option<DriftedRelease>, Vec<Version>) {
    let promoted = Promoted::new(from, into);
    let mut missing = Vec::new();
    let published = from.aged().rev().filter(|(_, release)| release.state == ReleaseState::Published);
    for (_, release) in published {
        if let Some(promoted_as) = promoted.find(release) {
            let (version, promoted_as) = (release.version.clone(), promoted_as.clone());
            return (Some(DriftedRelease { version, promoted_as }), missing);
        }
        missing.push(release.version.clone());
    }
    (None, missing)
}

/// What a stream has of another one: releases that were promoted from it, or are the same under the same version or payload.
struct Promoted<'a> {
    by_source: HashMap<&'a Version, &'a Version>,
    versions: HashSet<&'a Version>,
    by_payload: HashMap<(&'a PayloadKey, &'a PayloadId), &'a Version>,
}

impl<'a> Promoted<'a> {
    fn new(from: &Stream, into: &'a Stream) -> Self {
        let of_source = |release: &'a Release| {
            let source = release.promoted_from.as_ref().filter(|source| source.stream == from.id.stream)?;
            Some((&source.version, &release.version))
        };
        let payloads = into
            .releases
            .iter()
            .flat_map(|release| release.payloads.iter().map(|(key, payload)| ((key, &payload.id), &release.version)));
        Self {
            by_source: into.releases.iter().filter_map(|release| of_source(release)).collect(),
            versions: into.releases.iter().map(|release| &release.version).collect(),
            by_payload: payloads.collect(),
        }
    }

    /// Returns the version that a release of the source has in the target.
    fn find(&self, release: &Release) -> Option<&'a Version> {
        let of_payload = || {
            let mut payloads = release.payloads.iter();
            payloads.find_map(|(key, payload)| self.by_payload.get(&(key, &payload.id)).copied())
        };
        let promoted = self.by_source.get(&release.version).copied();
        promoted.or_else(|| self.versions.get(&release.version).copied()).or_else(of_payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::artifact::Promotion,
        manage::testing::{id, stream, version},
    };

    fn release(text: &str) -> Release {
        Release::published(version(text), crate::domain::origin::Origin::Local)
    }

    fn with(name: &str, releases: Vec<Release>) -> Stream {
        let mut id = id();
        id.stream = StreamName::parse(name).unwrap();
        Stream { releases: releases.into_iter().map(Into::into).collect(), ..Stream::empty(id) }
    }

    #[test]
    fn what_is_newer_than_the_newest_promotion_is_missing() {
        let testing = with("testing", ["1", "2", "3", "4"].map(release).into());
        let from = |stream: &str, text: &str| {
            Some(Box::new(Promotion { stream: StreamName::parse(stream).unwrap(), version: version(text) }))
        };
        let promoted = Release { promoted_from: from("testing", "2"), ..release("20") };
        let of_another_stream = Release { promoted_from: from("next", "3"), ..release("30") };
        let stable = with("stable", vec![promoted, of_another_stream]);
        let newest = DriftedRelease { version: version("2"), promoted_as: version("20") };
        assert_eq!(drift(&testing, &stable), (Some(newest), vec![version("4"), version("3")]));
        assert_eq!(drift(&testing, &with("stable", Vec::new())).1.len(), 4);
        assert_eq!(
            drift(&testing, &testing),
            (Some(DriftedRelease { version: version("4"), promoted_as: version("4") }), vec![])
        );
    }

    #[test]
    fn a_release_with_the_same_payload_is_the_same() {
        let testing = stream();
        let payloads = testing.releases[2].payloads.clone();
        let stable = with("stable", vec![Release { payloads, ..release("other") }]);
        let newest = DriftedRelease { version: version("3"), promoted_as: version("other") };
        assert_eq!(drift(&testing, &stable), (Some(newest), vec![]));
    }
}
