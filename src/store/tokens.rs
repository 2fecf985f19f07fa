//! Tokens of our own: the public keys that they are signed with, what was given, and what was taken back.

use super::{error::StoreError, transaction::Transaction};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// A token that was given to somebody. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name in itself (`jti`).
    pub id: String,
    /// The key that it is signed with.
    pub kid: String,
    /// Whom it was given to.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// The streams.
    pub pattern: String,
    /// When it was given.
    pub issued_at: Timestamp,
    /// By whom.
    pub issued_by: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When it was taken back, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// What it is, for the record.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} ({}, {} on {})", self.id, self.name, self.role, self.pattern)
    }
}

impl Transaction {
    /// Keeps a public key. One that is known stays as it is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_signing_key(&mut self, kid: &str, public_key: &[u8], at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: keep_signing_key
            insert into signing_keys (kid, public_key, added_at) values ($1, $2, $3) on conflict do nothing",
            kid,
            public_key,
            at.to_sqlx() as _,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("keep_signing_key"))
    }

    /// A public key.
    ///
    /// # Errors
    /// The database is away.
    pub async fn signing_key(&mut self, kid: &str) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar!("-- name: signing_key\nselect public_key from signing_keys where kid = $1", kid)
            .fetch_optional(self.connection())
            .await
            .map_err(StoreError::at("signing_key"))
    }

    /// Notes that a token was given.
    ///
    /// # Errors
    /// The database is away.
    pub async fn record_token(&mut self, token: &TokenRow) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_token
            insert into tokens (id, kid, name, role, pattern, issued_at, issued_by, expires_at)
            values ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8)",
            token.id,
            token.kid,
            token.name,
            token.role,
            token.pattern,
            token.issued_at.to_sqlx() as _,
            token.issued_by,
            token.expires_at.to_sqlx() as _,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_token"))
    }

    /// Every token that was given, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tokens(&mut self) -> Result<Vec<TokenRow>, StoreError> {
        self.select_tokens(None).await
    }

    /// One of them.
    ///
    /// # Errors
    /// The database is away.
    pub async fn token(&mut self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        Ok(self.select_tokens(Some(id)).await?.pop())
    }

    async fn select_tokens(&mut self, id: Option<&str>) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: tokens
            select id::text as "id!", kid, name, role, pattern, issued_by, issued_at as "issued_at: jiff_sqlx::Timestamp",
                expires_at as "expires_at: jiff_sqlx::Timestamp", revoked_at as "revoked_at: jiff_sqlx::Timestamp"
            from tokens where $1::text is null or id::text = $1 order by tokens.issued_at desc, tokens.id"#,
            id
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("tokens"))?;
        Ok(rows
            .into_iter()
            .map(|row| TokenRow {
                id: row.id,
                kid: row.kid,
                name: row.name,
                role: row.role,
                pattern: row.pattern,
                issued_at: row.issued_at.to_jiff(),
                issued_by: row.issued_by,
                expires_at: row.expires_at.to_jiff(),
                revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
            .collect())
    }

    /// Takes a token back. Was it there, and good until now?
    ///
    /// # Errors
    /// The database is away.
    pub async fn revoke_token(&mut self, id: &str, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "-- name: revoke_token
            update tokens set revoked_at = $2, revoked_by = $3 where id::text = $1 and revoked_at is null",
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
