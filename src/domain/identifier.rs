//! The form of identifiers such as commits and pull specs. Local changes are checked against it; upstream may publish anything.

use super::payload::{PayloadId, Repository, Scheme};
use thiserror::Error;

/// The error for an identifier of the wrong form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormError {
    /// Not an `OSTree` commit.
    #[error(
        "is {0:?}, expected a commit of 64 lower-case hexadecimal digits such as \
         46d354cf6750611965bb70cbc6c2d868b1c9a7c8b6a7e4f0d9a3b5c7e1f20304"
    )]
    Checksum(String),
    /// Not a pull spec by digest.
    #[error(
        "is {0:?}, expected a pull spec by digest, host[:port]/path@sha256:<64 lower-case hexadecimal digits>, such as \
         quay.io/fedora/fedora-coreos@sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1"
    )]
    PullSpec(String),
    /// Not a repository.
    #[error(
        "is {0:?}, expected a repository host[:port]/path without a tag or digest, such as registry.example.org:5000/os"
    )]
    Repository(String),
}

impl Scheme {
    /// Checks that a payload id has the form of this scheme. Unknown schemes accept any id.
    ///
    /// # Errors
    /// Fails if it has another form. The message shows the expected one.
    pub fn check(&self, id: &PayloadId) -> Result<(), FormError> {
        let text = id.as_str();
        match self.as_str() {
            "checksum" if !is_sha256(text) => Err(FormError::Checksum(text.into())),
            "oci" if !is_pull_spec(text) => Err(FormError::PullSpec(text.into())),
            _ => Ok(()),
        }
    }
}

impl Repository {
    /// Parses a repository as users write it. Trailing slashes are removed, because no pull spec would match them.
    ///
    /// # Errors
    /// Fails if `text` is not a repository. The message shows the expected form.
    pub fn from_input(text: &str) -> Result<Self, FormError> {
        let invalid = || FormError::Repository(text.into());
        let trimmed = text.trim_end_matches('/');
        Self::parse(trimmed).ok().filter(|_| is_repository(trimmed)).ok_or_else(invalid)
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_pull_spec(text: &str) -> bool {
    let Some((repository, digest)) = text.split_once('@') else { return false };
    is_repository(repository) && digest.strip_prefix("sha256:").is_some_and(is_sha256)
}

fn is_repository(text: &str) -> bool {
    let Some((host, path)) = text.split_once('/') else { return false };
    let (host, port) = match host.rsplit_once(':') {
        // The colons of an IPv6 address do not separate a port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (host, None),
    };
    is_host(host) && port.is_none_or(is_port) && path.split('/').all(is_component)
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    address.map_or_else(|| text.split('.').all(is_label), |address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Returns true if `text` is a path component in the grammar of container references: lower-case letters and digits, separated by `.`,
/// `_`, `__` or any number of `-`.
#[must_use]
pub fn is_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |part: &str| matches!(part, "" | "." | "_" | "__") || part.bytes().all(|byte| byte == b'-');
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "5cd9bb2d1a7a5f7a1c9c0f3b8d2e4f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

    fn is_payload(scheme: &Scheme, text: &str) -> bool {
        PayloadId::parse(text).is_ok_and(|id| scheme.check(&id).is_ok())
    }

    #[test]
    fn payloads_have_the_form_of_their_scheme() {
        assert!(is_payload(&Scheme::checksum(), DIGEST));
        for wrong in [
            &DIGEST[1..],
            &DIGEST.to_uppercase(),
            &format!("{DIGEST}\n"),
            &format!("quay.io/os@sha256:{DIGEST}"),
            "f00d",
        ] {
            assert!(!is_payload(&Scheme::checksum(), wrong), "{wrong:?}");
        }
        for repository in [
            "quay.io/fedora/fedora-coreos",
            "registry.local:5000/os",
            "registry:5000/a/b",
            "localhost/os",
            "192.0.2.7:5000/os",
            "[2001:db8::7]:5000/os",
            "[2001:db8::7]/os",
            "Registry.Example.ORG/a.b_c__d---e/f0",
        ] {
            assert!(is_payload(&Scheme::oci(), &format!("{repository}@sha256:{DIGEST}")), "{repository}");
            assert_eq!(Repository::from_input(&format!("{repository}//")).unwrap().as_str(), repository);
        }
        for wrong in [
            "quay.io/fedora/fedora-coreos:stable".to_owned(),
            format!("quay.io/fedora/fedora-coreos:stable@sha256:{DIGEST}"),
            format!("quay.io/fedora/fedora-coreos@sha256:{}", &DIGEST[1..]),
            format!("quay.io/fedora/fedora-coreos@sha256:{DIGEST}\n"),
            format!("quay.io/fedora/fedora-coreos@sha512:{DIGEST}"),
            format!("docker://quay.io/os@sha256:{DIGEST}"),
            format!("quay.io/Fedora@sha256:{DIGEST}"),
            format!("quay.io@sha256:{DIGEST}"),
            format!("quay.io:0/os@sha256:{DIGEST}"),
            format!("quay.io/os/@sha256:{DIGEST}"),
            DIGEST.to_owned(),
        ] {
            assert!(!is_payload(&Scheme::oci(), &wrong), "{wrong:?}");
        }
        // Any id is accepted for an unknown scheme.
        assert!(is_payload(&Scheme::parse("other").unwrap(), "anything"));
    }

    #[test]
    fn a_mirror_is_a_repository() {
        for wrong in
            ["https://registry.local/os", "registry.local:5000/os:latest", "registry.local", "/os", "a//b", "a /b"]
        {
            let error = Repository::from_input(wrong).unwrap_err().to_string();
            assert!(error.contains("registry.example.org:5000/os"), "{wrong:?} {error}");
        }
    }
}
