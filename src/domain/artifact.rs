//! What comes with a release for people: its notes, and where its files are.

use super::{arch::Arch, hash::ContentHash, stream::StreamName, text::text_type, version::Version};

text_type!(
    /// What a release brings, in Markdown.
    Notes,
    32 * 1024,
    "1 to 32768 bytes without NUL",
    |_, c| c != '\0'
);

text_type!(
    /// What a file of a release is, such as `metal.raw.xz`.
    ArtifactName,
    128,
    "1 to 128 of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_alphanumeric() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

text_type!(
    /// Where a file of a release is.
    Location,
    2048,
    "1 to 2048 visible ASCII characters",
    |_, c| c.is_ascii_graphic()
);

/// Which file of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactKey {
    /// The architecture that it is for.
    pub arch: Arch,
    /// What it is.
    pub name: ArtifactName,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it is: an absolute URL.
    pub location: Location,
    /// The SHA-256 of its content.
    pub sha256: Option<ContentHash>,
    /// How many bytes it has.
    pub size: Option<u64>,
}

/// The release of another stream that a release is a promotion of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The stream, of the same product.
    pub stream: StreamName,
    /// The version there.
    pub version: Version,
}

impl Location {
    /// Is it an absolute http or https URL with a host?
    #[must_use]
    pub fn is_web_address(&self) -> bool {
        let rest = self.as_str().strip_prefix("https://").or_else(|| self.as_str().strip_prefix("http://"));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_on_the_web() {
        for (text, fits) in [
            ("https://builds.example/x.raw.xz", true),
            ("http://[::1]/x", true),
            ("ftp://builds.example/x", false),
            ("https:///x", false),
            ("x", false),
        ] {
            assert_eq!(Location::parse(text).unwrap().is_web_address(), fits, "{text}");
        }
        assert!(Location::parse("https://a b").is_err() && ArtifactName::parse("../x").is_err());
    }
}
