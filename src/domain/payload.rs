//! Payloads: what a release is on one arch and one scheme.

use super::text::text_type;

text_type!(
    /// How a payload names its content, `checksum` (an `OSTree` commit) or `oci` (an image by digest) or one yet to come.
    Scheme,
    32,
    "1 to 32 of a-z, 0-9 and '-'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

text_type!(
    /// What a node runs, in the words of its scheme. Nodes find themselves by equality of this text.
    PayloadId,
    1024,
    "1 to 1024 bytes without NUL",
    |_, c| c != '\0'
);

text_type!(
    /// A container repository, such as `quay.io/fedora/fedora-coreos`: what stands before the `@` of a pull spec by digest.
    Repository,
    255,
    "1 to 255 bytes without '@', spaces or control characters",
    |_, c| c != '@' && !c.is_whitespace() && !c.is_control()
);

impl PayloadId {
    /// The repository and the digest, where this is a pull spec by digest.
    #[must_use]
    pub fn pull_spec(&self) -> Option<(&str, &str)> {
        self.as_str().split_once('@')
    }
}

impl Scheme {
    /// An `OSTree` commit.
    #[must_use]
    pub fn checksum() -> Self {
        Self("checksum".into())
    }

    /// A container image by digest.
    #[must_use]
    pub fn oci() -> Self {
        Self("oci".into())
    }
}

/// The payload of a release on one arch and scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the node runs.
    pub id: PayloadId,
    /// A placeholder of a sample document: no such content exists.
    pub synthetic: bool,
}
