//! Issues and revokes this service's tokens and revokes signing keys, for the API and the command line.

use super::{
    error::CommandError,
    idempotency::{parse, store_answer, stored_answer},
    manager::Manage,
    read::is_visible,
    refusal::Refusal,
    request::{Action, Request},
};
use crate::{
    auth::{AuthError, Grant, IssuedToken, Pattern, Role, SigningKey, WantedToken, sign},
    domain::actor::{MAX_DISPLAY_NAME_BYTES, is_display_name},
    store::{StoreError, Transaction, audit::AuditEntry, retrying, signing_keys::SigningKeyRow, tokens::TokenRow},
};
use jiff::SignedDuration;

/// A token to issue.
#[derive(Debug, Clone)]
pub struct TokenRequest<'a> {
    /// The display name of the token's holder.
    pub name: &'a str,
    /// The role and the streams.
    pub grant: Grant,
    /// How long the token is valid.
    pub lifetime: SignedDuration,
    /// The maximum lifetime. A local command may exceed it; the audit log records that.
    pub max_lifetime: SignedDuration,
}

/// A revoked token and the tokens that it issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedToken {
    /// The token.
    pub token: TokenRow,
    /// The valid tokens that it issued, directly or through other tokens.
    pub issued: Vec<TokenRow>,
    /// True if these were revoked too.
    pub is_with_issued: bool,
}

impl Manage {
    /// Issues a token.
    ///
    /// # Errors
    /// The caller is not an admin of all the token's streams, a field is invalid, the signing key was revoked, the database
    /// failed, or the request is a repetition and the token was signed by a key that this process does not have.
    pub async fn create_token(
        &self,
        key: &SigningKey,
        wanted: &TokenRequest<'_>,
        request: &Request<'_>,
    ) -> Result<(TokenRow, String), CommandError> {
        allow_admin(request, &wanted.grant.on)?;
        let reason = check_request(wanted, request)?;
        let attempt = async || {
            let mut transaction = self.store().begin(Action::ISSUE_TOKEN.name).await?;
            let now = self.clock().now();
            let idempotency_key = request.idempotency_key().filter(|_| !request.dry_run);
            if let Some(json) = stored_answer(&mut transaction, idempotency_key, now).await? {
                return sign_again(&mut transaction, key, &parse::<String>(&json)?).await;
            }
            check_caller_token(&mut transaction, request).await?;
            transaction.keep_signing_key(&key.kid, &key.public, now).await?;
            match transaction.lock_signing_key(&key.kid).await? {
                (public, None) if public == key.public => {}
                (_, None) => {
                    return Err(Refusal::State("another signing key has the same id: create a new key".into()).into());
                }
                (_, Some(_)) => return Err(not_issued(AuthError::KeyRevoked(key.kid.clone()))),
            }
            let TokenRequest { name, grant, lifetime, .. } = wanted;
            let to_issue = WantedToken { name, grant, lifetime: *lifetime };
            let issued = IssuedToken::new(key, to_issue, &request.caller.actor, now);
            let IssuedToken { row, secret } = issued.map_err(not_issued)?;
            let audience = transaction.installation().await?;
            let token = sign(key, &row, &secret.nonce, audience).map_err(not_issued)?;
            transaction.record_token(&row, &secret).await?;
            let entry =
                AuditEntry { reason: reason.clone(), ..self.entry(Action::ISSUE_TOKEN, row.subject(), request) };
            transaction.record_audit_entry(&entry).await?;
            // The token is a secret: only its id is stored, and a repetition signs it again.
            store_answer(&mut transaction, idempotency_key, &row.id).await?;
            if !request.dry_run {
                transaction.commit().await?;
            }
            Ok((row, token))
        };
        retrying(Action::ISSUE_TOKEN.name, attempt).await
    }

    /// Revokes a token, and with `with_issued` every valid token that it issued, directly or through other tokens.
    ///
    /// # Errors
    /// The database failed, there is no such token that the caller may see, or it was revoked before.
    pub async fn revoke_token(
        &self,
        id: &str,
        with_issued: bool,
        request: &Request<'_>,
    ) -> Result<RevokedToken, CommandError> {
        let attempt = async || {
            let mut transaction = self.store().begin(Action::REVOKE_TOKEN.name).await?;
            let now = self.clock().now();
            let found = transaction.token(id).await?.filter(|row| is_visible(request.caller, row));
            let found =
                found.ok_or_else(|| Refusal::NotFound(format!("token {id} does not exist, or you may not read it")))?;
            if !transaction.revoke_token(id, &request.caller.actor.id, now).await? {
                return Err(Refusal::State("the token is revoked already".into()).into());
            }
            transaction.record_audit_entry(&self.entry(Action::REVOKE_TOKEN, found.subject(), request)).await?;
            let by = format!("token:{}", found.id);
            let mut issued = transaction.live_tokens_issued_by(&by, now).await?;
            let mut waiting = if with_issued { issued.clone() } else { Vec::new() };
            // One of these tokens may be issuing another one right now. The revocation waits for its lock and then finds the new
            // token.
            while !waiting.is_empty() {
                for row in &waiting {
                    if transaction.revoke_token(&row.id, &request.caller.actor.id, now).await? {
                        transaction
                            .record_audit_entry(&self.entry(Action::REVOKE_TOKEN, row.subject(), request))
                            .await?;
                    }
                }
                waiting = transaction.live_tokens_issued_by(&by, now).await?;
                issued.extend(waiting.iter().cloned());
            }
            let token = TokenRow { revoked_at: Some(now), ..found };
            if !request.dry_run {
                transaction.commit().await?;
            }
            Ok(RevokedToken { token, issued, is_with_issued: with_issued })
        };
        retrying(Action::REVOKE_TOKEN.name, attempt).await
    }

