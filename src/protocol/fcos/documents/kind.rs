//! The kinds of upstream's documents, and their paths.

use crate::domain::ids::StreamName;
use strum::{IntoStaticStr, VariantArray};

/// A kind of document that upstream publishes for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    /// The release index.
    Releases,
    /// The update policies.
    Updates,
    /// The stream metadata: images and artifacts of the newest release.
    Stream,
    /// The release notes.
    ReleaseNotes,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns the name of the document among a stream's sources.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the path of the document in upstream's layout.
    #[must_use]
    pub fn path(self, stream: &StreamName) -> String {
        match self {
            Self::Releases => format!("prod/streams/{stream}/releases.json"),
            Self::Updates => format!("updates/{stream}.json"),
            Self::Stream => format!("streams/{stream}.json"),
            Self::ReleaseNotes => format!("release-notes/{stream}.yml"),
        }
    }

    /// Returns the extension of the file name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Releases | Self::Updates | Self::Stream => ".json",
            Self::ReleaseNotes => ".yml",
        }
    }

    /// Returns true if a stream cannot be built without this document.
    #[must_use]
    pub fn is_needed(self) -> bool {
        matches!(self, Self::Releases | Self::Updates)
    }

    /// Returns the media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Releases | Self::Updates | Self::Stream => "application/json",
            Self::ReleaseNotes => "application/yaml",
        }
    }
}
