//! Tokens of our own: JSON web tokens signed with Ed25519, listed in the store, which can take them back.

use super::{
    error::AuthError,
    grant::{Grant, Identity},
    signing::SigningKey,
};
use crate::{
    clock::SharedClock,
    store::{Store, audit::Act, tokens::TokenRow},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who issues them.
pub(super) const ISSUER: &str = "lockkeeper";
/// How far clocks may be apart.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

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
        let row = Self::row(key, name, grant, lifetime, by, now)?;
        let mut transaction = self.store.begin("give_token").await?;
        let token = Self::sign(key, &row, transaction.installation().await?)?;
        transaction.keep_signing_key(&key.kid, &key.public, now).await?;
        transaction.record_token(&row).await?;
        transaction.record_act(&act("token.give", &row, by, now)).await?;
        transaction.commit().await?;
        Ok(token)
    }

    /// What is kept of a token that is to be given.
    ///
    /// # Errors
    /// It would never be good.
    pub fn row(
        key: &SigningKey,
        name: &str,
        grant: &Grant,
        lifetime: SignedDuration,
        by: &str,
        now: Timestamp,
    ) -> Result<TokenRow, AuthError> {
        let expires_at = now.checked_add(lifetime).map_err(|_| AuthError::Lifetime)?;
        if lifetime < SignedDuration::from_secs(1) {
            return Err(AuthError::Lifetime);
        }
        Ok(TokenRow {
            id: Uuid::new_v4().to_string(),
            kid: key.kid.clone(),
            name: name.into(),
            role: grant.role.to_string(),
            pattern: grant.on.to_string(),
            issued_at: now,
            issued_by: by.into(),
            expires_at,
            revoked_at: None,
        })
    }

    /// The token of a row, for the installation that it is of: the same again as often as it is asked for.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn sign(key: &SigningKey, row: &TokenRow, audience: String) -> Result<String, AuthError> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: audience,
            sub: row.name.clone(),
            jti: row.id.clone(),
            iat: row.issued_at.as_second(),
            exp: row.expires_at.as_second(),
        };
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key.private).map_err(AuthError::Sign)
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
        let now = self.clock.now();
        let done = transaction.revoke_token(id, by, now).await?;
        if let Some(row) = transaction.token(id).await?.filter(|_| done) {
            transaction.record_act(&act("token.revoke", &row, by, now)).await?;
        }
        transaction.commit().await?;
        Ok(done)
    }
}

/// What the record says of something that was done to a token at a keyboard.
fn act(action: &str, row: &TokenRow, by: &str, at: Timestamp) -> Act {
    Act {
        at,
        actor: by.into(),
        action: action.into(),
        product: None,
        stream: None,
        revision: None,
        subject: Some(row.told()),
        reason: "asked for on the command line".into(),
        request_id: None,
    }
}

fn is_past(end: Timestamp, now: Timestamp) -> bool {
    end.checked_add(LEEWAY).is_ok_and(|end| end < now)
}
