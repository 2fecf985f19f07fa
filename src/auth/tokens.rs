//! Tokens of our own: JSON web tokens signed with Ed25519, listed in the store, which can take them back.

use super::{
    grant::{Grant, GrantError, Identity},
    signing::SigningKey,
};
use crate::{
    clock::SharedClock,
    store::{Store, StoreError, tokens::TokenRow},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// Who issues them.
const ISSUER: &str = "lockkeeper";
/// How far clocks may be apart.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// Why somebody is not believed, or a token not given.
#[derive(Debug, Error)]
pub enum AuthError {
    /// It is no token of ours, or not for this store.
    #[error("the token is not one of ours")]
    Foreign,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// It could not be signed.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// It would never be good.
    #[error("a token has to be good for some time")]
    Lifetime,
    /// What the store holds of it cannot be.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Gives, checks and takes back tokens.
pub struct Tokens {
    store: Store,
    clock: SharedClock,
}

impl Tokens {
    /// Of this store.
    #[must_use]
    pub fn of(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Gives somebody a token. It is shown once and kept nowhere.
    ///
    /// # Errors
    /// The store failed, or it would never be good.
    pub async fn give(
        &self,
        key: &SigningKey,
        name: &str,
        grant: &Grant,
        lifetime: SignedDuration,
        by: &str,
    ) -> Result<String, AuthError> {
        let now = self.clock.now();
        let expires_at = now.checked_add(lifetime).map_err(|_| AuthError::Lifetime)?;
        if lifetime < SignedDuration::from_secs(1) {
            return Err(AuthError::Lifetime);
        }
        let mut transaction = self.store.begin("give_token").await?;
        let audience = transaction.installation().await?;
        let row = TokenRow {
            id: Uuid::new_v4().to_string(),
            name: name.into(),
            role: grant.role.to_string(),
            pattern: grant.on.to_string(),
            issued_at: now,
            issued_by: by.into(),
            expires_at,
            revoked_at: None,
        };
        let claims = Claims {
            iss: ISSUER.into(),
            aud: audience,
            sub: name.into(),
            jti: row.id.clone(),
            iat: now.as_second(),
            exp: expires_at.as_second(),
        };
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &key.private).map_err(AuthError::Sign)?;
        transaction.keep_signing_key(&key.kid, &key.public, now).await?;
        transaction.record_token(&key.kid, &row).await?;
        transaction.commit().await?;
        Ok(token)
    }

    /// Who shows this token?
    ///
    /// # Errors
    /// It is none of ours, has expired, was revoked, or the store failed.
    pub async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Foreign)?;
        let kid = header.kid.filter(|_| header.alg == Algorithm::EdDSA).ok_or(AuthError::Foreign)?;
        let mut transaction = self.store.begin_read("check_token").await?;
        let public = transaction.signing_key(&kid).await?.ok_or(AuthError::Foreign)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[transaction.installation().await?]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Times are judged by our own clock, below.
        validation.validate_exp = false;
        let decoded = decode::<Claims>(token, &DecodingKey::from_ed_der(&public), &validation);
        let claims = decoded.map_err(|_| AuthError::Foreign)?.claims;
        let row = transaction.token(&claims.jti).await?.ok_or(AuthError::Foreign)?;
        transaction.commit().await?;
        if row.revoked_at.is_some() {
            return Err(AuthError::Revoked);
        }
        if is_past(row.expires_at, self.clock.now()) {
            return Err(AuthError::Expired);
        }
        let grant = Grant { role: row.role.parse()?, on: row.pattern.parse()? };
        Ok(Identity { actor: format!("token:{}", row.name), grants: vec![grant] })
    }

    /// Every token that was given, the newest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self) -> Result<Vec<TokenRow>, AuthError> {
        let mut transaction = self.store.begin_read("list_tokens").await?;
        Ok(transaction.tokens().await?)
    }

    /// Takes a token back, for good. Was there such a one?
    ///
    /// # Errors
    /// The store failed.
    pub async fn revoke(&self, id: &str, by: &str) -> Result<bool, AuthError> {
        let mut transaction = self.store.begin("revoke_token").await?;
        let done = transaction.revoke_token(id, by, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

fn is_past(end: Timestamp, now: Timestamp) -> bool {
    end.checked_add(LEEWAY).is_ok_and(|end| end < now)
}
