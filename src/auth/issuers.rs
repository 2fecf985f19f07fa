//! Tokens of trusted external issuers: identity providers and CI systems.

use super::{
    claims::{Claims, Rule, claim, grants},
    error::{AuthError, IssuerError},
    grant::Identity,
    keys::{JwksSource, KeySet, Keys},
};
use crate::{
    clock::SharedClock,
    config::{AuthSettings, IssuerSettings, is_loopback},
    domain::actor::{Actor, is_display_name},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, dangerous::insecure_decode_claims, decode, decode_header,
    errors::ErrorKind,
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long an issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest actor claim, in bytes.
const MAX_ACTOR_BYTES: usize = 512;

/// Returns the `iss` claim of a token, unverified.
pub(crate) fn named_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct IssuerClaim {
        iss: String,
    }
    insecure_decode_claims::<IssuerClaim>(token).ok().map(|claim| claim.iss)
}

/// The accepted issuers, by the `iss` claim of their tokens.
pub struct Issuers(BTreeMap<String, Issuer>);

/// An accepted issuer.
struct Issuer {
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    actor_claim: String,
    leeway: SignedDuration,
    rules: Vec<Rule>,
    keys: Arc<Keys>,
    clock: SharedClock,
}

impl Issuers {
    /// Creates the issuers of validated settings. It sends no request yet.
    ///
    /// # Errors
    /// A role, pattern or address is invalid; the error names the setting.
    pub fn new(settings: &AuthSettings, clock: &SharedClock) -> Result<Self, IssuerError> {
        let issuers = settings.issuers.iter().enumerate().map(|(nth, issuer)| {
            let built = Issuer::new(issuer, &format!("auth.issuers[{nth}]"), clock)?;
            Ok((issuer.issuer.clone(), built))
        });
        Ok(Self(issuers.collect::<Result<_, _>>()?))
    }

    /// Returns the identity that a token proves, or `None` if none of these issuers issued it.
    ///
    /// # Errors
    /// The token is forged, not valid now, or for another audience, or the keys of its issuer are unavailable.
    pub async fn check(&self, token: &str) -> Result<Option<Identity>, AuthError> {
        let Some(name) = named_issuer(token) else { return Ok(None) };
        match self.0.get(&name) {
            Some(issuer) => issuer.check(&name, token).await.map(Some),
            None => Ok(None),
        }
    }

    /// Checks a token as [`check`](Self::check) does, with these keys instead of fetched ones. For the fuzz targets.
    pub(crate) fn check_with(&self, token: &str, keys: &KeySet) -> Result<Option<Identity>, AuthError> {
        let Some((name, issuer)) = named_issuer(token).and_then(|name| self.0.get_key_value(&name)) else {
            return Ok(None);
        };
        let header = issuer.header(token)?;
        let key = keys.find(&header).ok_or(AuthError::NotAccepted)?;
        issuer.validate(name, token, &header, &key).map(Some)
    }

    /// Fetches keys that are due. Clients then need not wait for a fetch, and an unavailable issuer is reported early.
    pub async fn keep_fresh(&self) {
        for issuer in self.0.values() {
            issuer.keys.keep_fresh().await;
        }
    }

    /// Fetches the keys of each issuer, and returns their number or the error.
    pub async fn probe(&self) -> Vec<(String, Result<usize, String>)> {
        let probe = |(name, issuer): (&String, &Issuer)| {
            let (name, keys) = (name.clone(), Arc::clone(&issuer.keys));
            async move { (name, keys.probe().await) }
        };
        futures_util::future::join_all(self.0.iter().map(probe)).await
    }

    /// Returns when the keys of each issuer were fetched. Keys that were never fetched count as just expired.
    pub fn keys_since(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.0.iter().map(|(name, issuer)| (name.as_str(), issuer.keys.since()))
    }
}

