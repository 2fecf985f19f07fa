//! Tokens issued by this service: JSON web tokens signed with Ed25519, recorded in the database so that they can be revoked.
//!
//! A token is bound to its row by a private id (`jti`) and to its key by the row's `kid`, and is accepted only if both match. The
//! public id in lists and the audit log cannot be turned into a token, not even with a leaked key.

use super::{
    error::AuthError,
    grant::{Grant, Identity},
    signing::{SigningKey, is_kid},
    token_uses::TokenUses,
};
use crate::{
    clock::SharedClock,
    domain::{actor::Actor, hash::ContentHash},
    store::{
        Store,
        tokens::{TokenRow, TokenSecret},
    },
};
use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};
use uuid::Uuid;

/// The issuer claim of these tokens.
pub(super) const ISSUER: &str = "lockkeeper";
/// The accepted difference between clocks.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);
/// The largest number of queries for unknown keys per second.
const MAX_KEY_LOADS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// The claims of this service's tokens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// The stored record of an issued token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The public part, shown in lists.
    pub row: TokenRow,
    /// The secret part, never shown.
    pub secret: TokenSecret,
}

/// What a new token is for.
#[derive(Debug, Clone, Copy)]
pub struct WantedToken<'a> {
    /// The display name of its holder.
    pub name: &'a str,
    /// Its role and streams.
    pub grant: &'a Grant,
    /// How long it is valid.
    pub lifetime: SignedDuration,
}

impl IssuedToken {
    /// Builds the record of a new token, with new ids.
    ///
    /// # Errors
    /// The lifetime is under a second or ends after the year 9999, or the key cannot sign.
    pub fn new(key: &SigningKey, wanted: WantedToken<'_>, by: &Actor, now: Timestamp) -> Result<Self, AuthError> {
        let WantedToken { name, grant, lifetime } = wanted;
        let expires_at = now.checked_add(lifetime).map_err(|_| AuthError::Lifetime)?;
        if lifetime < SignedDuration::from_secs(1) {
            return Err(AuthError::Lifetime);
        }
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let private_id = key.private_id(&nonce).map_err(AuthError::Sign)?;
        let row = TokenRow {
            id: Uuid::new_v4().to_string(),
            kid: key.kid.clone(),
            name: name.into(),
            role: grant.role.to_string(),
            pattern: grant.on.to_string(),
            issued_at: now,
            issued_by: by.id.clone(),
            expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        Ok(Self { row, secret: TokenSecret { nonce, hash: ContentHash::from_content(private_id.as_bytes()) } })
    }
}

/// Signs the token of a row for an installation. The same row always produces the same token.
///
/// # Errors
/// The key cannot sign.
pub fn sign(key: &SigningKey, row: &TokenRow, nonce: &[u8; 32], audience: String) -> Result<String, AuthError> {
    let claims = Claims {
        iss: ISSUER.into(),
        aud: audience,
        sub: row.name.clone(),
        jti: key.private_id(nonce).map_err(AuthError::Sign)?,
        iat: row.issued_at.as_second(),
        exp: row.expires_at.as_second(),
    };
    let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims, &key.private).map_err(AuthError::Sign)
}

/// Checks tokens issued by this service.
pub struct Tokens {
    store: Store,
    clock: SharedClock,
    /// Public keys by id. Keys never change, so a token forged under a known id is rejected without a query.
    keys: ArcSwap<BTreeMap<String, [u8; 32]>>,
    key_loads: DefaultDirectRateLimiter,
    uses: TokenUses,
}

impl Tokens {
    /// Creates a checker for the tokens in this store.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        let key_loads = RateLimiter::direct(Quota::per_second(MAX_KEY_LOADS));
        let uses = TokenUses::new(store.clone());
        Self { store, clock, keys: ArcSwap::default(), key_loads, uses }
    }

    /// Returns the identity that a token proves.
    ///
    /// # Errors
    /// The token is not from this service, has expired, was revoked, or the database failed.
    pub async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        let kid = key_id(token)?;
        let public = self.key(&kid).await?.ok_or(AuthError::NotAccepted)?;
        let claims = verify(token, &public)?;
        let mut transaction = self.store.begin_read("check_token").await?;
        let presented = transaction.presented_token(ContentHash::from_content(claims.jti.as_bytes()), &kid).await?;
        transaction.commit().await?;
        let presented =
            presented.filter(|presented| presented.installation == claims.aud).ok_or(AuthError::NotAccepted)?;
        if presented.row.revoked_at.is_some() || presented.is_key_revoked {
            return Err(AuthError::Revoked);
        }
        if has_expired(presented.row.expires_at, self.clock.now()) {
            return Err(AuthError::Expired);
        }
        self.uses.record(&presented.row, self.clock.now());
        let grant = Grant { role: presented.row.role.parse()?, on: presented.row.pattern.parse()? };
        let actor = Actor { id: format!("token:{}", presented.row.id), name: presented.row.name };
        Ok(Identity { actor, grants: vec![grant], expires_at: Some(presented.row.expires_at) })
    }

    /// Returns the public key with an id. An unknown id costs one query of the keys, not of the tokens.
    async fn key(&self, kid: &str) -> Result<Option<[u8; 32]>, AuthError> {
        if let Some(key) = self.keys.load().get(kid) {
            return Ok(Some(*key));
        }
        if self.key_loads.check().is_err() {
            return Err(AuthError::Unreachable);
        }
        let mut transaction = self.store.begin_read("public_keys").await?;
        let keys = transaction.public_keys().await?;
        transaction.commit().await?;
        let found = keys.get(kid).copied();
        self.keys.store(Arc::new(keys));
        Ok(found)
    }
}

/// Returns the id of the key in the header of one of this service's tokens.
pub(crate) fn key_id(token: &str) -> Result<String, AuthError> {
    let header = decode_header(token).map_err(|_| AuthError::NotAccepted)?;
    let is_local = header.alg == Algorithm::EdDSA && header.crit.is_none();
    header.kid.filter(|kid| is_local && is_kid(kid)).ok_or(AuthError::NotAccepted)
}

/// Verifies the signature of a token and returns its claims. The caller must check its audience and times.
pub(crate) fn verify(token: &str, public: &[u8; 32]) -> Result<Claims, AuthError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.validate_aud = false;
    validation.validate_exp = false;
    let decoded = decode::<Claims>(token, &DecodingKey::from_ed_der(public), &validation);
    let claims = decoded.map_err(|_| AuthError::NotAccepted)?.claims;
    ContentHash::parse(&claims.jti).ok_or(AuthError::NotAccepted)?;
    Ok(claims)
}

fn has_expired(end: Timestamp, now: Timestamp) -> bool {
    end.checked_add(LEEWAY).is_ok_and(|end| end < now)
}
