//! Tokens and the keys of issuers: a token is accepted only if the right key signed it, it gets no role that it does not claim, and no
//! accepted key makes the verifying library panic.

use super::parts;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, crypto::sign, dangerous::insecure_decode_claims};
use lockkeeper::{
    auth::{Identity, Issuers, Role},
    clock::{ManualClock, SharedClock},
    config::AuthSettings,
    fuzzing::{self, KeySet},
};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};

const NOW: i64 = super::graph::NOW.0;
const ISSUER: &str = "https://issuer.example";
/// The id of the key of the service's own tokens.
const KID: &str = "0123456789abcdef";

struct KeyPair {
    public: [u8; 32],
    private: EncodingKey,
}

impl KeyPair {
    fn from_seed(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let der = key.to_pkcs8_der().expect("a key can be encoded");
        Self { public: key.verifying_key().to_bytes(), private: EncodingKey::from_ed_der(der.as_bytes()) }
    }

    fn sign(&self, message: &str) -> String {
        sign(message.as_bytes(), &self.private, Algorithm::EdDSA).expect("a message can be signed")
    }

    /// Returns true if this key signed a token. Ed25519 signatures are deterministic, so signing again produces the same signature.
    fn has_signed(&self, token: &str) -> bool {
        token.rsplit_once('.').is_some_and(|(message, signature)| self.sign(message) == signature)
    }
}

/// The keys of the tests.
struct Keys {
    own: KeyPair,
    issuer: KeyPair,
    stranger: KeyPair,
    /// The key set that the issuer publishes.
    published: KeySet,
    issuers: Issuers,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let [own, issuer, stranger] = [1, 2, 3].map(KeyPair::from_seed);
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64url(&issuer.public)}]});
    let published = KeySet::parse(set.to_string().as_bytes()).expect("a key set");
    let keys = Keys { own, issuer, stranger, published, issuers: issuers() };
    check_valid_tokens(&keys);
    keys
});

fn issuers() -> Issuers {
    let settings: AuthSettings = serde_json::from_value(json!({
        "signing_key_file": null, "max_token_lifetime": "PT1H",
        "issuers": [{
            "issuer": ISSUER, "jwks_url": "http://127.0.0.1:9/", "audiences": ["lockkeeper"],
            "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
            "rules": [{"claims": {"role": "admin"}, "role": "admin", "streams": "*"},
                      {"claims": {"ref": "refs/tags/*"}, "role": "publisher", "streams": "fedora-coreos/*"}],
        }],
    }))
    .expect("settings");
    let clock: SharedClock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).expect("a time")));
    Issuers::new(&settings, &clock).expect("issuers")
}

