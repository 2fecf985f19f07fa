//! The audit log across streams: actor, action, time and reason.

use super::{error::StoreError, rows::actor, transaction::Transaction};
use crate::domain::{actor::Actor, ids::StreamId, stream::Revision};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The time of the action.
    pub at: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The action, such as `rollout.pause`.
    pub action: String,
    /// The product that it concerns.
    pub product: Option<String>,
    /// The stream that it concerns.
    pub stream: Option<String>,
    /// The revision that it created.
    pub revision: Option<i64>,
    /// The object of the action.
    pub subject: Option<String>,
    /// The reason.
    pub reason: String,
    /// The id of the request that caused it.
    pub request_id: Option<String>,
}

/// Filters for audit entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Only entries about this product.
    pub product: Option<&'a str>,
    /// Only entries about this stream of the product.
    pub stream: Option<&'a str>,
    /// Only the entry of what created this revision.
    pub revision: Option<i64>,
    /// Only entries older than the one with this id.
    pub before: Option<i64>,
    /// The largest number of entries returned.
    pub limit: i64,
}

impl Transaction {
    /// Adds an entry to the audit log.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record_audit_entry(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_act
            insert into audit (at, actor, actor_name, action, product, stream, revision, subject, reason, request_id)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            entry.at.to_sqlx() as _,
            entry.actor.id,
            entry.actor.name,
            entry.action,
            entry.product,
            entry.stream,
            entry.revision,
            entry.subject,
            entry.reason,
            entry.request_id,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_act"))
    }

    /// Returns the entry of what made a revision of a stream.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn audit_entry_of(
        &mut self,
        id: &StreamId,
        revision: Revision,
    ) -> Result<Option<AuditEntry>, StoreError> {
        let filter = AuditFilter {
            product: Some(id.product.as_str()),
            stream: Some(id.stream.as_str()),
            revision: Some(revision.0),
            before: None,
            limit: 1,
        };
        Ok(self.audit_entries(filter).await?.pop().map(|(_, entry)| entry))
    }

    /// Returns entries with their ids, the newest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn audit_entries(&mut self, filter: AuditFilter<'_>) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: acts
            select id, at as "at: jiff_sqlx::Timestamp", actor, actor_name, action, product, stream, revision, subject,
                reason, request_id
            from audit
            where ($1::text is null or product = $1) and ($2::text is null or stream = $2)
                and ($3::bigint is null or id < $3) and ($5::bigint is null or revision = $5)
            order by id desc limit $4"#,
            filter.product,
            filter.stream,
            filter.before,
            filter.limit,
            filter.revision,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("acts"))?;
        let entries = rows.into_iter().map(|row| {
            let entry = AuditEntry {
                at: row.at.to_jiff(),
                actor: actor(row.actor, row.actor_name),
                action: row.action,
                product: row.product,
                stream: row.stream,
                revision: row.revision,
                subject: row.subject,
                reason: row.reason,
                request_id: row.request_id,
            };
            (row.id, entry)
        });
        Ok(entries.collect())
    }
}
