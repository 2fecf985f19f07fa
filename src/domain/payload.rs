//! Payloads: what a release is on one arch and one scheme.

use super::{interned::interned, text::text_type};

text_type!(
    /// How a payload identifies its content: `checksum` (an `OSTree` commit), `oci` (an image by digest), or any other name of this form.
    Scheme,
    32,
    "1 to 32 of a-z, 0-9 and '-'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    interned
);

text_type!(
    /// The id of a payload in its scheme. Nodes identify their release by equality of this text.
    PayloadId,
    1024,
    "1 to 1024 bytes without NUL",
    |_, c| c != '\0'
);

text_type!(
    /// A container repository, such as `quay.io/fedora/fedora-coreos`: the part of a pull spec by digest before its `@`.
    Repository,
    255,
    "1 to 255 bytes without '@', spaces or control characters",
    |_, c| c != '@' && !c.is_whitespace() && !c.is_control()
);

impl PayloadId {
    /// Returns the repository and the digest if this is a pull spec by digest.
    #[must_use]
    pub fn pull_spec(&self) -> Option<(&str, &str)> {
        self.as_str().split_once('@')
    }
}

impl Scheme {
    /// Returns the scheme of `OSTree` commits.
    #[must_use]
    pub fn checksum() -> Self {
        Self(interned("checksum"))
    }

    /// Returns the scheme of container images by digest.
    #[must_use]
    pub fn oci() -> Self {
        Self(interned("oci"))
    }
}

/// The payload of a release on one arch and scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its id.
    pub id: PayloadId,
    /// True for a placeholder (synthetic) payload, for which no content exists.
    pub synthetic: bool,
}