/// Checks that valid tokens are accepted. Without that, the other checks would be meaningless.
fn check_valid_tokens(keys: &Keys) {
    let claims =
        json!({"iss": "lockkeeper", "aud": "i", "sub": "n", "jti": "0".repeat(64), "iat": NOW, "exp": NOW + 9});
    let message = message(json!({"alg": "EdDSA", "kid": KID}).to_string().as_bytes(), claims.to_string().as_bytes());
    let token = format!("{message}.{}", keys.own.sign(&message));
    assert_eq!(fuzzing::key_id(&token).as_deref(), Some(KID));
    assert!(fuzzing::own_claims(&token, &keys.own.public).is_some(), "a valid token is accepted");
    let claims = json!({"iss": ISSUER, "aud": "lockkeeper", "sub": "n", "exp": NOW + 9, "role": "admin"});
    let message = self::message(br#"{"alg":"EdDSA"}"#, claims.to_string().as_bytes());
    let token = format!("{message}.{}", keys.issuer.sign(&message));
    let identity =
        keys.published.check(&keys.issuers, &token).expect("a valid token is accepted").expect("of an issuer");
    assert!(identity.has_anywhere(Role::Admin));
}

/// Checks a token. The first line selects the signer of the header and the claims, which are the second and third line: `own`, `issuer`,
/// `stranger`, `hmac` (with the public keys as secrets) or `none`. With any other first line the input is the token itself.
pub fn check_token(input: &[u8]) {
    let keys = &*KEYS;
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let [signer, header, claims] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let message = message(header, claims);
    let hmac = |key: &KeyPair| {
        let secret = EncodingKey::from_secret(&key.public);
        sign(message.as_bytes(), &secret, Algorithm::HS256).expect("a message can be signed")
    };
    let signatures = match signer {
        b"own" => vec![keys.own.sign(&message)],
        b"issuer" => vec![keys.issuer.sign(&message)],
        b"stranger" => vec![keys.stranger.sign(&message)],
        b"hmac" => vec![hmac(&keys.own), hmac(&keys.issuer)],
        b"none" => vec![String::new()],
        _ => {
            check_any(keys, &String::from_utf8_lossy(input));
            return;
        }
    };
    for signature in signatures {
        let accepted = check_any(keys, &format!("{message}.{signature}"));
        assert!(!accepted || matches!(signer, b"own" | b"issuer"), "a token without a trusted signature is accepted");
    }
}

/// Checks a token, and returns true if it is accepted.
fn check_any(keys: &Keys, token: &str) -> bool {
    let named = fuzzing::named_issuer(token);
    let own = fuzzing::own_claims(token, &keys.own.public).filter(|_| fuzzing::key_id(token).as_deref() == Some(KID));
    if let Some(claims) = &own {
        assert!(keys.own.has_signed(token), "the service did not sign this");
        assert_eq!(claims["iss"], "lockkeeper");
        assert_eq!(claims["jti"].as_str().map(str::len), Some(64));
    }
    let others = keys.published.check(&keys.issuers, token);
    if let Ok(Some(identity)) = &others {
        assert!(keys.issuer.has_signed(token), "the issuer did not sign this");
        assert_eq!(named.as_deref(), Some(ISSUER));
        check_identity(token, identity);
    }
    assert!(own.is_none() || named.as_deref() == Some("lockkeeper"), "a token of the service names another issuer");
    own.is_some() || matches!(others, Ok(Some(_)))
}

fn check_identity(token: &str, identity: &Identity) {
    let claims: Map<String, Value> = insecure_decode_claims(token).expect("an accepted token has claims");
    let claims = Value::Object(claims);
    let has = |value: &Value, wanted: &str| match value {
        Value::Array(items) => items.iter().any(|item| item == wanted),
        value => value == wanted,
    };
    assert!(has(&claims["aud"], "lockkeeper"), "{claims}");
    let now = f64::from(u32::try_from(NOW).expect("a time in this century"));
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > now - 31.0), "{claims}");
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf < now + 31.0)), "{claims}");
    assert!(!identity.has_anywhere(Role::Admin) || has(&claims["role"], "admin"), "{claims}");
    let is_tag = claims["ref"].as_str().is_some_and(|name| name.starts_with("refs/tags/"));
    assert!(identity.grants.is_empty() || has(&claims["role"], "admin") || is_tag, "{claims}");
    assert!(identity.actor.id.starts_with(ISSUER) && !identity.actor.name.is_empty(), "{identity:?}");
}

/// Checks a key set with a token of any signature. The parts are key set, header, claims and signature.
pub fn check_key_set(input: &[u8]) {
    let [set, header, claims, signature] = parts(input);
    let Some(set) = KeySet::parse(set) else { return };
    let message = message(header, claims);
    let signature = String::from_utf8_lossy(signature);
    let checked = set.verify_with_each(message.as_bytes(), &signature);
    for (algorithm, is_valid) in &checked {
        assert!(algorithm.family() != AlgorithmFamily::Hmac, "a published key is used as a shared secret");
        assert!(!is_valid || !signature.is_empty(), "an empty signature is valid");
    }
    let accepted = matches!(set.check(&KEYS.issuers, &format!("{message}.{signature}")), Ok(Some(_)));
    assert!(!accepted || checked.iter().any(|(_, is_valid)| *is_valid), "no key verifies this");
}

fn message(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", base64url(header), base64url(claims))
}

/// Encodes bytes as base64url without padding (RFC 7515, section 2).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        text.extend((0..=chunk.len()).map(|nth| char::from(ALPHABET[bits >> (18 - 6 * nth) & 63])));
    }
    text
}
