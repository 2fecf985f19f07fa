//! Tokens of our own, given and taken back for the record.

use super::{
    change::{ChangeError, Manage},
    edit::{EditError, once},
    refusal::Refusal,
    request::{Action, Request},
};
use crate::{
    auth::{AuthError, Grant, SigningKey, Tokens},
    store::{StoreError, Transaction, audit::Act, idempotency::Claim, retrying, tokens::TokenRow},
};
use jiff::SignedDuration;

/// A token that somebody is to be given.
#[derive(Debug, Clone)]
pub struct TokenRequest<'a> {
    /// Whom it is for.
    pub name: &'a str,
    /// What it is good for.
    pub grant: Grant,
    /// For how long.
    pub lifetime: SignedDuration,
}

impl Manage {
    /// Gives somebody a token. Whether whoever asks may, is for the caller to see to.
    ///
    /// # Errors
    /// The store failed, it would never be good, or it was given before by a key that this process does not have.
    pub async fn give_token(
        &self,
        key: &SigningKey,
        wanted: &TokenRequest<'_>,
        request: &Request<'_>,
    ) -> Result<(TokenRow, String), EditError> {
        let attempt = async || {
            let mut transaction = self.store().begin(Action::GIVE_TOKEN.name).await?;
            let now = self.clock().now();
            let once = once(request).filter(|_| !request.dry_run);
            if let Some(once) = once {
                match transaction.claim(once, now).await? {
                    Claim::New => {}
                    Claim::Answered(answer) => return given_before(&mut transaction, key, &answer).await,
                    Claim::Other => return Err(Refusal::KeyReused.into()),
                }
            }
            let row = Tokens::row(key, wanted.name, &wanted.grant, wanted.lifetime, &request.who.actor, now);
            let row = row.map_err(not_given)?;
            let audience = transaction.installation().await?;
            let token = Tokens::sign(key, &row, audience).map_err(not_given)?;
            transaction.keep_signing_key(&key.kid, &key.public, now).await?;
            transaction.record_token(&row).await?;
            transaction.record_act(&self.token_act(Action::GIVE_TOKEN, &row, request)).await?;
            if let Some(once) = once {
                transaction.keep_answer(once, &row.id.clone().into()).await?;
            }
            if !request.dry_run {
                transaction.commit().await?;
            }
            Ok((row, token))
        };
        retrying(Action::GIVE_TOKEN.name, attempt).await
    }

    /// Takes a token back, for good. Whether whoever asks may, is for the caller to see to.
    ///
    /// # Errors
    /// The store failed, there is no such token, or it was taken back before.
    pub async fn revoke_token(&self, id: &str, request: &Request<'_>) -> Result<TokenRow, EditError> {
        let mut transaction = self.store().begin(Action::REVOKE_TOKEN.name).await?;
        if !transaction.revoke_token(id, &request.who.actor, self.clock().now()).await? {
            return Err(Refusal::State("the token was taken back before".into()).into());
        }
        let row = transaction.token(id).await?.ok_or_else(|| Refusal::no_such("token", id))?;
        transaction.record_act(&self.token_act(Action::REVOKE_TOKEN, &row, request)).await?;
        if !request.dry_run {
            transaction.commit().await?;
        }
        Ok(row)
    }

    fn token_act(&self, action: Action, row: &TokenRow, request: &Request<'_>) -> Act {
        Act {
            at: self.clock().now(),
            actor: request.who.actor.clone(),
            action: action.name.into(),
            product: None,
            stream: None,
            revision: None,
            subject: Some(row.told()),
            reason: request.reason.into(),
            request_id: request.request_id.map(Into::into),
        }
    }
}

/// The same token again: it follows from its row and the key.
async fn given_before(
    transaction: &mut Transaction,
    key: &SigningKey,
    answer: &serde_json::Value,
) -> Result<(TokenRow, String), EditError> {
    let id = answer.as_str().unwrap_or_default();
    let row = transaction.token(id).await?.ok_or_else(|| Refusal::no_such("token", id))?;
    if row.kid != key.kid {
        let told = "the token was given by another process, whose key this one does not have";
        return Err(Refusal::State(told.into()).into());
    }
    let audience = transaction.installation().await?;
    let token = Tokens::sign(key, &row, audience).map_err(not_given)?;
    Ok((row, token))
}

fn not_given(error: AuthError) -> EditError {
    match error {
        AuthError::Store(error) => ChangeError::Store(error),
        AuthError::Lifetime => Refusal::field("for", "has to be some time, and end before the year 10000").into(),
        error => ChangeError::Store(StoreError::corrupt("tokens", error)),
    }
}
