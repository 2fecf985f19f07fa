//! Tokens issued by this service, and which of them were revoked. The tokens themselves are not stored.

use super::{error::StoreError, transaction::Transaction};
use crate::domain::hash::ContentHash;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

/// An issued token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its public id: shown in lists and the audit log, and used to revoke it. The token itself carries another id.
    pub id: String,
    /// The key that it is signed with.
    pub kid: String,
    /// The display name of its holder.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// The pattern of streams that it covers.
    pub pattern: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The id of the actor that issued it.
    pub issued_by: String,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was revoked, if at all.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute, if at all.
    pub last_used_at: Option<Timestamp>,
}

impl TokenRow {
    /// Describes the token for the audit log.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{} ({}, {} on {})", self.id, self.name, self.role, self.pattern)
    }

    /// Returns true if it has neither expired nor been revoked at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

/// The link between a token and its row. A reader of the row cannot work out the id that the token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenSecret {
    /// The random number from which the signing key derives the private id.
    pub nonce: [u8; 32],
    /// The SHA-256 of the private id.
    pub hash: ContentHash,
}

/// The stored facts about a token that a client presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedToken {
    /// The token.
    pub row: TokenRow,
    /// Whether the key that signed it was revoked.
    pub is_key_revoked: bool,
    /// The id of the installation, which the token must name as its audience.
    pub installation: String,
}

