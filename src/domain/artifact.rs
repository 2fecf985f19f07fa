//! Release notes, artifacts (downloadable files) and the source of a promoted release.

use super::{
    hash::ContentHash,
    ids::{Arch, StreamName, Version},
    text::text_type,
};

text_type!(
    /// Release notes in Markdown.
    Notes,
    32 * 1024,
    "1 to 32768 bytes without NUL",
    |_, c| c != '\0'
);

text_type!(
    /// The name of an artifact, such as `metal.raw.xz`.
    ArtifactName,
    128,
    "1 to 128 of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_alphanumeric() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

text_type!(
    /// The URL of an artifact.
    Location,
    2048,
    "1 to 2048 visible ASCII characters",
    |_, c| c.is_ascii_graphic()
);

/// The arch and name that identify an artifact within its release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactKey {
    /// The architecture that the artifact is for.
    pub arch: Arch,
    /// Its name.
    pub name: ArtifactName,
}

/// A downloadable file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its absolute URL.
    pub location: Location,
    /// The SHA-256 of its content.
    pub sha256: Option<ContentHash>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// The release of another stream from which a release was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The stream, of the same product.
    pub stream: StreamName,
    /// The version in that stream.
    pub version: Version,
}

impl Location {
    /// Returns true if this is an absolute http or https URL with a host.
    #[must_use]
    pub fn is_http_url(&self) -> bool {
        let rest = self.as_str().strip_prefix("https://").or_else(|| self.as_str().strip_prefix("http://"));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_locations_are_http_urls() {
        for (text, fits) in [
            ("https://builds.example/x.raw.xz", true),
            ("http://[::1]/x", true),
            ("ftp://builds.example/x", false),
            ("https:///x", false),
            ("x", false),
        ] {
            assert_eq!(Location::parse(text).unwrap().is_http_url(), fits, "{text}");
        }
        assert!(Location::parse("https://a b").is_err() && ArtifactName::parse("../x").is_err());
    }
}
