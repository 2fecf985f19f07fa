//! `[[auth.issuers]]`

use super::error::ConfigError;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// An external issuer whose tokens are accepted: an identity provider or a CI system.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The exact `iss` claim of its tokens: an `https://` or `http://` URL.
    pub issuer: String,
    /// The URL of its keys; absent: the one that `{issuer}/.well-known/openid-configuration` names (`OpenID` Connect Discovery 1.0).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Audiences of which a token must name one (`aud`).
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The accepted signature algorithms. Algorithms with a shared secret are rejected.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the actor, or the dotted path to it.
    #[serde(default = "default_actor_claim")]
    pub actor_claim: String,
    /// The accepted difference between the issuer's clock and the local one, at most 5 minutes.
    #[serde(default = "default_leeway")]
    pub leeway: SignedDuration,
    /// How long its keys are cached before they are fetched again, 30 seconds to 24 hours.
    #[serde(default = "default_refresh")]
    pub refresh: SignedDuration,
    /// Rules that grant roles. A token gets the roles of all rules that it matches.
    #[serde(default)]
    pub rules: Vec<RuleSettings>,
}

/// A rule that grants a role to tokens with certain claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// The claims that a token must have, all of them, by name or dotted path. A value matches an equal string, or an array that
    /// contains it. A value that ends in `*` matches strings with that prefix, and no arrays.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// The role: `viewer`, `publisher`, `manager` or `admin`.
    pub role: String,
    /// The streams on which the role applies: `fedora-coreos/stable`, `fedora-coreos/*` or `*`.
    pub streams: String,
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_actor_claim() -> String {
    "sub".into()
}

const fn default_leeway() -> SignedDuration {
    SignedDuration::from_secs(30)
}

const fn default_refresh() -> SignedDuration {
    SignedDuration::from_mins(10)
}

const MAX_LEEWAY: SignedDuration = SignedDuration::from_mins(5);
const MIN_REFRESH: SignedDuration = SignedDuration::from_secs(30);
const MAX_REFRESH: SignedDuration = SignedDuration::from_hours(24);
/// The `iss` claim of this service's own tokens.
const LOCAL_ISSUER: &str = "lockkeeper";

impl IssuerSettings {
    /// Validates the settings of the issuer at this index, from 0.
    pub(super) fn validate(&self, index: usize) -> Result<(), ConfigError> {
        let wrong =
            |field: &str, problem: &str| Err(ConfigError::value(&format!("auth.issuers[{index}].{field}"), problem));
        if self.issuer.is_empty() || self.issuer == LOCAL_ISSUER {
            return wrong("issuer", "must name an external issuer");
        }
        // Actor ids begin with the issuer. They must not collide with ids of local tokens and commands.
        if !["https://", "http://"].iter().any(|scheme| self.issuer.starts_with(scheme)) {
            return wrong("issuer", "must begin with https:// or http://");
        }
        match &self.jwks_url {
            Some(url) if !is_protected(url) => return wrong("jwks_url", NOT_PROTECTED),
            None if !is_protected(&self.issuer) => return wrong("issuer", NOT_PROTECTED),
            _ => {}
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong("audiences", "must list at least one audience, and no empty one");
        }
        if self.algorithms.is_empty() {
            return wrong("algorithms", "must list at least one algorithm");
        }
        if let Some(shared) = self.algorithms.iter().find(|algorithm| algorithm.family() == AlgorithmFamily::Hmac) {
            return wrong("algorithms", &format!("must not list {shared:?}, which uses a shared secret"));
        }
        if self.actor_claim.is_empty() {
            return wrong("actor_claim", "must name a claim");
        }
        if self.leeway.is_negative() || self.leeway > MAX_LEEWAY {
            return wrong("leeway", "must be between 0s and 5m");
        }
        if self.refresh < MIN_REFRESH || self.refresh > MAX_REFRESH {
            return wrong("refresh", "must be between 30s and 24h");
        }
        if self.rules.is_empty() {
            return wrong("rules", "must contain at least one rule: without rules, no token gets a role");
        }
        for (nth, rule) in self.rules.iter().enumerate() {
            if rule.claims.is_empty() {
                return wrong(&format!("rules[{nth}].claims"), "must require at least one claim");
            }
            if rule.claims.iter().any(|(name, wanted)| name.is_empty() || wanted.is_empty()) {
                return wrong(&format!("rules[{nth}].claims"), "must not have an empty name or value");
            }
        }
        Ok(())
    }
}

const NOT_PROTECTED: &str = "must be an https:// URL; http:// is allowed only for loopback";

/// Returns true if no one on the network can forge responses of this URL: https, or http on this machine.
#[must_use]
pub fn is_protected(address: &str) -> bool {
    let Ok(url) = address.parse::<Url>() else { return false };
    match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => is_loopback(&url),
        _ => false,
    }
}

/// Returns true if the host is this machine, by its name or address.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_allowed_only_on_loopback() {
        for valid in [
            "https://issuer.example",
            "http://127.0.0.1:1/x",
            "http://127.9.9.9",
            "http://[::1]:80",
            "http://localhost",
        ] {
            assert!(is_protected(valid), "{valid}");
        }
        for wrong in [
            "http://issuer.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://127.0.0.1@issuer.example",
            "http://[2001:db8::1]",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "issuer.example",
            "",
        ] {
            assert!(!is_protected(wrong), "{wrong}");
        }
    }
}
