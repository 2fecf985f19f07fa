//! Public keys that verify this service's tokens, and which of them were revoked.

use super::{error::StoreError, transaction::Transaction};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use std::collections::BTreeMap;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Its id, derived from the key.
    pub kid: String,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
    /// When the first token was signed with it.
    pub added_at: Timestamp,
    /// When it was revoked, if at all.
    pub revoked_at: Option<Timestamp>,
    /// The number of valid tokens that it signed.
    pub live_tokens: i64,
}

impl Transaction {
    /// Stores a public key. A known key is not changed.
    ///
    /// # Errors
    /// The database is unavailable.
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

    /// Prevents a key from being revoked until this transaction ends. Returns its public key, and when it was revoked, if at all.
    ///
    /// # Errors
    /// The database is unavailable, or there is no such key.
    pub async fn lock_signing_key(&mut self, kid: &str) -> Result<(Vec<u8>, Option<Timestamp>), StoreError> {
        let row = sqlx::query!(
            r#"-- name: lock_signing_key
            select public_key, revoked_at as "revoked_at: jiff_sqlx::Timestamp" from signing_keys where kid = $1 for share"#,
            kid
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("lock_signing_key"))?;
        Ok((row.public_key, row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff)))
    }

    /// Returns the public key of every id, revoked keys included.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn public_keys(&mut self) -> Result<BTreeMap<String, [u8; 32]>, StoreError> {
        let rows = sqlx::query!("-- name: public_keys\nselect kid, public_key from signing_keys")
            .fetch_all(self.connection())
            .await
            .map_err(StoreError::at("public_keys"))?;
        rows.into_iter().map(|row| Ok((row.kid, public_key(row.public_key)?))).collect()
    }

    /// Returns all keys, the newest first, each with how many of its tokens are live at `now`.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn signing_keys(&mut self, now: Timestamp) -> Result<Vec<SigningKeyRow>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: signing_keys
            select kid, public_key, added_at as "added_at: jiff_sqlx::Timestamp",
                revoked_at as "revoked_at: jiff_sqlx::Timestamp",
                (select count(*) from tokens
                 where tokens.kid = signing_keys.kid and tokens.revoked_at is null and tokens.expires_at > $1) as "live_tokens!"
            from signing_keys order by signing_keys.added_at desc, kid"#,
            now.to_sqlx() as _
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("signing_keys"))?;
        let key = rows.into_iter().map(|row| {
            Ok(SigningKeyRow {
                kid: row.kid,
                public_key: public_key(row.public_key)?,
                added_at: row.added_at.to_jiff(),
                revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
                live_tokens: row.live_tokens,
            })
        });
        key.collect()
    }

    /// Revokes a key and every valid token that it signed. Returns the number of tokens, or `None` if the key does not exist or was
    /// revoked before.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn revoke_signing_key(&mut self, kid: &str, by: &str, at: Timestamp) -> Result<Option<u64>, StoreError> {
        let done = sqlx::query!(
            "-- name: revoke_signing_key
            update signing_keys set revoked_at = $2, revoked_by = $3 where kid = $1 and revoked_at is null",
            kid,
            at.to_sqlx() as _,
            by,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("revoke_signing_key"))?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let revoked = sqlx::query!(
            "-- name: revoke_tokens_of_key
            update tokens set revoked_at = greatest($2, issued_at), revoked_by = $3
            where kid = $1 and revoked_at is null and expires_at > $2",
            kid,
            at.to_sqlx() as _,
            by,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("revoke_tokens_of_key"))?;
        Ok(Some(revoked.rows_affected()))
    }
}

fn public_key(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::corrupt("signing_keys", "a key is not 32 bytes long"))
}
