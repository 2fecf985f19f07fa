//! The tags that could not become releases yet. Followers try them again.

use super::{error::StoreError, followed_tags::digest_of, rows::StreamKey, transaction::Transaction};
use crate::domain::hash::ContentHash;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// A tag that could not become a release yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetriedTag {
    /// The tag.
    pub tag: String,
    /// What it stood for, if the registry said it.
    pub digest: Option<ContentHash>,
    /// Why it could not become a release.
    pub error: String,
    /// When it first could not.
    pub since: Timestamp,
    /// When it was last tried.
    pub tried_at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// True if the registry did not answer when the tag was last tried: the tags after it were not tried then.
    pub is_unanswered: bool,
}

struct TagRow {
    tag: String,
    digest: Option<Vec<u8>>,
    error: String,
    since: jiff_sqlx::Timestamp,
    tried_at: jiff_sqlx::Timestamp,
    tries: i32,
    is_unanswered: bool,
}

impl TryFrom<TagRow> for RetriedTag {
    type Error = StoreError;

    fn try_from(row: TagRow) -> Result<Self, StoreError> {
        Ok(Self {
            tag: row.tag,
            digest: digest_of("retried_tags", row.digest)?,
            error: row.error,
            since: row.since.to_jiff(),
            tried_at: row.tried_at.to_jiff(),
            tries: u32::try_from(row.tries).unwrap_or_default(),
            is_unanswered: row.is_unanswered,
        })
    }
}

impl Transaction {
    /// Returns the tags of a repository that could not become releases of a stream yet, at most so many: first those that could not for the
    /// shortest time.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn retried_tags(
        &mut self,
        key: StreamKey,
        image: &str,
        limit: u32,
    ) -> Result<Vec<RetriedTag>, StoreError> {
        let rows = sqlx::query_as!(
            TagRow,
            r#"-- name: retried_tags
            select tag, digest, error, since as "since: jiff_sqlx::Timestamp", tried_at as "tried_at: jiff_sqlx::Timestamp",
                tries, is_unanswered
            from retried_tags where stream_id = $1 and image = $2 order by since desc, tag desc limit $3"#,
            key.0,
            image,
            i64::from(limit)
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("retried_tags"))?;
        rows.into_iter().map(RetriedTag::try_from).collect()
    }

    /// Records that tags of a repository could not become releases yet.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record_retried_tags(
        &mut self,
        key: StreamKey,
        image: &str,
        tags: &[RetriedTag],
    ) -> Result<(), StoreError> {
        for tag in tags {
            sqlx::query!(
                "-- name: record_retried_tag
                insert into retried_tags (stream_id, image, tag, digest, error, since, tried_at, tries, is_unanswered)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                on conflict (stream_id, image, tag) do update set digest = excluded.digest, error = excluded.error,
                    since = excluded.since, tried_at = excluded.tried_at, tries = excluded.tries,
                    is_unanswered = excluded.is_unanswered",
                key.0,
                image,
                tag.tag,
                tag.digest.as_ref().map(|digest| digest.0.as_slice()),
                tag.error,
                tag.since.to_sqlx() as _,
                tag.tried_at.to_sqlx() as _,
                i32::try_from(tag.tries).unwrap_or(i32::MAX),
                tag.is_unanswered
            )
            .execute(self.connection())
            .await
            .map_err(StoreError::at("record_retried_tag"))?;
        }
        Ok(())
    }

    /// Forgets tags that are not tried again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn forget_retried_tags(
        &mut self,
        key: StreamKey,
        image: &str,
        tags: &[String],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: forget_retried_tags
            delete from retried_tags where stream_id = $1 and image = $2 and tag = any($3)",
            key.0,
            image,
            tags
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("forget_retried_tags"))
    }

    /// Forgets all tags of a stream that would be tried again.
    pub(super) async fn end_retries(&mut self, key: StreamKey) -> Result<(), StoreError> {
        sqlx::query!("-- name: end_retries\ndelete from retried_tags where stream_id = $1", key.0)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("end_retries"))
    }
}
