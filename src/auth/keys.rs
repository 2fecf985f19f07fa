//! The public keys of an issuer: fetched, cached and refreshed.

use super::{error::AuthError, signing::is_strong};
use crate::{clock::SharedClock, telemetry::trace_context};
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

/// The shortest time between two attempts to fetch keys.
const BETWEEN_ATTEMPTS: SignedDuration = SignedDuration::from_secs(30);
/// How long cached keys stay valid while their issuer cannot be reached.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
/// The largest document of an issuer, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The location of an issuer's keys.
#[derive(Debug)]
pub(super) enum JwksSource {
    /// The URL of the key set.
    Keys(reqwest::Url),
    /// The URL in a discovery document below the issuer's own URL.
    Discovery {
        /// The issuer that the document must name.
        issuer: String,
        /// The URL of the document.
        document: reqwest::Url,
    },
}

/// Cached keys, and when they were fetched.
#[derive(Default)]
struct CachedKeys {
    keys: KeySet,
    fetched_at: Option<Timestamp>,
}

/// The last attempt to fetch keys.
#[derive(Default)]
struct Attempt {
    at: Option<Timestamp>,
    failed: bool,
}

/// The cached keys of an issuer.
pub(super) struct Keys {
    issuer: String,
    source: JwksSource,
    client: reqwest::Client,
    clock: SharedClock,
    refresh: SignedDuration,
    created_at: Timestamp,
    cached: ArcSwap<CachedKeys>,
    /// The task that holds the lock fetches the keys.
    last_attempt: Arc<Mutex<Attempt>>,
}

impl Keys {
    /// Creates an empty cache.
    pub(super) fn new(
        issuer: String,
        source: JwksSource,
        client: reqwest::Client,
        clock: SharedClock,
        refresh: SignedDuration,
    ) -> Self {
        let created_at = clock.now();
        Self {
            issuer,
            source,
            client,
            clock,
            refresh,
            created_at,
            cached: ArcSwap::default(),
            last_attempt: Arc::default(),
        }
    }

    /// Returns the key that a token's header names, fetching keys if necessary.
    pub(super) async fn find(self: &Arc<Self>, header: &Header) -> Result<DecodingKey, AuthError> {
        if let Some(key) = self.fresh(header) {
            return Ok(key);
        }
        let has_failed = self.renew().await;
        let cached = self.cached.load();
        if !cached.is_younger_than(MAX_AGE, self.clock.now()) {
            return Err(AuthError::Unreachable);
        }
        // An unknown key may be a new one. While the issuer does not answer, this cannot be decided.
        cached.keys.find(header).ok_or(if has_failed { AuthError::Unreachable } else { AuthError::NotAccepted })
    }

    /// Fetches the keys if they are due.
    pub(super) async fn keep_fresh(self: &Arc<Self>) {
        if !self.cached.load().is_younger_than(self.refresh, self.clock.now()) {
            // A failure was logged.
            let _ = self.renew().await;
        }
    }

    /// Fetches the keys without caching them, and returns their number or the error.
    pub(super) async fn probe(&self) -> Result<usize, String> {
        let keys = self.fetch().await.map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        Ok(keys.0.len())
    }

    /// Returns when the cached keys were fetched. If none ever were, no token is accepted, as with keys that have just expired.
    pub(super) fn since(&self) -> Timestamp {
        let never = || self.created_at.checked_sub(MAX_AGE).unwrap_or(Timestamp::MIN);
        self.cached.load().fetched_at.unwrap_or_else(never)
    }

    fn fresh(&self, header: &Header) -> Option<DecodingKey> {
        let cached = self.cached.load();
        if cached.is_younger_than(self.refresh, self.clock.now()) { cached.keys.find(header) } else { None }
    }

    /// Fetches the keys unless the last attempt was very recent. Returns true if the last attempt failed.
    async fn renew(self: &Arc<Self>) -> bool {
        let mut attempt = Arc::clone(&self.last_attempt).lock_owned().await;
        let now = self.clock.now();
        if attempt.at.is_some_and(|at| is_within(BETWEEN_ATTEMPTS, at, now)) {
            return attempt.failed;
        }
        *attempt = Attempt { at: Some(now), failed: true };
        // In its own task, so that a client that disconnects does not cancel the attempt.
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.attempt(attempt, now).await }.in_current_span()).await.unwrap_or(true)
    }

    async fn attempt(&self, mut attempt: OwnedMutexGuard<Attempt>, now: Timestamp) -> bool {
        match self.fetch().await {
            Ok(keys) => {
                self.cached.store(Arc::new(CachedKeys { keys, fetched_at: Some(now) }));
                attempt.failed = false;
            }
            Err(error) => {
                tracing::warn!(
                    issuer = %self.issuer,
                    error = &error as &dyn std::error::Error,
                    "fetching issuer keys failed"
                );
            }
        }
        attempt.failed
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let source = match &self.source {
            JwksSource::Keys(source) => source.clone(),
            JwksSource::Discovery { issuer, document } => {
                let discovered: Discovered = self.get(document).await?;
                if discovered.issuer != *issuer {
                    return Err(FetchError::OtherIssuer(discovered.issuer));
                }
                let is_safe = crate::config::is_protected(&discovered.jwks_uri);
                let source: Option<reqwest::Url> = discovered.jwks_uri.parse().ok();
                // A document that was fetched over https must not redirect to plain http on this machine.
                let source =
                    source.filter(|source| is_safe && (source.scheme() == "https" || document.scheme() == "http"));
                source.ok_or(FetchError::Address(discovered.jwks_uri))?
            }
        };
        self.get(&source).await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, source: &reqwest::Url) -> Result<T, FetchError> {
        let mut request = self.client.get(source.clone());
        for (name, value) in trace_context().unwrap_or_default().headers() {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(FetchError::Http)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Http)? {
            content.extend_from_slice(&chunk);
            if content.len() > MAX_BYTES {
                return Err(FetchError::TooLarge);
            }
        }
        serde_json::from_slice(&content).map_err(FetchError::Shape)
    }
}

