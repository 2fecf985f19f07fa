//! The tags that followers have handled.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{hash::ContentHash, stream::Revision};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use strum::{EnumString, IntoStaticStr};

/// The actor of the revisions that followers make.
pub const ACTOR: &str = "follow";

/// What became of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TagOutcome {
    /// It was there before the stream followed the repository.
    Skipped,
    /// A draft.
    Drafted,
    /// A published release.
    Published,
    /// A release had the image already.
    Existing,
    /// Its image cannot become a release.
    Refused,
}

impl TagOutcome {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A tag that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedTag {
    /// The tag.
    pub tag: String,
    /// What it stood for; `None` for a skipped tag until it is asked for.
    pub digest: Option<ContentHash>,
    /// When it was handled.
    pub handled_at: Timestamp,
    /// What became of it.
    pub outcome: TagOutcome,
    /// The version of the release that has the image.
    pub release: Option<String>,
    /// Why it became no release.
    pub error: Option<String>,
    /// The warnings that its release had when it was made.
    pub warnings: Vec<String>,
    /// Since when the registry does not list it.
    pub missing_since: Option<Timestamp>,
}

struct TagRow {
    tag: String,
    digest: Option<Vec<u8>>,
    handled_at: jiff_sqlx::Timestamp,
    outcome: String,
    release: Option<String>,
    error: Option<String>,
    warnings: Vec<String>,
    missing_since: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<TagRow> for FollowedTag {
    type Error = StoreError;

    fn try_from(row: TagRow) -> Result<Self, StoreError> {
        Ok(Self {
            tag: row.tag,
            digest: digest_of("followed_tags", row.digest)?,
            handled_at: row.handled_at.to_jiff(),
            outcome: parse("followed_tags", &row.outcome)?,
            release: row.release,
            error: row.error,
            warnings: row.warnings,
            missing_since: row.missing_since.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

/// Returns the digest in a row of a table.
pub(super) fn digest_of(table: &'static str, stored: Option<Vec<u8>>) -> Result<Option<ContentHash>, StoreError> {
    let digest = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes.as_slice()).map(ContentHash);
    stored.map(digest).transpose().map_err(|error| StoreError::corrupt(table, error))
}

impl Transaction {
    /// Returns the tags of a repository that were handled for a stream, ordered by name.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn followed_tags(&mut self, key: StreamKey, image: &str) -> Result<Vec<FollowedTag>, StoreError> {
        let rows = sqlx::query_as!(
            TagRow,
            r#"-- name: followed_tags
            select tag, digest, handled_at as "handled_at: jiff_sqlx::Timestamp", outcome, release, error,
                warnings, missing_since as "missing_since: jiff_sqlx::Timestamp"
            from followed_tags where stream_id = $1 and image = $2 order by tag"#,
            key.0,
            image
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("followed_tags"))?;
        rows.into_iter().map(FollowedTag::try_from).collect()
    }

    /// Returns the tags that were handled last, the newest first, without those that were skipped.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn recent_followed_tags(
        &mut self,
        key: StreamKey,
        image: &str,
        limit: u32,
    ) -> Result<Vec<FollowedTag>, StoreError> {
        let rows = sqlx::query_as!(
            TagRow,
            r#"-- name: recent_followed_tags
            select tag, digest, handled_at as "handled_at: jiff_sqlx::Timestamp", outcome, release, error,
                warnings, missing_since as "missing_since: jiff_sqlx::Timestamp"
            from followed_tags where stream_id = $1 and image = $2 and outcome <> 'skipped'
            order by handled_at desc, tag desc limit $3"#,
            key.0,
            image,
            i64::from(limit)
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("recent_followed_tags"))?;
        rows.into_iter().map(FollowedTag::try_from).collect()
    }

    /// Records what became of tags of a repository, which are not tried again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn record_tags(&mut self, key: StreamKey, image: &str, tags: &[FollowedTag]) -> Result<(), StoreError> {
        for tag in tags {
            sqlx::query!(
                "-- name: record_tag
                insert into followed_tags (stream_id, image, tag, digest, handled_at, outcome, release, error, warnings)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                on conflict (stream_id, image, tag) do update set digest = excluded.digest,
                    handled_at = excluded.handled_at, outcome = excluded.outcome, release = excluded.release,
                    error = excluded.error, warnings = excluded.warnings, missing_since = null",
                key.0,
                image,
                tag.tag,
                tag.digest.as_ref().map(|digest| digest.0.as_slice()),
                tag.handled_at.to_sqlx() as _,
                tag.outcome.as_str(),
                tag.release.as_deref(),
                tag.error.as_deref(),
                &tag.warnings
            )
            .execute(self.connection())
            .await
            .map_err(StoreError::at("record_tag"))?;
        }
        let names: Vec<String> = tags.iter().map(|tag| tag.tag.clone()).collect();
        self.forget_retried_tags(key, image, &names).await
    }

    /// Records since when the registry does not list tags; `None`: it lists them again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_missing_tags(
        &mut self,
        key: StreamKey,
        image: &str,
        tags: &[String],
        since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: mark_missing_tags
            update followed_tags set missing_since = $4 where stream_id = $1 and image = $2 and tag = any($3)",
            key.0,
            image,
            tags,
            since.map(ToSqlx::to_sqlx) as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("mark_missing_tags"))
    }

    /// Forgets tags that were handled.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn forget_tags(&mut self, key: StreamKey, image: &str, tags: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: forget_tags
            delete from followed_tags where stream_id = $1 and image = $2 and tag = any($3)",
            key.0,
            image,
            tags
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("forget_tags"))
    }

    /// Records that tags were there before a stream followed their repository, and forgets those of other repositories and those that would be tried
    /// again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn begin_following(
        &mut self,
        key: StreamKey,
        image: &str,
        skipped: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.end_retries(key).await?;
        sqlx::query!(
            "-- name: forget_followed_tags
            delete from followed_tags where stream_id = $1 and image <> $2",
            key.0,
            image
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("forget_followed_tags"))?;
        sqlx::query!(
            "-- name: skip_tags
            insert into followed_tags (stream_id, image, tag, handled_at, outcome)
            select $1, $2, tag, $4, 'skipped' from unnest($3::text[]) as skipped (tag)
            on conflict do nothing",
            key.0,
            image,
            skipped,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("skip_tags"))
    }

    /// Forgets the last look at the repository of a stream that follows nothing any more: the next one is a first look again.
    pub(super) async fn end_following(&mut self, key: StreamKey) -> Result<(), StoreError> {
        self.end_retries(key).await?;
        sqlx::query!("-- name: end_following\ndelete from follow_states where stream_id = $1", key.0)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("end_following"))
    }

    /// Forgets all that followers know of a stream: a later one of its name begins anew.
    pub(super) async fn forget_follows(&mut self, key: StreamKey) -> Result<(), StoreError> {
        self.end_following(key).await?;
        sqlx::query!("-- name: forget_follows\ndelete from followed_tags where stream_id = $1", key.0)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("forget_follows"))
    }

    /// Returns when a follower last changed a stream after a revision.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn last_change_by_follower(
        &mut self,
        key: StreamKey,
        after: Revision,
    ) -> Result<Option<Timestamp>, StoreError> {
        let made_at = sqlx::query_scalar!(
            r#"-- name: last_change_by_follower
            select made_at as "made_at: jiff_sqlx::Timestamp" from revisions
            where stream_id = $1 and actor = $2 and number > $3 order by number desc limit 1"#,
            key.0,
            ACTOR,
            after.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("last_change_by_follower"))?;
        Ok(made_at.map(jiff_sqlx::Timestamp::to_jiff))
    }
}
