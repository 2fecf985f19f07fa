//! Tokens of issuers that we trust: identity providers and CI systems.

use super::{
    claims::{Claims, Rule, claim, grants},
    error::{AuthError, IssuerError},
    grant::Identity,
    keys::{Keys, Place},
};
use crate::{
    clock::SharedClock,
    config::{AuthSettings, IssuerSettings, is_loopback},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{
    Algorithm, Validation, dangerous::insecure_decode_claims, decode, decode_header, errors::ErrorKind,
};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long an issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of what says who shows a token.
const MOST_ACTOR_BYTES: usize = 512;

/// Whom a token says it is of, which proves nothing yet.
pub(super) fn named_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    insecure_decode_claims::<Named>(token).ok().map(|named| named.iss)
}

/// All issuers whose tokens are taken, by what their tokens say in `iss`.
pub struct Issuers(BTreeMap<String, Issuer>);

/// One of them.
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
    /// Those of validated settings. Nobody is asked yet.
    ///
    /// # Errors
    /// A role or a pattern is none; the error names the setting.
    pub fn of(settings: &AuthSettings, clock: &SharedClock) -> Result<Self, IssuerError> {
        let issuers = settings.issuers.iter().enumerate().map(|(nth, issuer)| {
            let built = Issuer::of(issuer, &format!("auth.issuers[{nth}]"), clock)?;
            Ok((issuer.issuer.clone(), built))
        });
        Ok(Self(issuers.collect::<Result<_, _>>()?))
    }

    /// Who shows this token? None if it is of none of these issuers.
    ///
    /// # Errors
    /// It is forged, not good now, or meant for somebody else, or the keys of its issuer cannot be had.
    pub async fn check(&self, token: &str) -> Result<Option<Identity>, AuthError> {
        let Some(name) = named_issuer(token) else { return Ok(None) };
        match self.0.get(&name) {
            Some(issuer) => issuer.check(&name, token).await.map(Some),
            None => Ok(None),
        }
    }

    /// Fetches keys that are due: whoever shows a token then need not wait, and an issuer that is away is told of in time.
    pub async fn keep_fresh(&self) {
        for issuer in self.0.values() {
            issuer.keys.keep_fresh().await;
        }
    }

    /// Asks each issuer for its keys: how many there are, or why they cannot be had.
    pub async fn probe(&self) -> Vec<(String, Result<usize, String>)> {
        let probe = |(name, issuer): (&String, &Issuer)| {
            let (name, keys) = (name.clone(), Arc::clone(&issuer.keys));
            async move { (name, keys.probe().await) }
        };
        futures_util::future::join_all(self.0.iter().map(probe)).await
    }

    /// When the keys of each issuer were fetched; where they never were, as if that had been too long ago.
    pub fn keys_since(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.0.iter().map(|(name, issuer)| (name.as_str(), issuer.keys.since()))
    }
}

impl Issuer {
    fn of(settings: &IssuerSettings, setting: &str, clock: &SharedClock) -> Result<Self, IssuerError> {
        let rules = settings.rules.iter().enumerate();
        let rules = rules.map(|(nth, rule)| Rule::of(rule, &format!("{setting}.rules[{nth}]")));
        let (field, address) = match &settings.jwks_url {
            Some(url) => ("jwks_url", url.clone()),
            None => ("issuer", format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'))),
        };
        let address: reqwest::Url =
            address.parse().map_err(|_| IssuerError::Address { setting: format!("{setting}.{field}") })?;
        let client = client(is_loopback(&address)).map_err(IssuerError::Client)?;
        let place = match settings.jwks_url {
            Some(_) => Place::Keys(address),
            None => Place::Discovery { issuer: settings.issuer.clone(), document: address },
        };
        let keys = Keys::of(settings.issuer.clone(), place, client, Arc::clone(clock), settings.refresh);
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
        let header = decode_header(token).map_err(|_| AuthError::Foreign)?;
        // What is critical has to be understood (RFC 7515, section 4.1.11), and we understand nothing of it.
        if !self.algorithms.contains(&header.alg) || header.crit.is_some() {
            return Err(AuthError::Foreign);
        }
        let key = self.keys.find(&header).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[name]);
        validation.set_audience(&self.audiences);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Times are judged by our own clock, below.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &key, &validation).map_err(|error| refusal(&error))?.claims;
        self.judge_times(&claims)?;
        let actor = claim(&claims, &self.actor_claim).and_then(Value::as_str).filter(|actor| can_be_recorded(actor));
        let actor = actor.ok_or(AuthError::Nameless)?;
        Ok(Identity { actor: format!("{name}:{actor}"), grants: grants(&self.rules, &claims) })
    }

    /// Is it good now (RFC 7519, sections 4.1.4 and 4.1.5)?
    fn judge_times(&self, claims: &Claims) -> Result<(), AuthError> {
        let now = self.clock.now();
        let end = claims.get("exp").and_then(time).ok_or(AuthError::Foreign)?;
        if now.duration_since(end) >= self.leeway {
            return Err(AuthError::Expired);
        }
        match claims.get("nbf").map(|start| time(start).ok_or(AuthError::Foreign)).transpose()? {
            Some(start) if start.duration_since(now) > self.leeway => Err(AuthError::NotYet),
            _ => Ok(()),
        }
    }
}

/// Asks issuers. Redirects are not followed, as they could lead to where nobody vouches for the answer.
fn client(is_on_this_machine: bool) -> reqwest::Result<reqwest::Client> {
    // A provider chosen before stays; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if is_on_this_machine { client.no_proxy().build() } else { client.build() }
}

/// What somebody is told whose token does not pass: no more than they can mend.
fn refusal(error: &jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::Audience,
        _ => AuthError::Foreign,
    }
}

/// A time in seconds since 1970, which need not be whole (RFC 7519, section 2).
fn time(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return Timestamp::from_second(seconds).ok();
    }
    let since = SignedDuration::try_from_secs_f64(value.as_f64()?).ok()?;
    Timestamp::from_duration(since).ok()
}

fn can_be_recorded(actor: &str) -> bool {
    !actor.trim().is_empty() && actor.len() <= MOST_ACTOR_BYTES && !actor.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_seconds_and_parts_of_them() {
        let second = |value: Value| time(&value).map(Timestamp::as_millisecond);
        assert_eq!(second(json!(1_790_000_000)), Some(1_790_000_000_000));
        assert_eq!(second(json!(1_790_000_000.5)), Some(1_790_000_000_500));
        for wrong in [json!("1790000000"), json!(1e300), json!(u64::MAX), Value::Null, json!([1])] {
            assert_eq!(second(wrong), None);
        }
    }

    #[test]
    fn an_actor_is_one_line() {
        assert!(can_be_recorded("repo:example/os:ref:refs/heads/main"));
        for wrong in ["", " ", "a\nb", "a\u{0}", "a\u{1b}[0m", &"a".repeat(513)] {
            assert!(!can_be_recorded(wrong), "{wrong:?}");
        }
    }
}
