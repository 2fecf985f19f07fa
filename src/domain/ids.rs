//! The names of things: arches, versions, products and streams. Each is checked when it is parsed.

use super::text::text_type;

text_type!(
    /// An architecture by the kernel's name, such as `x86_64`, `aarch64`, `ppc64le` or `s390x`. Any name of this form is accepted.
    Arch,
    32,
    "1 to 32 of a-z, 0-9 and '_'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_',
    interned
);

text_type!(
    /// A version as upstream writes it. Its text has no meaning to Lockkeeper: releases are ordered by age.
    Version,
    255,
    "1 to 255 bytes without control characters",
    |_, c| !c.is_control()
);

impl Version {
    /// Returns true if the version can be a segment of a URL path. Clients remove the segments `.` and `..` before they send a request
    /// (RFC 3986, section 5.2.4).
    #[must_use]
    pub fn is_path_segment(&self) -> bool {
        !matches!(self.as_str(), "." | "..")
    }
}

text_type!(
    /// The name of a product, such as `fedora-coreos`; it is part of URLs.
    ProductName,
    64,
    "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

text_type!(
    /// The name of a protocol that nodes speak.
    ProtocolName,
    64,
    "1 to 64 of a-z, 0-9 and '-', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && c == '-')
);

text_type!(
    /// The name of a stream within its product, such as `stable`; it is part of URLs.
    StreamName,
    64,
    "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

/// The product and name that identify a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The product.
    pub product: ProductName,
    /// The stream within it.
    pub stream: StreamName,
}

impl StreamId {
    /// Parses `product/stream`.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, StreamIdError> {
        let (product, stream) = text.split_once('/').ok_or(StreamIdError)?;
        let product = ProductName::parse(product).map_err(|_| StreamIdError)?;
        Ok(Self { product, stream: StreamName::parse(stream).map_err(|_| StreamIdError)? })
    }
}

/// The error for text that does not name a stream with its product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a product and a stream, such as fedora-coreos/stable")]
pub struct StreamIdError;

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.product, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::ids::*;

    #[test]
    fn a_product_name_is_safe_in_a_path() {
        assert!(ProductName::parse("fedora-coreos").is_ok());
        for bad in ["", "..", "a/b", "-x", "Fedora", "a b", &"x".repeat(65)] {
            assert!(ProductName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