/// Builds a [`TokenRow`] from a record of a query that selects all of its columns.
macro_rules! token_row {
    ($row:ident) => {
        TokenRow {
            id: $row.id,
            kid: $row.kid,
            name: $row.name,
            role: $row.role,
            pattern: $row.pattern,
            issued_at: $row.issued_at.to_jiff(),
            issued_by: $row.issued_by,
            expires_at: $row.expires_at.to_jiff(),
            revoked_at: $row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
            last_used_at: $row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    };
}

impl Transaction {
    /// Records an issued token.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record_token(&mut self, token: &TokenRow, secret: &TokenSecret) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_token
            insert into tokens (id, kid, name, role, pattern, issued_at, issued_by, expires_at, jti_hash, jti_nonce)
            values ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            token.id,
            token.kid,
            token.name,
            token.role,
            token.pattern,
            token.issued_at.to_sqlx() as _,
            token.issued_by,
            token.expires_at.to_sqlx() as _,
            secret.hash.0.as_slice(),
            secret.nonce.as_slice(),
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_token"))
    }

    /// Returns all issued tokens, newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn tokens(&mut self) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: tokens
            select id::text as "id!", kid, name, role, pattern, issued_by, issued_at as "issued_at: jiff_sqlx::Timestamp",
                expires_at as "expires_at: jiff_sqlx::Timestamp", revoked_at as "revoked_at: jiff_sqlx::Timestamp",
                last_used_at as "last_used_at: jiff_sqlx::Timestamp"
            from tokens order by tokens.issued_at desc, tokens.id"#
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("tokens"))?;
        Ok(rows.into_iter().map(|row| token_row!(row)).collect())
    }

    /// Returns the token with a public id, or `None` if it does not exist or the id is malformed.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn token(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let Some(id) = uuid_text(id) else { return Ok(None) };
        let row = sqlx::query!(
            r#"-- name: token
            select id::text as "id!", kid, name, role, pattern, issued_by, issued_at as "issued_at: jiff_sqlx::Timestamp",
                expires_at as "expires_at: jiff_sqlx::Timestamp", revoked_at as "revoked_at: jiff_sqlx::Timestamp",
                last_used_at as "last_used_at: jiff_sqlx::Timestamp"
            from tokens where id = $1::text::uuid"#,
            id
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("token"))?;
        Ok(row.map(|row| token_row!(row)))
    }

    /// Prevents a token from being revoked until this transaction ends, and returns it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_token(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let Some(uuid) = uuid_text(id) else { return Ok(None) };
        sqlx::query!("-- name: lock_token\nselect from tokens where id = $1::text::uuid for share", uuid)
            .execute(self.connection())
            .await
            .map_err(StoreError::at("lock_token"))?;
        self.token(id).await
    }

    /// Returns the random number from which the private id of a token was derived; `None` for tokens without a private id.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn token_nonce(&mut self, id: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let Some(id) = uuid_text(id) else { return Ok(None) };
        let nonce =
            sqlx::query_scalar!("-- name: token_nonce\nselect jti_nonce from tokens where id = $1::text::uuid", id)
                .fetch_optional(self.connection())
                .await
                .map_err(StoreError::at("token_nonce"))?;
        let nonce = nonce.flatten().map(TryInto::try_into).transpose();
        nonce.map_err(|_| StoreError::corrupt("tokens", "a nonce is not 32 bytes long"))
    }

    /// Returns the token that has this hash of its private id and was signed with this key.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn presented_token(
        &mut self,
        hash: ContentHash,
        kid: &str,
    ) -> Result<Option<PresentedToken>, StoreError> {
        let row = sqlx::query!(
            r#"-- name: shown_token
            select tokens.id::text as "id!", kid, name, role, pattern, issued_by, issued_at as "issued_at: jiff_sqlx::Timestamp",
                expires_at as "expires_at: jiff_sqlx::Timestamp", tokens.revoked_at as "revoked_at: jiff_sqlx::Timestamp",
                last_used_at as "last_used_at: jiff_sqlx::Timestamp", signing_keys.revoked_at is not null as "is_key_revoked!", installation.id::text as "installation!"
            from tokens join signing_keys using (kid) cross join installation
            where jti_hash = $1 and kid = $2"#,
            hash.0.as_slice(),
            kid
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("shown_token"))?;
        Ok(row.map(|row| PresentedToken {
            is_key_revoked: row.is_key_revoked,
            installation: row.installation,
            row: token_row!(row),
        }))
    }

    /// Returns the tokens live at `now` that an actor issued, directly or through tokens that it issued.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn live_tokens_issued_by(&mut self, actor: &str, now: Timestamp) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: live_tokens_issued_by
            with recursive issued (id) as (
                select id from tokens where issued_by = $1
                union
                select tokens.id from tokens join issued on tokens.issued_by = 'token:' || issued.id::text
            )
            select id::text as "id!", kid, name, role, pattern, issued_by, issued_at as "issued_at: jiff_sqlx::Timestamp",
                expires_at as "expires_at: jiff_sqlx::Timestamp", revoked_at as "revoked_at: jiff_sqlx::Timestamp",
                last_used_at as "last_used_at: jiff_sqlx::Timestamp"
            from tokens join issued using (id)
            where revoked_at is null and expires_at > $2
            order by tokens.issued_at, tokens.id"#,
            actor,
            now.to_sqlx() as _
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("live_tokens_issued_by"))?;
        Ok(rows.into_iter().map(|row| token_row!(row)).collect())
    }

    /// Records that a token is used at `at`, unless a use at or after `unless_since` is recorded.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record_token_use(
        &mut self,
        id: &str,
        at: Timestamp,
        unless_since: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(id) = uuid_text(id) else { return Ok(()) };
        sqlx::query!(
            "-- name: record_token_use
            update tokens set last_used_at = $2 where id = $1::text::uuid and (last_used_at is null or last_used_at < $3)",
            id,
            at.to_sqlx() as _,
            unless_since.to_sqlx() as _,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_token_use"))
    }

    /// Revokes a token. Returns true if it had not been revoked before.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn revoke_token(&mut self, id: &str, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let Some(id) = uuid_text(id) else { return Ok(false) };
        let done = sqlx::query!(
            "-- name: revoke_token
            update tokens set revoked_at = $2, revoked_by = $3 where id = $1::text::uuid and revoked_at is null",
            id,
            at.to_sqlx() as _,
            by,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("revoke_token"))?;
        Ok(done.rows_affected() == 1)
    }
}

/// Returns the canonical text of an id, or `None` if it is malformed. The query then compares UUIDs and can use the index.
fn uuid_text(id: &str) -> Option<String> {
    Uuid::parse_str(id).ok().map(|id| id.to_string())
}
