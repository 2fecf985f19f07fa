//! What followers know of the streams that follow repositories. The one process that holds [`Task::Follow`](super::task_lock::Task) writes it.

use super::{
    database::Store,
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{ids::StreamId, stream::Revision};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// A stream whose repository is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueFollow {
    /// Its row id.
    pub key: StreamKey,
    /// Its name.
    pub id: StreamId,
    /// The repository that it follows.
    pub image: String,
    /// The pattern of tags.
    pub tags: String,
    /// When a registry said that the repository has changed.
    pub woken_at: Option<Timestamp>,
}

/// When looks are due.
#[derive(Debug, Clone, Copy)]
pub struct FollowTimes {
    /// The present time.
    pub now: Timestamp,
    /// A stream that was looked at since then is not looked at earlier than planned.
    pub rested_since: Timestamp,
}

/// What one look at a repository leaves for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FollowState {
    /// The repository of the last look.
    pub image: Option<String>,
    /// The pattern of the last look.
    pub tags: Option<String>,
    /// When the follower first got a list of these tags.
    pub followed_since: Option<Timestamp>,
    /// The entity tag of the list of tags.
    pub etag: Option<String>,
    /// When the last look ended.
    pub checked_at: Option<Timestamp>,
    /// When the last look that did not fail ended.
    pub succeeded_at: Option<Timestamp>,
    /// Why the last look failed.
    pub error: Option<String>,
    /// Why the tag that was tried last became no release.
    pub tag_error: Option<String>,
    /// The number of looks in a row that failed.
    pub failures: u32,
    /// When the next look is due.
    pub next_at: Option<Timestamp>,
    /// The tags that wait.
    pub waiting: WaitingTags,
    /// When a follower last published a release, as far as the revisions up to `seen_revision` show.
    pub published_at: Option<Timestamp>,
    /// The last of the stream's revisions that followers have seen.
    pub seen_revision: Revision,
}

/// Tags whose time has not come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WaitingTags {
    /// The first of them.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
    /// Why they wait.
    pub because: Option<String>,
}

impl Store {
    /// Makes looks at repositories due: for the streams that follow a repository with one of these paths, in any registry. Returns their number.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn wake_follows(&self, paths: &[String], now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.begin("wake_follows").await?;
        let woken = sqlx::query!(
            "-- name: wake_follows
            insert into follow_states (stream_id, wake_at)
            select id, $2 from streams
            where follow is not null
                and substring(follow->>'image' from position('/' in follow->>'image') + 1) = any($1)
                and deleted_revision is distinct from revision
            order by id
            on conflict (stream_id) do update set wake_at = excluded.wake_at",
            paths,
            now.to_sqlx() as _
        )
        .execute(transaction.connection())
        .await
        .map_err(StoreError::at("wake_follows"))?;
        transaction.commit().await?;
        Ok(woken.rows_affected())
    }
}

