//! Token issuers: HTTP servers with their own keys, which count requests for the keys.

use axum::{Json, Router, extract::State, http::StatusCode, response::Redirect, routing::get};
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use lockkeeper::config::IssuerSettings;
use rsa::{pkcs1::EncodeRsaPrivateKey, pkcs8::EncodePublicKey};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock};

/// A signing key of an issuer.
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) private: EncodingKey,
}

/// Returns the RSA key of this process. There is only one, since generating a key takes long.
fn rsa_key() -> &'static rsa::RsaPrivateKey {
    static KEY: OnceLock<rsa::RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| rsa::RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap())
}

/// Returns the public part of the RSA key as PEM.
pub(crate) fn rsa_public_pem() -> String {
    rsa_key().to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap()
}

impl Key {
    /// Creates a key with this id. All RSA keys are the same key.
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let private = match algorithm {
            Algorithm::ES256 => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                EncodingKey::from_ec_der(&pair.serialize_der())
            }
            Algorithm::EdDSA => {
                let secret_key = ed25519_dalek::SigningKey::generate(&mut rand_core::OsRng).to_bytes();
                let pair = KeypairBytes { secret_key, public_key: None };
                EncodingKey::from_ed_der(pair.to_pkcs8_der().unwrap().as_bytes())
            }
            _ => EncodingKey::from_rsa_der(rsa_key().to_pkcs1_der().unwrap().as_bytes()),
        };
        Self { kid: kid.into(), algorithm, private }
    }

    /// Returns the public part of the key as a JWK.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = self.kid.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Signs a token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) }, claims)
    }

    pub(crate) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).unwrap()
    }
}

/// What an issuer answers with.
struct Answers {
    /// The discovery document; without one, the answer is 404.
    discovery: Option<Value>,
    keys: Value,
    /// The status of every answer, if the issuer fails.
    failing: Option<StatusCode>,
    requests: usize,
}

/// A running issuer.
pub(crate) struct Issuer {
    /// The URL, which is also the name of the issuer.
    pub(crate) url: String,
    answers: Arc<Mutex<Answers>>,
}

type Answer = Result<Json<Value>, StatusCode>;

impl Issuer {
    /// Starts an issuer with these keys and a discovery document.
    pub(crate) async fn start(keys: &[&Key]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = Some(json!({"issuer": url, "jwks_uri": format!("{url}/keys"), "scopes_supported": ["openid"]}));
        let answers = Arc::new(Mutex::new(Answers { discovery, keys: Value::Null, failing: None, requests: 0 }));
        let discovery = async |State(answers): State<Arc<Mutex<Answers>>>| -> Answer {
            let answers = answers.lock().unwrap();
            answers.failing.map_or(Ok(()), Err)?;
            answers.discovery.clone().map(Json).ok_or(StatusCode::NOT_FOUND)
        };
        let set = async |State(answers): State<Arc<Mutex<Answers>>>| -> Answer {
            let mut answers = answers.lock().unwrap();
            answers.requests += 1;
            answers.failing.map_or(Ok(()), Err)?;
            Ok(Json(answers.keys.clone()))
        };
        let site = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(set))
            .route("/moved", get(async || Redirect::temporary("/keys")))
            .with_state(Arc::clone(&answers));
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        let issuer = Self { url, answers };
        issuer.show(keys);
        issuer
    }

    /// Publishes these keys from now on.
    pub(crate) fn show(&self, keys: &[&Key]) {
        self.show_set(json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}));
    }

    pub(crate) fn show_set(&self, set: Value) {
        self.answers.lock().unwrap().keys = set;
    }

    pub(crate) fn set_discovery(&self, discovery: Option<Value>) {
        self.answers.lock().unwrap().discovery = discovery;
    }

    /// Answers every request with this status, or normally again.
    pub(crate) fn fail(&self, status: Option<u16>) {
        self.answers.lock().unwrap().failing = status.map(|status| StatusCode::from_u16(status).unwrap());
    }

    /// Returns the number of requests for the keys.
    pub(crate) fn request_count(&self) -> usize {
        self.answers.lock().unwrap().requests
    }

    /// Returns settings that accept this issuer's tokens for `lockkeeper`, with a rule for the group of release managers.
    pub(crate) fn settings(&self) -> IssuerSettings {
        settings(&json!({
            "issuer": self.url,
            "audiences": ["lockkeeper"],
            "rules": [{"claims": {"groups": "release-managers"}, "role": "manager", "streams": "os/*"}],
        }))
    }
}

pub(crate) fn settings(value: &Value) -> IssuerSettings {
    serde_json::from_value(value.clone()).unwrap()
}
