//! Streams: an ordered list of releases that nodes follow, and everything that shapes their answers.

use super::{
    arch::Arch,
    blocked::BlockedUpdate,
    hash::ContentHash,
    payload::{Repository, Scheme},
    product::ProductName,
    protection::{EmergencyStop, Protection},
    release::{PayloadKey, Release, ReleaseState},
    text::text_type,
    version::Version,
};
use std::collections::{BTreeMap, BTreeSet};

text_type!(
    /// The name of a stream within its product, such as `stable`; it is part of URLs.
    StreamName,
    64,
    "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

text_type!(
    /// What kind of upstream document something came from, such as `releases`.
    SourceKind,
    32,
    "1 to 32 of a-z, 0-9 and '-'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

/// Which stream of which product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The product.
    pub product: ProductName,
    /// The stream within it.
    pub stream: StreamName,
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.product, self.stream)
    }
}

/// The number of a state of a stream; 1 is the first, 0 stands for none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The whole state of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Which one.
    pub id: StreamId,
    /// The arches that it is meant to serve, with or without a release yet.
    pub arches: BTreeSet<Arch>,
    /// Repositories that hold the same images under the same digests.
    pub mirrors: BTreeSet<Repository>,
    /// What keeps it from being opened in haste.
    pub protection: Protection,
    /// Nothing opens any further while it stands.
    pub stop: Option<EmergencyStop>,
    /// Oldest first: a release's age index is its place here. Drafts come last and have none.
    pub releases: Vec<Release>,
    /// Updates that must not be taken.
    pub blocked_updates: Vec<BlockedUpdate>,
    /// The upstream documents that this state came from.
    pub sources: BTreeMap<SourceKind, ContentHash>,
}

impl Stream {
    /// A stream without anything in it.
    #[must_use]
    pub fn empty(id: StreamId) -> Self {
        Self {
            id,
            arches: BTreeSet::new(),
            mirrors: BTreeSet::new(),
            protection: Protection::default(),
            stop: None,
            releases: Vec::new(),
            blocked_updates: Vec::new(),
            sources: BTreeMap::new(),
        }
    }

    /// The releases that have an age, with it.
    #[must_use]
    pub fn aged(&self) -> impl DoubleEndedIterator<Item = (usize, &Release)> {
        self.releases.iter().enumerate().filter(|(_, release)| release.state != ReleaseState::Draft)
    }

    /// The releases by what identifies them: the version, and how often it stood there before. Only upstream lists a version
    /// twice.
    #[must_use]
    pub fn identified(&self) -> Vec<((&Version, usize), &Release)> {
        let mut seen: BTreeMap<&Version, usize> = BTreeMap::new();
        let mut occurrence = |version| {
            let times = seen.entry(version).or_default();
            *times += 1;
            *times - 1
        };
        self.releases.iter().map(|release| ((&release.version, occurrence(&release.version)), release)).collect()
    }

    /// The place of a version, which is its age unless it is a draft: of one that upstream lists twice, the older one's.
    #[must_use]
    pub fn position_of(&self, version: &Version) -> Option<usize> {
        self.releases.iter().position(|release| release.version == *version)
    }

    /// The arches and schemes for which there are payloads, drafts' left out.
    #[must_use]
    pub fn payload_keys(&self) -> BTreeSet<&PayloadKey> {
        self.aged().flat_map(|(_, release)| release.payloads.keys()).collect()
    }

    /// Every arch that it knows: meant to be served, or with a payload.
    #[must_use]
    pub fn known_arches(&self) -> BTreeSet<&Arch> {
        let with_payload = self.payload_keys().into_iter().map(|key| &key.arch);
        self.arches.iter().chain(with_payload).collect()
    }

    /// Every scheme for which there is a payload.
    #[must_use]
    pub fn schemes(&self) -> BTreeSet<&Scheme> {
        self.payload_keys().into_iter().map(|key| &key.scheme).collect()
    }

    /// Is any of what is served a placeholder instead of a real payload? What a draft has is nobody's yet.
    #[must_use]
    pub fn is_synthetic(&self) -> bool {
        self.aged().any(|(_, release)| release.is_synthetic())
    }
}
