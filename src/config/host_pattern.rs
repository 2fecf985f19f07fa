//! Patterns of hosts, and the URLs of registries.

use super::issuers::is_loopback;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A host, or all hosts below a domain (`*.example.org`), on one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    text: String,
    /// The URL of the host, or of the domain.
    url: Url,
    is_domain: bool,
}

/// The error for text that is not a pattern of hosts.
#[derive(Debug, Error)]
#[error("{0:?} is not a host: expected host, host:port or *.domain, without a default port")]
pub struct HostPatternError(String);

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        let text = text.to_ascii_lowercase();
        let domain = text.strip_prefix("*.");
        match registry_url(domain.unwrap_or(&text)) {
            Some(url) => Ok(Self { is_domain: domain.is_some(), url, text }),
            None => Err(HostPatternError(text)),
        }
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.text
    }
}

impl HostPattern {
    /// Returns true if the pattern matches the host and the port of a URL.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        let (Some(pattern), Some(host)) = (self.url.host_str(), url.host_str()) else { return false };
        let is_host = if self.is_domain {
            host.strip_suffix(pattern).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        } else {
            host == pattern
        };
        is_host && self.url.port_or_known_default() == url.port_or_known_default()
    }
}

/// Builds the URL of a registry from `host` or `host:port`: https, or http for this machine. Returns `None` unless the text is the normal
/// form of a host: another form of an address, such as `127.1`, would look like a name.
#[must_use]
pub fn registry_url(authority: &str) -> Option<Url> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_:[]".contains(c);
    if !authority.chars().all(is_allowed) {
        return None;
    }
    let with_scheme = |scheme: &str| Url::parse(&format!("{scheme}://{authority}/")).ok();
    let https = with_scheme("https")?;
    let url = if is_loopback(&https) { with_scheme("http")? } else { https };
    (url.as_str() == format!("{}://{authority}/", url.scheme())).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Result<HostPattern, HostPatternError> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_pattern_matches_its_host_and_port_only() {
        for (text, url, matches) in [
            ("ghcr.io", "https://ghcr.io/v2/", true),
            ("GHCR.io", "https://ghcr.io/v2/", true),
            ("ghcr.io", "https://ghcr.io:8443/v2/", false),
            ("ghcr.io", "http://ghcr.io/v2/", false),
            ("ghcr.io", "https://evil-ghcr.io/", false),
            ("ghcr.io", "https://ghcr.io.evil.example/", false),
            ("*.example.org", "https://a.b.example.org/", true),
            ("*.example.org", "https://example.org/", false),
            ("*.example.org", "https://badexample.org/", false),
            ("*.example.org:5000", "https://a.example.org:5000/", true),
            ("localhost:5000", "http://localhost:5000/", true),
            ("localhost", "https://localhost/", false),
            ("[::1]:5000", "http://[::1]:5000/", true),
        ] {
            assert_eq!(pattern(text).unwrap().matches(&url.parse().unwrap()), matches, "{text} {url}");
        }
    }

    #[test]
    fn what_is_no_host_in_normal_form_is_rejected() {
        for bad in
            ["", "*", "*.", "https://ghcr.io", "ghcr.io/acme", "user@ghcr.io", "ghcr.io:443", "127.1", "0x7f.1", "a b"]
        {
            assert!(pattern(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn registries_on_this_machine_are_spoken_to_without_tls() {
        for (authority, url) in [
            ("ghcr.io", "https://ghcr.io/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/"),
            ("[::1]:5000", "http://[::1]:5000/"),
        ] {
            assert_eq!(registry_url(authority).unwrap().as_str(), url);
        }
    }
}
