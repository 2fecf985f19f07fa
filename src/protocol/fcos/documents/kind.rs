//! Which documents there are, and where upstream keeps them.

use crate::domain::stream::StreamName;

/// One of upstream's documents of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The release index.
    Releases,
    /// The policies.
    Updates,
    /// Images and artifacts of the newest release.
    Stream,
    /// What each release fixed.
    ReleaseNotes,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Releases, Self::Updates, Self::Stream, Self::ReleaseNotes];

    /// Its name among a stream's sources.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Releases => "releases",
            Self::Updates => "updates",
            Self::Stream => "stream",
            Self::ReleaseNotes => "release-notes",
        }
    }

    /// Where upstream keeps it.
    #[must_use]
    pub fn path(self, stream: &StreamName) -> String {
        match self {
            Self::Releases => format!("prod/streams/{stream}/releases.json"),
            Self::Updates => format!("updates/{stream}.json"),
            Self::Stream => format!("streams/{stream}.json"),
            Self::ReleaseNotes => format!("release-notes/{stream}.yml"),
        }
    }

    /// How its file's name ends.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Releases | Self::Updates | Self::Stream => ".json",
            Self::ReleaseNotes => ".yml",
        }
    }

    /// Graphs are made of it: without it there is no stream.
    #[must_use]
    pub fn is_needed(self) -> bool {
        matches!(self, Self::Releases | Self::Updates)
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Releases | Self::Updates | Self::Stream => "application/json",
            Self::ReleaseNotes => "application/yaml",
        }
    }
}
