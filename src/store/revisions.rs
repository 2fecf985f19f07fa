//! History: every state that a stream was in, who made it, when and why.

use super::{error::StoreError, rows::StreamKey, transaction::Transaction};
use crate::domain::{
    document::{StreamDocument, Strictness},
    hash::ContentHash,
    stream::{Revision, SourceKind, Stream},
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// Who changed a stream, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub made_at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request by which it was made.
    pub request_id: Option<String>,
}

impl Transaction {
    /// Writes down the state that a stream is in now.
    ///
    /// # Errors
    /// The database is away, or has this revision already.
    pub async fn record_revision(
        &mut self,
        key: StreamKey,
        number: Revision,
        stream: &Stream,
        record: &Record,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: record_revision
            insert into revisions (stream_id, number, made_at, actor, reason, request_id, document)
            values ($1, $2, $3, $4, $5, $6, $7)",
            key.0,
            number.0,
            record.made_at.to_sqlx() as _,
            record.actor,
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

    /// The state that a stream was in at a revision.
    ///
    /// # Errors
    /// The database is away, or the document cannot be read.
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

    /// Was a revision made in a later second than each of the hundred before it? Then that second names it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn has_a_second_of_its_own(&mut self, key: StreamKey, number: Revision) -> Result<bool, StoreError> {
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

    /// Who made each revision, oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn revision_records(&mut self, key: StreamKey) -> Result<Vec<(Revision, Record)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: revision_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, reason, request_id
            from revisions where stream_id = $1 order by number"#,
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("revision_records"))?;
        let record = |made_at: jiff_sqlx::Timestamp, actor, reason, request_id| Record {
            made_at: made_at.to_jiff(),
            actor,
            reason,
            request_id,
        };
        Ok(rows
            .into_iter()
            .map(|row| (Revision(row.number), record(row.made_at, row.actor, row.reason, row.request_id)))
            .collect())
    }

    /// Who made the newest revisions, or the newest before another: the newest first, so many at most.
    ///
    /// # Errors
    /// The database is away.
    pub async fn newest_records(
        &mut self,
        key: StreamKey,
        before: Option<Revision>,
        most: i64,
    ) -> Result<Vec<(Revision, Record)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: newest_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, reason, request_id
            from revisions where stream_id = $1 and ($2::bigint is null or number < $2)
            order by number desc limit $3"#,
            key.0,
            before.map(|before| before.0),
            most,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("newest_records"))?;
        let record = |made_at: jiff_sqlx::Timestamp, actor, reason, request_id| Record {
            made_at: made_at.to_jiff(),
            actor,
            reason,
            request_id,
        };
        Ok(rows
            .into_iter()
            .map(|row| (Revision(row.number), record(row.made_at, row.actor, row.reason, row.request_id)))
            .collect())
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
