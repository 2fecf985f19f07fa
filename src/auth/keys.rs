//! The public keys of an issuer: fetched, kept, fetched again.

use super::error::AuthError;
use crate::{clock::SharedClock, telemetry::carried};
use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, Header,
    jwk::{EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::Instrument;

/// How long after one attempt to fetch keys the next may follow.
const BETWEEN_ATTEMPTS: SignedDuration = SignedDuration::from_secs(30);
/// How long keys are good whose issuer cannot be reached.
const MOST_AGE: SignedDuration = SignedDuration::from_hours(24);
/// The most bytes that a document of an issuer may have.
const MOST_BYTES: usize = 1024 * 1024;

/// Where the keys of an issuer are.
#[derive(Debug)]
pub(super) enum Place {
    /// There.
    Keys(reqwest::Url),
    /// Where a document says that lies below the issuer's own address.
    Discovery {
        /// What the document has to say who it is of.
        issuer: String,
        /// The document.
        document: reqwest::Url,
    },
}

/// Keys, and when they were fetched.
#[derive(Default)]
struct Kept {
    keys: Vec<Key>,
    fetched_at: Option<Timestamp>,
}

/// The last attempt to fetch keys.
#[derive(Default)]
struct Attempt {
    at: Option<Timestamp>,
    failed: bool,
}

/// The keys of an issuer.
pub(super) struct Keys {
    issuer: String,
    place: Place,
    client: reqwest::Client,
    clock: SharedClock,
    refresh: SignedDuration,
    wanted_since: Timestamp,
    kept: ArcSwap<Kept>,
    /// Whoever holds it is the one that fetches.
    last_attempt: Arc<Mutex<Attempt>>,
}

impl Keys {
    /// None yet.
    pub(super) fn of(
        issuer: String,
        place: Place,
        client: reqwest::Client,
        clock: SharedClock,
        refresh: SignedDuration,
    ) -> Self {
        let wanted_since = clock.now();
        Self {
            issuer,
            place,
            client,
            clock,
            refresh,
            wanted_since,
            kept: ArcSwap::default(),
            last_attempt: Arc::default(),
        }
    }

    /// The key that a token says it was signed with.
    pub(super) async fn find(self: &Arc<Self>, header: &Header) -> Result<DecodingKey, AuthError> {
        if let Some(key) = self.fresh(header) {
            return Ok(key);
        }
        let has_failed = self.renew().await;
        let kept = self.kept.load();
        if !kept.is_younger_than(MOST_AGE, self.clock.now()) {
            return Err(AuthError::Unreachable);
        }
        // A key that is not there may be a new one, which an issuer that does not answer cannot tell.
        kept.find(header).ok_or(if has_failed { AuthError::Unreachable } else { AuthError::Foreign })
    }

    /// Fetches them again, if they are due.
    pub(super) async fn keep_fresh(self: &Arc<Self>) {
        if !self.kept.load().is_younger_than(self.refresh, self.clock.now()) {
            // A failure has been told.
            let _ = self.renew().await;
        }
    }

    /// Fetches them, only to see whether that works: how many there are, or why it does not.
    pub(super) async fn probe(&self) -> Result<usize, String> {
        let keys = self.fetch().await.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        Ok(keys.len())
    }

    /// When those that are kept were fetched. Where none ever were, no token passes: as with keys that have just become too old.
    pub(super) fn since(&self) -> Timestamp {
        let never = || self.wanted_since.checked_sub(MOST_AGE).unwrap_or(Timestamp::MIN);
        self.kept.load().fetched_at.unwrap_or_else(never)
    }

    fn fresh(&self, header: &Header) -> Option<DecodingKey> {
        let kept = self.kept.load();
        if kept.is_younger_than(self.refresh, self.clock.now()) { kept.find(header) } else { None }
    }

    /// Fetches the keys, unless that was tried a moment ago. Did the last attempt fail?
    async fn renew(self: &Arc<Self>) -> bool {
        let mut attempt = Arc::clone(&self.last_attempt).lock_owned().await;
        let now = self.clock.now();
        if attempt.at.is_some_and(|at| is_within(BETWEEN_ATTEMPTS, at, now)) {
            return attempt.failed;
        }
        *attempt = Attempt { at: Some(now), failed: true };
        // On its own, so that whoever goes away meanwhile does not use the attempt up.
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.attempt(attempt, now).await }.in_current_span()).await.unwrap_or(true)
    }

    async fn attempt(&self, mut attempt: OwnedMutexGuard<Attempt>, now: Timestamp) -> bool {
        match self.fetch().await {
            Ok(keys) => {
                self.kept.store(Arc::new(Kept { keys, fetched_at: Some(now) }));
                attempt.failed = false;
            }
            Err(error) => {
                tracing::warn!(
                    issuer = %self.issuer,
                    error = &error as &dyn std::error::Error,
                    "the keys of an issuer cannot be fetched"
                );
            }
        }
        attempt.failed
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let place = match &self.place {
            Place::Keys(place) => place.clone(),
            Place::Discovery { issuer, document } => {
                let said: Discovered = self.get(document).await?;
                if said.issuer != *issuer {
                    return Err(FetchError::OtherIssuer(said.issuer));
                }
                let is_safe = crate::config::is_protected(&said.jwks_uri);
                let place: Option<reqwest::Url> = said.jwks_uri.parse().ok();
                // Who is asked over https does not send us to this machine without.
                let place = place.filter(|place| is_safe && (place.scheme() == "https" || document.scheme() == "http"));
                place.ok_or(FetchError::Address(said.jwks_uri))?
            }
        };
        let set: KeySet = self.get(&place).await?;
        Ok(set.keys.into_iter().filter_map(Key::of).collect())
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, place: &reqwest::Url) -> Result<T, FetchError> {
        let mut request = self.client.get(place.clone());
        for (name, value) in carried().unwrap_or_default().headers() {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(FetchError::Http)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Http)? {
            content.extend_from_slice(&chunk);
            if content.len() > MOST_BYTES {
                return Err(FetchError::TooLarge);
            }
        }
        serde_json::from_slice(&content).map_err(FetchError::Shape)
    }
}

