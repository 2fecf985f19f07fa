//! Releases found by a payload in any stream: nodes may run a release of another stream than the one that they poll.

use super::{
    ids::{Arch, StreamId, Version},
    payload::Scheme,
};

/// A release that has a payload, and the scope in which it has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// The stream.
    pub stream: StreamId,
    /// The release.
    pub version: Version,
    /// The architecture of the payload.
    pub arch: Arch,
    /// The scheme of the payload.
    pub scheme: Scheme,
}

/// The names of a scope, which need not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeNames<'a> {
    /// The product.
    pub product: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// The architecture.
    pub arch: &'a str,
    /// The scheme.
    pub scheme: &'a str,
}

impl Located {
    /// Returns the names of its scope.
    #[must_use]
    pub fn scope(&self) -> ScopeNames<'_> {
        ScopeNames {
            product: self.stream.product.as_str(),
            stream: self.stream.stream.as_str(),
            arch: self.arch.as_str(),
            scheme: self.scheme.as_str(),
        }
    }
}

/// Describes a release that was found in another scope than the expected one, such as `44.1.0 of testing`. Adds the product, arch and scheme
/// only if they differ from `expected`.
#[must_use]
pub fn describe_release(version: &str, found: ScopeNames<'_>, expected: ScopeNames<'_>) -> String {
    let product = if found.product == expected.product { String::new() } else { format!("{}/", found.product) };
    let arch = if found.arch == expected.arch { String::new() } else { format!(" on {}", found.arch) };
    let scheme = if found.scheme == expected.scheme { String::new() } else { format!(" as {}", found.scheme) };
    format!("{version} of {product}{}{arch}{scheme}", found.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_from_the_expected_scope_are_named() {
        let expected = ScopeNames { product: "os", stream: "stable", arch: "x86_64", scheme: "oci" };
        let testing = ScopeNames { stream: "testing", ..expected };
        assert_eq!(describe_release("1.2", testing, expected), "1.2 of testing");
        let other = ScopeNames { product: "lab", stream: "stable", arch: "aarch64", scheme: "checksum" };
        assert_eq!(describe_release("1.2", other, expected), "1.2 of lab/stable on aarch64 as checksum");
    }
}
