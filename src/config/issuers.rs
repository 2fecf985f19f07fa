//! `[[auth.issuers]]`

use super::error::ConfigError;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// Somebody else whose tokens are taken: an identity provider, or a CI system.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// What their tokens say in `iss`, to the letter.
    pub issuer: String,
    /// Where their keys are; without it, what `{issuer}/.well-known/openid-configuration` names (`OpenID` Connect Discovery 1.0).
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// A token has to be meant for one of these (`aud`).
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The algorithms that a token may be signed with; those with a shared secret are refused.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// The claim, or the dotted path to it, that says who shows the token.
    #[serde(default = "subject")]
    pub actor_claim: String,
    /// How far their clock may be from ours, at most 5 minutes.
    #[serde(default = "usual_leeway")]
    pub leeway: SignedDuration,
    /// How long their keys are kept before they are fetched again, 30 seconds to 24 hours.
    #[serde(default = "usual_refresh")]
    pub refresh: SignedDuration,
    /// What their tokens may do; a token gets the roles of all rules that it fits.
    #[serde(default)]
    pub rules: Vec<RuleSettings>,
}

/// Grants a role to tokens that claim certain things.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// What a token has to claim, all of it, by name or dotted path. A wanted value fits a string that equals it and an array
    /// that contains it; one that ends in `*` fits strings that begin with what precedes the `*`, and no arrays.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// The role: viewer, publisher, manager or admin.
    pub role: String,
    /// The streams: `fedora-coreos/stable`, `fedora-coreos/*` or `*`.
    pub on: String,
}

fn usual_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn subject() -> String {
    "sub".into()
}

const fn usual_leeway() -> SignedDuration {
    SignedDuration::from_secs(30)
}

const fn usual_refresh() -> SignedDuration {
    SignedDuration::from_mins(10)
}

const MOST_LEEWAY: SignedDuration = SignedDuration::from_mins(5);
const LEAST_REFRESH: SignedDuration = SignedDuration::from_secs(30);
const MOST_REFRESH: SignedDuration = SignedDuration::from_hours(24);
/// What tokens of our own say in `iss`.
const OURS: &str = "lockkeeper";

impl IssuerSettings {
    /// Checks it as the one that stands at this place, from 0.
    pub(super) fn validate(&self, place: usize) -> Result<(), ConfigError> {
        let wrong =
            |field: &str, problem: &str| Err(ConfigError::value(&format!("auth.issuers[{place}].{field}"), problem));
        if self.issuer.is_empty() || self.issuer == OURS {
            return wrong("issuer", "has to name somebody else");
        }
        match &self.jwks_url {
            Some(url) if !is_protected(url) => return wrong("jwks_url", NOT_PROTECTED),
            None if !is_protected(&self.issuer) => return wrong("issuer", NOT_PROTECTED),
            _ => {}
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong("audiences", "has to name at least one audience, and none that is empty");
        }
        if self.algorithms.is_empty() {
            return wrong("algorithms", "has to name at least one algorithm");
        }
        if let Some(shared) = self.algorithms.iter().find(|algorithm| algorithm.family() == AlgorithmFamily::Hmac) {
            return wrong("algorithms", &format!("names {shared:?}, which signs with a shared secret"));
        }
        if self.actor_claim.is_empty() {
            return wrong("actor_claim", "has to name a claim");
        }
        if self.leeway.is_negative() || self.leeway > MOST_LEEWAY {
            return wrong("leeway", "has to lie between 0s and 5m");
        }
        if self.refresh < LEAST_REFRESH || self.refresh > MOST_REFRESH {
            return wrong("refresh", "has to lie between 30s and 24h");
        }
        if self.rules.is_empty() {
            return wrong("rules", "has to hold at least one rule; without any, no token may do anything");
        }
        for (nth, rule) in self.rules.iter().enumerate() {
            if rule.claims.is_empty() {
                return wrong(&format!("rules[{nth}].claims"), "has to want at least one claim");
            }
            if rule.claims.iter().any(|(name, wanted)| name.is_empty() || wanted.is_empty()) {
                return wrong(&format!("rules[{nth}].claims"), "has an empty name or value");
            }
        }
        Ok(())
    }
}

const NOT_PROTECTED: &str = "has to be an https:// address; http:// is for loopback alone";

/// Is this an address at which nobody between can put words into another's mouth: https, or http on this machine?
#[must_use]
pub fn is_protected(address: &str) -> bool {
    let Ok(url) = address.parse::<Url>() else { return false };
    match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => is_loopback(&url),
        _ => false,
    }
}

/// Is the host this machine, by its name or address?
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
    fn only_this_machine_is_asked_without_protection() {
        for good in [
            "https://issuer.example",
            "http://127.0.0.1:1/x",
            "http://127.9.9.9",
            "http://[::1]:80",
            "http://localhost",
        ] {
            assert!(is_protected(good), "{good}");
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