/// Why keys were not fetched.
#[derive(Debug, Error)]
enum FetchError {
    #[error("no answer")]
    Http(#[source] reqwest::Error),
    #[error("the answer was {0}; redirects are not followed")]
    Status(u16),
    #[error("the answer is larger than {MOST_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not of the shape that it should have")]
    Shape(#[source] serde_json::Error),
    #[error("the document is of the issuer {0:?}")]
    OtherIssuer(String),
    #[error("its keys are said to be at {0:?}, which is not asked")]
    Address(String),
}

/// What is read of a discovery document (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

/// A set of keys (RFC 7517, section 5). Keys that are not understood are left out, as it says.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Kept {
    fn is_younger_than(&self, age: SignedDuration, now: Timestamp) -> bool {
        self.fetched_at.is_some_and(|at| is_within(age, at, now))
    }

    /// The key of that name; without a name, the only one that fits.
    fn find(&self, header: &Header) -> Option<DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&header.alg));
        if let Some(kid) = &header.kid {
            return fitting.find(|key| key.kid.as_ref() == Some(kid)).map(|key| key.public.clone());
        }
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(only.public.clone()),
            _ => None,
        }
    }
}

/// Is it less than so long since then? A time to come, which a clock set back leaves behind, is long ago.
fn is_within(span: SignedDuration, then: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(then);
    !age.is_negative() && age < span
}

/// A key that signatures can be checked with.
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