    /// Revokes a signing key and every valid token that it signed. Returns the number of these tokens.
    ///
    /// # Errors
    /// The caller is not an admin of all streams, the database failed, the key does not exist, or was revoked before.
    pub async fn revoke_signing_key(&self, kid: &str, request: &Request<'_>) -> Result<u64, CommandError> {
        allow_admin(request, &Pattern::ALL)?;
        let attempt = async || {
            let mut transaction = self.store().begin(Action::REVOKE_KEY.name).await?;
            let now = self.clock().now();
            let revoked = transaction.revoke_signing_key(kid, &request.caller.actor.id, now).await?;
            let revoked = revoked
                .ok_or_else(|| Refusal::NotFound(format!("signing key {kid} does not exist or is already revoked")))?;
            let subject = format!("{kid} ({revoked} valid tokens)");
            transaction.record_audit_entry(&self.entry(Action::REVOKE_KEY, subject, request)).await?;
            if !request.dry_run {
                transaction.commit().await?;
            }
            Ok(revoked)
        };
        retrying(Action::REVOKE_KEY.name, attempt).await
    }

    /// Returns all known signing keys, the newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, StoreError> {
        self.reading("signing_keys").await?.signing_keys(self.clock().now()).await
    }

    fn entry(&self, action: Action, subject: String, request: &Request<'_>) -> AuditEntry {
        AuditEntry { subject: Some(subject), ..request.audit_entry(action, self.clock().now()) }
    }
}

fn allow_admin(request: &Request<'_>, on: &Pattern) -> Result<(), Refusal> {
    if request.caller.may_on_all(Role::Admin, on) {
        return Ok(());
    }
    Err(Refusal::denied(Role::Admin, on))
}

/// Checks the name and lifetime of a token. Returns the reason for the audit log, which records a lifetime beyond the limit.
fn check_request(wanted: &TokenRequest<'_>, request: &Request<'_>) -> Result<String, Refusal> {
    if !is_display_name(wanted.name) || wanted.name.len() > MAX_DISPLAY_NAME_BYTES {
        let message = "must be 1 to 255 bytes, not blank, without control, bidirectional or separator characters";
        return Err(Refusal::field("name", message));
    }
    if wanted.lifetime < SignedDuration::from_secs(1) {
        return Err(Refusal::field("expires_in", "must be at least 1 second"));
    }
    if wanted.lifetime <= wanted.max_lifetime {
        return Ok(request.reason.into());
    }
    let max_hours = wanted.max_lifetime.as_hours();
    if request.caller.is_local() {
        let hours = wanted.lifetime.as_hours();
        return Ok(format!("{} ({hours} h, beyond auth.max_token_lifetime of {max_hours} h)", request.reason));
    }
    Err(Refusal::field("expires_in", format!("must be at most {max_hours} h (auth.max_token_lifetime)")))
}

/// Checks that the caller's token was not revoked since the request was authenticated.
async fn check_caller_token(transaction: &mut Transaction, request: &Request<'_>) -> Result<(), CommandError> {
    let Some(id) = request.caller.actor.id.strip_prefix("token:") else { return Ok(()) };
    match transaction.lock_token(id).await? {
        Some(row) if row.revoked_at.is_none() => Ok(()),
        _ => {
            let why = Some("the token of this request was revoked".into());
            Err(Refusal::Denied { role: Role::Admin, on: Pattern::ALL.to_string(), why }.into())
        }
    }
}

/// Signs a token again. The result is the same token.
async fn sign_again(
    transaction: &mut Transaction,
    key: &SigningKey,
    id: &str,
) -> Result<(TokenRow, String), CommandError> {
    let row = transaction.token(id).await?.ok_or_else(|| Refusal::no_such("token", id))?;
    let nonce = transaction.token_nonce(id).await?.filter(|_| row.kid == key.kid);
    let Some(nonce) = nonce else {
        let detail = "the token was issued by another process, with a signing key that this process does not have";
        return Err(Refusal::State(detail.into()).into());
    };
    let audience = transaction.installation().await?;
    let token = sign(key, &row, &nonce, audience).map_err(not_issued)?;
    Ok((row, token))
}

fn not_issued(error: AuthError) -> CommandError {
    match error {
        AuthError::Store(error) => CommandError::Store(error),
        AuthError::Lifetime => Refusal::field("expires_in", "must end before the year 10000").into(),
        error @ AuthError::KeyRevoked(_) => Refusal::State(error.to_string()).into(),
        error => CommandError::Store(StoreError::corrupt("tokens", error)),
    }
}
