//! Who did what, when and why, across streams.

use super::{error::StoreError, transaction::Transaction};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done, such as `rollout.pause`.
    pub action: String,
    /// The product that it is about.
    pub product: Option<String>,
    /// The stream that it is about.
    pub stream: Option<String>,
    /// The revision that came of it.
    pub revision: Option<i64>,
    /// What it was done to.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// The request by which it was done.
    pub request_id: Option<String>,
}

/// Which acts are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Those about this product.
    pub product: Option<&'a str>,
    /// Those about this stream of it.
    pub stream: Option<&'a str>,
    /// Those older than the act of this number.
    pub before: Option<i64>,
    /// So many at most.
    pub most: i64,
}

impl Transaction {
    /// Notes an act.
    ///
    /// # Errors
    /// The database is away.
    pub async fn record_act(&mut self, act: &Act) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_act
            insert into audit (at, actor, action, product, stream, revision, subject, reason, request_id)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            act.at.to_sqlx() as _,
            act.actor,
            act.action,
            act.product,
            act.stream,
            act.revision,
            act.subject,
            act.reason,
            act.request_id,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_act"))
    }

    /// Acts by their numbers, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn acts(&mut self, wanted: Wanted<'_>) -> Result<Vec<(i64, Act)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: acts
            select id, at as "at: jiff_sqlx::Timestamp", actor, action, product, stream, revision, subject, reason, request_id
            from audit
            where ($1::text is null or product = $1) and ($2::text is null or stream = $2)
                and ($3::bigint is null or id < $3)
            order by id desc limit $4"#,
            wanted.product,
            wanted.stream,
            wanted.before,
            wanted.most,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("acts"))?;
        let act = rows.into_iter().map(|row| {
            let act = Act {
                at: row.at.to_jiff(),
                actor: row.actor,
                action: row.action,
                product: row.product,
                stream: row.stream,
                revision: row.revision,
                subject: row.subject,
                reason: row.reason,
                request_id: row.request_id,
            };
            (row.id, act)
        });
        Ok(act.collect())
    }
}
