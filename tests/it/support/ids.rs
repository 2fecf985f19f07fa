//! Builds valid payloads from short names.

use lockkeeper::domain::hash::ContentHash;

/// Returns the checksum of a commit.
pub(crate) fn commit(name: impl std::fmt::Display) -> String {
    ContentHash::from_content(name.to_string().as_bytes()).to_string()
}

/// Returns a pull spec by digest.
pub(crate) fn image(repository: &str, name: impl std::fmt::Display) -> String {
    format!("{repository}@sha256:{}", commit(name))
}

/// Returns a payload of a scheme.
pub(crate) fn payload(scheme: &str, name: impl std::fmt::Display) -> String {
    if scheme == "oci" { image("quay.io/os/os", name) } else { commit(name) }
}