impl Issuer {
    fn new(settings: &IssuerSettings, setting: &str, clock: &SharedClock) -> Result<Self, IssuerError> {
        let rules = settings.rules.iter().enumerate();
        let rules = rules.map(|(nth, rule)| Rule::new(rule, &format!("{setting}.rules[{nth}]")));
        let (field, address) = match &settings.jwks_url {
            Some(url) => ("jwks_url", url.clone()),
            None => ("issuer", format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'))),
        };
        let address: reqwest::Url =
            address.parse().map_err(|_| IssuerError::Address { setting: format!("{setting}.{field}") })?;
        let client = client(is_loopback(&address)).map_err(IssuerError::Client)?;
        let source = match settings.jwks_url {
            Some(_) => JwksSource::Keys(address),
            None => JwksSource::Discovery { issuer: settings.issuer.clone(), document: address },
        };
        let keys = Keys::new(settings.issuer.clone(), source, client, Arc::clone(clock), settings.refresh);
        Ok(Self {
            audiences: settings.audiences.clone(),
            algorithms: settings.algorithms.clone(),
            actor_claim: settings.actor_claim.clone(),
            leeway: settings.leeway,
            rules: rules.collect::<Result<_, _>>()?,
            keys: Arc::new(keys),
            clock: Arc::clone(clock),
        })
    }

    async fn check(&self, name: &str, token: &str) -> Result<Identity, AuthError> {
        let header = self.header(token)?;
        let key = self.keys.find(&header).await?;
        self.validate(name, token, &header, &key)
    }

    fn header(&self, token: &str) -> Result<Header, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::NotAccepted)?;
        // Critical extensions must be understood (RFC 7515, section 4.1.11), and none is supported.
        if !self.algorithms.contains(&header.alg) || header.crit.is_some() {
            return Err(AuthError::NotAccepted);
        }
        Ok(header)
    }

    /// Validates a token that must be signed with this key, and returns its identity.
    fn validate(&self, name: &str, token: &str, header: &Header, key: &DecodingKey) -> Result<Identity, AuthError> {
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[name]);
        validation.set_audience(&self.audiences);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Times are checked below, against the injected clock.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, key, &validation).map_err(|error| auth_error(&error))?.claims;
        let expires_at = self.check_times(&claims)?;
        let actor = claim(&claims, &self.actor_claim).and_then(Value::as_str).filter(|actor| is_valid_actor(actor));
        let actor = actor.ok_or(AuthError::NoActor)?;
        let actor = Actor { id: format!("{name}:{actor}"), name: actor.into() };
        Ok(Identity { actor, grants: grants(&self.rules, &claims), expires_at: Some(expires_at) })
    }

    /// Checks that the token is valid now (RFC 7519, sections 4.1.4 and 4.1.5). Returns when it expires.
    fn check_times(&self, claims: &Claims) -> Result<Timestamp, AuthError> {
        let now = self.clock.now();
        let end = claims.get("exp").and_then(parse_time).ok_or(AuthError::NotAccepted)?;
        if now.duration_since(end) >= self.leeway {
            return Err(AuthError::Expired);
        }
        match claims.get("nbf").map(|start| parse_time(start).ok_or(AuthError::NotAccepted)).transpose()? {
            Some(start) if start.duration_since(now) > self.leeway => Err(AuthError::NotYet),
            _ => Ok(end),
        }
    }
}

/// Creates the HTTP client for an issuer. It follows no redirects, which could lead to a host that is not trusted.
fn client(is_loopback: bool) -> reqwest::Result<reqwest::Client> {
    // Fails if a provider is installed already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback { client.no_proxy().build() } else { client.build() }
}

/// Returns the error for a client whose token fails validation. It reveals only what the client can fix.
fn auth_error(error: &jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::Audience,
        _ => AuthError::NotAccepted,
    }
}

/// Parses a time in seconds since 1970, possibly with a fraction (RFC 7519, section 2).
fn parse_time(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return Timestamp::from_second(seconds).ok();
    }
    let since = SignedDuration::try_from_secs_f64(value.as_f64()?).ok()?;
    Timestamp::from_duration(since).ok()
}

fn is_valid_actor(actor: &str) -> bool {
    actor.len() <= MAX_ACTOR_BYTES && is_display_name(actor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_seconds_with_optional_fractions() {
        let second = |value: Value| parse_time(&value).map(Timestamp::as_millisecond);
        assert_eq!(second(json!(1_790_000_000)), Some(1_790_000_000_000));
        assert_eq!(second(json!(1_790_000_000.5)), Some(1_790_000_000_500));
        for wrong in [json!("1790000000"), json!(1e300), json!(u64::MAX), Value::Null, json!([1])] {
            assert_eq!(second(wrong), None);
        }
    }

    #[test]
    fn an_actor_is_a_single_printable_line() {
        assert!(is_valid_actor("repo:example/os:ref:refs/heads/main"));
        for wrong in ["", " ", "a\nb", "a\u{0}", "a\u{1b}[0m", "a\u{202e}b", &"a".repeat(513)] {
            assert!(!is_valid_actor(wrong), "{wrong:?}");
        }
    }
}