impl Key {
    fn of(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let is_for_checking = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_checking {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        let algorithms = possible_algorithms(&jwk, &public)?.iter().copied();
        let said = jwk.common.key_algorithm;
        let algorithms = algorithms.filter(|algorithm| said.is_none_or(|said| said == KeyAlgorithm::from(*algorithm)));
        Some(Self { kid: jwk.common.key_id, algorithms: algorithms.collect(), public })
    }
}

/// The bytes of the modulus of RSA keys that are taken: 2048 to 4096 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// What a key of its type can check; none if it is not as long as one of its type has to be. A shared secret checks nothing.
fn possible_algorithms(jwk: &Jwk, public: &DecodingKey) -> Option<&'static [Algorithm]> {
    use jsonwebtoken::jwk::AlgorithmParameters as Parameters;
    let is_long = |bytes: usize| public.try_get_as_bytes().is_ok_and(|key| key.len() == bytes);
    match (&jwk.algorithm, public.kind()) {
        (Parameters::RSA(_), DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            let significant = n.iter().skip_while(|byte| **byte == 0).count();
            RSA_BYTES.contains(&significant).then_some(&[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ])
        }
        // Uncompressed points: a byte, then two coordinates.
        (Parameters::EllipticCurve(key), _) if key.curve == EllipticCurve::P256 && is_long(65) => {
            Some(&[Algorithm::ES256])
        }
        (Parameters::EllipticCurve(key), _) if key.curve == EllipticCurve::P384 && is_long(97) => {
            Some(&[Algorithm::ES384])
        }
        (Parameters::OctetKeyPair(key), _) if key.curve == EllipticCurve::Ed25519 && is_long(32) => {
            Some(&[Algorithm::EdDSA])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::AlgorithmFamily;
    use serde_json::json;

    fn algorithms(jwk: Value) -> Vec<Algorithm> {
        Key::of(jwk).map_or_else(Vec::new, |key| key.algorithms)
    }

    /// So many bytes that are not zero.
    fn bytes(count: usize) -> String {
        // Four characters are three bytes; two and three are one and two.
        "_".repeat(count / 3 * 4) + ["", "_w", "__8"][count % 3]
    }

    fn with(mut jwk: Value, field: &str, value: Value) -> Value {
        jwk[field] = value;
        jwk
    }

    #[test]
    fn a_key_checks_what_its_type_and_its_own_word_allow() {
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": bytes(32)});
        let p256 = json!({"kty": "EC", "crv": "P-256", "x": bytes(32), "y": bytes(32)});
        let p384 = json!({"kty": "EC", "crv": "P-384", "x": bytes(48), "y": bytes(48)});
        let rsa = json!({"kty": "RSA", "n": bytes(256), "e": "AQAB"});
        assert_eq!(algorithms(ed.clone()), [Algorithm::EdDSA]);
        assert_eq!(algorithms(p256.clone()), [Algorithm::ES256]);
        assert_eq!(algorithms(p384), [Algorithm::ES384]);
        assert_eq!(algorithms(rsa.clone()), AlgorithmFamily::Rsa.algorithms());
        assert_eq!(algorithms(with(rsa.clone(), "alg", json!("PS256"))), [Algorithm::PS256]);
        assert_eq!(algorithms(with(ed.clone(), "use", json!("sig"))), [Algorithm::EdDSA]);
        for wrong in [
            with(ed.clone(), "use", json!("enc")),
            with(ed.clone(), "key_ops", json!(["sign"])),
            with(ed.clone(), "alg", json!("ES256")),
            with(ed.clone(), "alg", json!("HS256")),
            // A key that is too short makes the library that checks it panic.
            with(ed.clone(), "x", json!(bytes(31))),
            with(ed.clone(), "x", json!(bytes(33))),
            with(ed.clone(), "x", json!("")),
            with(ed, "crv", json!("P-256")),
            with(p256.clone(), "y", json!(bytes(31))),
            with(p256, "crv", json!("P-384")),
            with(rsa.clone(), "alg", json!("RSA-OAEP")),
            with(rsa.clone(), "n", json!(bytes(128))),
            with(rsa.clone(), "n", json!("A".repeat(344))),
            with(rsa, "n", json!(bytes(1024))),
            json!({"kty": "oct", "k": bytes(32)}),
            json!({"kty": "oct", "k": bytes(32), "alg": "HS256"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": bytes(32)}),
            json!("key"),
            Value::Null,
        ] {
            assert!(algorithms(wrong.clone()).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_time_to_come_is_long_ago() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let within = |then, now| is_within(SignedDuration::from_secs(30), at(then), at(now));
        assert!(within(100, 100) && within(100, 129) && !within(100, 130) && !within(101, 100));
    }
}