/// Errors of fetching keys.
#[derive(Debug, Error)]
enum FetchError {
    #[error("no response")]
    Http(#[source] reqwest::Error),
    #[error("the response has status {0}, expected 200; redirects are not followed")]
    Status(u16),
    #[error("the response is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the response is not the expected JSON document")]
    Shape(#[source] serde_json::Error),
    #[error("the discovery document names another issuer: {0:?}")]
    OtherIssuer(String),
    #[error("the discovery document names keys at {0:?}, which is not an allowed URL")]
    Address(String),
}

/// The fields read from a discovery document (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

/// The keys of a JWK set (RFC 7517, section 5) that can verify signatures. Other keys are ignored, as the RFC requires.
#[derive(Default, Deserialize)]
#[serde(from = "PublishedKeys")]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Deserialize)]
struct PublishedKeys {
    keys: Vec<Value>,
}

impl From<PublishedKeys> for KeySet {
    fn from(published: PublishedKeys) -> Self {
        Self(published.keys.into_iter().filter_map(Key::from_jwk).collect())
    }
}

impl CachedKeys {
    fn is_younger_than(&self, age: SignedDuration, now: Timestamp) -> bool {
        self.fetched_at.is_some_and(|at| is_within(age, at, now))
    }
}

impl KeySet {
    /// Returns the key with the header's `kid`; without a `kid`, the only key with a suitable algorithm.
    pub(super) fn find(&self, header: &Header) -> Option<DecodingKey> {
        let mut suitable = self.0.iter().filter(|key| key.algorithms.contains(&header.alg));
        if let Some(kid) = &header.kid {
            return suitable.find(|key| key.kid.as_ref() == Some(kid)).map(|key| key.public.clone());
        }
        match (suitable.next(), suitable.next()) {
            (Some(only), None) => Some(only.public.clone()),
            _ => None,
        }
    }

    /// Verifies a signature with every key and each of its algorithms. For the fuzz targets.
    pub(crate) fn verify_with_each(&self, message: &[u8], signature: &str) -> Vec<(Algorithm, bool)> {
        let with = |key: &Key, algorithm| {
            jsonwebtoken::crypto::verify(signature, message, &key.public, algorithm).is_ok_and(|is_good| is_good)
        };
        self.0
            .iter()
            .flat_map(|key| key.algorithms.iter().map(|algorithm| (*algorithm, with(key, *algorithm))))
            .collect()
    }
}

/// Returns true if `then` is less than `span` ago. A future time, left by a clock that was set back, counts as long ago.
fn is_within(span: SignedDuration, then: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(then);
    !age.is_negative() && age < span
}

/// A key that verifies signatures.
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

impl Key {
    fn from_jwk(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let can_verify = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
            && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !can_verify {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        let algorithms = possible_algorithms(&jwk, &public)?.iter().copied();
        let stated = jwk.common.key_algorithm;
        let algorithms =
            algorithms.filter(|algorithm| stated.is_none_or(|stated| stated == KeyAlgorithm::from(*algorithm)));
        Some(Self { kid: jwk.common.key_id, algorithms: algorithms.collect(), public })
    }
}

/// The accepted sizes of an RSA modulus, in bytes: 2048 to 4096 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// Returns the algorithms that a key of its type supports; `None` for a key of the wrong length or a shared secret.
fn possible_algorithms(jwk: &Jwk, public: &DecodingKey) -> Option<&'static [Algorithm]> {
    use jsonwebtoken::jwk::AlgorithmParameters as Parameters;
    let bytes = public.try_get_as_bytes().unwrap_or_default();
    let is_long = |length: usize| bytes.len() == length;
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
        (Parameters::OctetKeyPair(key), _) if key.curve == EllipticCurve::Ed25519 && is_strong(bytes) => {
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
        Key::from_jwk(jwk).map_or_else(Vec::new, |key| key.algorithms)
    }

    /// Encodes `count` non-zero bytes in base64url.
    fn bytes(count: usize) -> String {
        // Four characters encode three bytes; two and three characters encode one and two.
        "_".repeat(count / 3 * 4) + ["", "_w", "__8"][count % 3]
    }

    fn with(mut jwk: Value, field: &str, value: Value) -> Value {
        jwk[field] = value;
        jwk
    }

    #[test]
    fn key_algorithms_follow_type_and_stated_use() {
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
            // A key that is too short makes the verifying library panic.
            with(ed.clone(), "x", json!(bytes(31))),
            with(ed.clone(), "x", json!(bytes(33))),
            with(ed.clone(), "x", json!("")),
            // Of small order: anyone can forge signatures with it.
            with(ed.clone(), "x", json!("A".repeat(43))),
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
    fn a_future_time_is_not_recent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let within = |then, now| is_within(SignedDuration::from_secs(30), at(then), at(now));
        assert!(within(100, 100) && within(100, 129) && !within(100, 130) && !within(101, 100));
    }
}
