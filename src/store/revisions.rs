//! The revisions of streams: every state, with its actor, time and reason.

use super::{
    error::StoreError,
    rows::{StreamKey, actor},
    transaction::Transaction,
};
use crate::domain::{
    actor::Actor,
    document::{StreamDocument, Strictness},
    hash::ContentHash,
    stream::{Revision, SourceKind, Stream},
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// The actor, time and reason of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionMeta {
    /// When it was created.
    pub made_at: Timestamp,
    /// The actor that created it.
    pub actor: Actor,
    /// The reason.
    pub reason: String,
    /// The id of the request that created it.
    pub request_id: Option<String>,
}

impl Transaction {
    /// Records the current state of a stream as a revision.
    ///
    /// # Errors
    /// The database is unavailable, or the revision already exists.
    pub async fn record_revision(
        &mut self,
        key: StreamKey,
        number: Revision,
        stream: &Stream,
        record: &RevisionMeta,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_revision
            insert into revisions (stream_id, number, made_at, actor, actor_name, reason, request_id, document)
            values ($1, $2, $3, $4, $5, $6, $7, $8)",
            key.0,
            number.0,
            record.made_at.to_sqlx() as _,
            record.actor.id,
            record.actor.name,
            record.reason,
            record.request_id,
            Json(stream.to_document()) as _,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("record_revision"))?;
        let (kinds, hashes): (Vec<String>, Vec<Vec<u8>>) =
            stream.sources.iter().map(|(kind, hash)| (kind.to_string(), hash.0.to_vec())).unzip();
        sqlx::query!(
            "-- name: record_revision_sources
            insert into revision_sources (stream_id, number, kind, hash)
            select $1, $2, kind, hash from unnest($3::text[], $4::bytea[]) as source (kind, hash)",
            key.0,
            number.0,
            &kinds,
            &hashes,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_revision_sources"))
    }

    /// Returns the state of a stream at a revision.
    ///
    /// # Errors
    /// The database is unavailable, or the stored document is invalid.
    pub async fn revision(&mut self, key: StreamKey, number: Revision) -> Result<Option<Stream>, StoreError> {
        let document = sqlx::query_scalar!(
            r#"-- name: revision
            select document as "document: Json<StreamDocument>" from revisions where stream_id = $1 and number = $2"#,
            key.0,
            number.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("revision"))?;
        let Some(Json(document)) = document else { return Ok(None) };
        Stream::from_document(&document, Strictness::Recorded).map(Some).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            StoreError::corrupt("revisions", problems.join("; "))
        })
    }

    /// Returns true if a revision was created in a later second than each of the hundred before it, so that its time identifies it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn has_unique_second(&mut self, key: StreamKey, number: Revision) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"-- name: has_a_second_of_its_own
            select not exists (
                select from (
                    select made_at from revisions where stream_id = $1 and number < $2 order by number desc limit 100
                ) as before
                where made_at >= date_trunc('second', this.made_at)
            ) as "own!"
            from revisions as this where stream_id = $1 and number = $2"#,
            key.0,
            number.0
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("has_a_second_of_its_own"))
    }

    /// Returns the metadata of all revisions, oldest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn revision_records(&mut self, key: StreamKey) -> Result<Vec<(Revision, RevisionMeta)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: revision_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, actor_name, reason, request_id
            from revisions where stream_id = $1 order by number"#,
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("revision_records"))?;
        let record = rows.into_iter().map(|row| {
            let record = RevisionMeta {
                made_at: row.made_at.to_jiff(),
                actor: actor(row.actor, row.actor_name),
                reason: row.reason,
                request_id: row.request_id,
            };
            (Revision(row.number), record)
        });
        Ok(record.collect())
    }

    /// Returns the metadata of at most `limit` revisions, newest first, optionally only those before a given one.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn newest_records(
        &mut self,
        key: StreamKey,
        before: Option<Revision>,
        limit: i64,
    ) -> Result<Vec<(Revision, RevisionMeta)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: newest_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, actor_name, reason, request_id
            from revisions where stream_id = $1 and ($2::bigint is null or number < $2)
            order by number desc limit $3"#,
            key.0,
            before.map(|before| before.0),
            limit,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("newest_records"))?;
        let record = rows.into_iter().map(|row| {
            let record = RevisionMeta {
                made_at: row.made_at.to_jiff(),
                actor: actor(row.actor, row.actor_name),
                reason: row.reason,
                request_id: row.request_id,
            };
            (Revision(row.number), record)
        });
        Ok(record.collect())
    }

    pub(super) async fn sources(
        &mut self,
        key: StreamKey,
        number: Revision,
    ) -> Result<BTreeMap<SourceKind, ContentHash>, StoreError> {
        let rows = sqlx::query!(
            "-- name: sources
            select kind, hash from revision_sources where stream_id = $1 and number = $2",
            key.0,
            number.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("sources"))?;
        rows.into_iter()
            .map(|row| {
                let corrupt = |problem: String| StoreError::corrupt("revision_sources", problem);
                let kind = SourceKind::parse(&row.kind).map_err(|error| corrupt(error.to_string()))?;
                let hash = row.hash.try_into().map_err(|_| corrupt("a hash is not 32 bytes long".into()))?;
                Ok((kind, ContentHash(hash)))
            })
            .collect()
    }
}