impl Transaction {
    /// Returns the streams whose repositories are to be looked at: first those that registries reported, and then those that wait for the longest
    /// time.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn due_follows(&mut self, times: FollowTimes, limit: u32) -> Result<Vec<DueFollow>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: due_follows
            select streams.id, products.name as product, streams.name as stream,
                coalesce(follow->>'image', '') as "image!", coalesce(follow->>'tags', '') as "tags!",
                wake_at as "wake_at?: jiff_sqlx::Timestamp"
            from streams
            join products on products.id = streams.product_id
            left join follow_states on follow_states.stream_id = streams.id
            where streams.follow is not null and streams.deleted_revision is distinct from streams.revision
                and (checked_at is null or next_at <= $1 or checked_at <= $2 and (
                    wake_at is not null or follow_states.image is distinct from follow->>'image'
                    or follow_states.tags is distinct from follow->>'tags'
                ))
            order by wake_at nulls last, next_at nulls first, streams.id
            limit $3"#,
            times.now.to_sqlx() as _,
            times.rested_since.to_sqlx() as _,
            i64::from(limit)
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("due_follows"))?;
        rows.into_iter()
            .map(|row| {
                let id = StreamId { product: parse("products", &row.product)?, stream: parse("streams", &row.stream)? };
                let woken_at = row.wake_at.map(jiff_sqlx::Timestamp::to_jiff);
                Ok(DueFollow { key: StreamKey(row.id), id, image: row.image, tags: row.tags, woken_at })
            })
            .collect()
    }

    /// Returns the streams whose last look failed, or whose tag that was tried last became no release, and why, ordered by name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn failing_follows(&mut self) -> Result<Vec<(StreamId, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: failing_follows
            select products.name as product, streams.name as stream, coalesce(error, tag_error) as "error!"
            from follow_states
            join streams on streams.id = follow_states.stream_id
            join products on products.id = streams.product_id
            where coalesce(error, tag_error) is not null and streams.follow is not null
                and streams.deleted_revision is distinct from streams.revision
            order by products.name, streams.name"#
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("failing_follows"))?;
        rows.into_iter()
            .map(|row| {
                let id = StreamId { product: parse("products", &row.product)?, stream: parse("streams", &row.stream)? };
                Ok((id, row.error))
            })
            .collect()
    }

    /// Returns what the last look at the repository of a stream left.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn follow_state(&mut self, key: StreamKey) -> Result<FollowState, StoreError> {
        let row = sqlx::query!(
            r#"-- name: follow_state
            select image, tags, followed_since as "followed_since: jiff_sqlx::Timestamp", etag,
                checked_at as "checked_at: jiff_sqlx::Timestamp",
                succeeded_at as "succeeded_at: jiff_sqlx::Timestamp", error, tag_error, failures,
                next_at as "next_at: jiff_sqlx::Timestamp", waiting, waiting_count, waiting_because,
                published_at as "published_at: jiff_sqlx::Timestamp", seen_revision
            from follow_states where stream_id = $1"#,
            key.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("follow_state"))?;
        let Some(row) = row else { return Ok(FollowState::default()) };
        let time = |time: Option<jiff_sqlx::Timestamp>| time.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(FollowState {
            image: row.image,
            tags: row.tags,
            followed_since: time(row.followed_since),
            etag: row.etag,
            checked_at: time(row.checked_at),
            succeeded_at: time(row.succeeded_at),
            error: row.error,
            tag_error: row.tag_error,
            failures: u32::try_from(row.failures).unwrap_or_default(),
            next_at: time(row.next_at),
            waiting: WaitingTags {
                first: row.waiting,
                count: usize::try_from(row.waiting_count).unwrap_or_default(),
                because: row.waiting_because,
            },
            published_at: time(row.published_at),
            seen_revision: Revision(row.seen_revision.unwrap_or_default()),
        })
    }

    /// Returns true if a stream still follows what a look is for. Until the transaction ends, that stays so: what the look leaves is not saved for
    /// another setting, nor for none.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_follow(&mut self, look: &DueFollow) -> Result<bool, StoreError> {
        let found = sqlx::query!(
            r#"-- name: lock_follow
            select id from streams
            where id = $1 and follow->>'image' = $2 and follow->>'tags' = $3 and deleted_revision is distinct from revision
            for share"#,
            look.key.0,
            look.image,
            look.tags
        );
        let found = found.fetch_optional(self.connection()).await.map_err(StoreError::at("lock_follow"))?;
        Ok(found.is_some())
    }

    /// Saves what a look leaves, and ends the wait of registries that reported a change before it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn save_follow_state(&mut self, look: &DueFollow, state: &FollowState) -> Result<(), StoreError> {
        let time = |time: Option<Timestamp>| time.map(ToSqlx::to_sqlx);
        sqlx::query!(
            "-- name: save_follow_state
            insert into follow_states (stream_id, image, tags, etag, checked_at, succeeded_at, error, failures, next_at,
                waiting, waiting_count, waiting_because, followed_since, tag_error, published_at, seen_revision)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14, $15, $16, $17)
            on conflict (stream_id) do update set
                image = excluded.image, tags = excluded.tags, etag = excluded.etag, checked_at = excluded.checked_at,
                succeeded_at = excluded.succeeded_at, error = excluded.error, failures = excluded.failures,
                next_at = excluded.next_at, waiting = excluded.waiting, waiting_count = excluded.waiting_count,
                waiting_because = excluded.waiting_because, followed_since = excluded.followed_since,
                tag_error = excluded.tag_error, published_at = excluded.published_at,
                seen_revision = excluded.seen_revision,
                wake_at = case when follow_states.wake_at is distinct from $13 then follow_states.wake_at end",
            look.key.0,
            state.image.as_deref(),
            state.tags.as_deref(),
            state.etag.as_deref(),
            time(state.checked_at) as _,
            time(state.succeeded_at) as _,
            state.error.as_deref(),
            i32::try_from(state.failures).unwrap_or(i32::MAX),
            time(state.next_at) as _,
            &state.waiting.first,
            i64::try_from(state.waiting.count).unwrap_or(i64::MAX),
            state.waiting.because.as_deref(),
            time(look.woken_at) as _,
            time(state.followed_since) as _,
            state.tag_error.as_deref(),
            time(state.published_at) as _,
            state.seen_revision.0
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_follow_state"))
    }
}
