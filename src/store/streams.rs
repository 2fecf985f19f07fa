//! Finds, locks, loads and saves streams.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    description::Description,
    document::{self, follow_shape::FollowDocument},
    ids::StreamId,
    policy::graph_rules::TargetLimit,
    rollout::preset::Preset,
    stream::{Revision, Stream},
};
use jiff::Timestamp;
use sqlx::types::Json;

/// The newest revision of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The row id of the stream.
    pub key: StreamKey,
    /// The name of the stream.
    pub id: StreamId,
    /// Its newest revision.
    pub revision: Revision,
    /// When that revision was created; the Unix epoch for a new stream.
    pub changed_at: Timestamp,
    /// True if that revision deleted the stream.
    pub is_deleted: bool,
}

impl Head {
    /// Returns the head of a stream that does not exist.
    #[must_use]
    pub fn absent(id: StreamId) -> Self {
        Self { key: StreamKey(0), id, revision: Revision(0), changed_at: Timestamp::UNIX_EPOCH, is_deleted: false }
    }

    /// Returns true if the stream has a revision and is not deleted.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.revision > Revision(0) && !self.is_deleted
    }

    /// Returns the revision on which a request is conditional: 0 if the stream does not exist.
    #[must_use]
    pub fn present_revision(&self) -> Revision {
        if self.exists() { self.revision } else { Revision(0) }
    }
}

impl Transaction {
    /// Returns the heads of all streams, ordered by name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn heads(&mut self) -> Result<Vec<Head>, StoreError> {
        let mut heads = self.heads_with_deleted().await?;
        heads.retain(Head::exists);
        Ok(heads)
    }

    /// Returns the heads of all streams, those of deleted ones included, ordered by name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn heads_with_deleted(&mut self) -> Result<Vec<Head>, StoreError> {
        self.select_heads(false).await
    }

    /// Returns the heads of the streams whose events are not written up to them, those of deleted ones included, ordered by name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn heads_without_events(&mut self) -> Result<Vec<Head>, StoreError> {
        self.select_heads(true).await
    }

    async fn select_heads(&mut self, without_events: bool) -> Result<Vec<Head>, StoreError> {
        let rows = sqlx::query!(
            "-- name: heads
            select streams.id, products.name as product, streams.name as stream, streams.revision,
                streams.deleted_revision is not distinct from streams.revision as \"is_deleted!\",
                revisions.made_at as \"made_at: jiff_sqlx::Timestamp\"
            from streams
            join products on products.id = streams.product_id
            join revisions on revisions.stream_id = streams.id and revisions.number = streams.revision
            where not $1 or not exists (
                select from event_cursor_streams
                where event_cursor_streams.stream_id = streams.id and event_cursor_streams.revision = streams.revision
            )
            order by products.name, streams.name",
            without_events
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("heads"))?;
        rows.into_iter()
            .map(|row| {
                let id = StreamId { product: parse("products", &row.product)?, stream: parse("streams", &row.stream)? };
                let (revision, changed_at) = (Revision(row.revision), row.made_at.to_jiff());
                Ok(Head { key: StreamKey(row.id), id, revision, changed_at, is_deleted: row.is_deleted })
            })
            .collect()
    }

    /// Returns the head of a stream.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn head(&mut self, id: &StreamId) -> Result<Option<Head>, StoreError> {
        Ok(self.head_with_deleted(id).await?.filter(Head::exists))
    }

    /// Returns the head of a stream, also of a deleted one.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn head_with_deleted(&mut self, id: &StreamId) -> Result<Option<Head>, StoreError> {
        let row = sqlx::query!(
            "-- name: head
            select streams.id, streams.revision, revisions.made_at as \"made_at: jiff_sqlx::Timestamp\",
                streams.deleted_revision is not distinct from streams.revision as \"is_deleted!\"
            from streams
            join products on products.id = streams.product_id
            join revisions on revisions.stream_id = streams.id and revisions.number = streams.revision
            where products.name = $1 and streams.name = $2",
            id.product.as_str(),
            id.stream.as_str()
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("head"))?;
        Ok(row.map(|row| Head {
            key: StreamKey(row.id),
            id: id.clone(),
            revision: Revision(row.revision),
            changed_at: row.made_at.to_jiff(),
            is_deleted: row.is_deleted,
        }))
    }

    /// Locks all streams against other writers until this transaction ends.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_all_streams(&mut self) -> Result<(), StoreError> {
        sqlx::query!("-- name: lock_all_streams\nlock table streams in share row exclusive mode")
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("lock_all_streams"))
    }

    /// Locks a stream against other writers until this transaction ends. Creates its row, with revision 0, if it is new.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_stream(&mut self, id: &StreamId) -> Result<Head, StoreError> {
        let (key, revision, is_deleted) = if let Some(found) = self.lock_existing(id).await? {
            found
        } else {
            self.ensure_stream(id).await?;
            let found = self.lock_existing(id).await?;
            found.ok_or_else(|| StoreError::corrupt("streams", "a stream that was just created is missing"))?
        };
        // In the statement that locks, a subquery would not see the revision of a writer that it waited for.
        let made_at = sqlx::query_scalar!(
            "-- name: made_at
            select made_at as \"made_at: jiff_sqlx::Timestamp\" from revisions where stream_id = $1 and number = $2",
            key.0,
            revision.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("made_at"))?;
        let changed_at = made_at.map_or(Timestamp::UNIX_EPOCH, jiff_sqlx::Timestamp::to_jiff);
        Ok(Head { key, id: id.clone(), revision, changed_at, is_deleted })
    }

    /// Creates the rows of streams that have no revision yet, in the given order. The caller has locked all streams.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn create_streams(&mut self, ids: &[StreamId]) -> Result<Vec<Head>, StoreError> {
        let (products, streams): (Vec<String>, Vec<String>) =
            ids.iter().map(|id| (id.product.to_string(), id.stream.to_string())).unzip();
        sqlx::query!(
            "-- name: create_products
            insert into products (name) select distinct unnest($1::text[]) on conflict do nothing",
            &products
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("create_products"))?;
        sqlx::query!(
            "-- name: create_streams
            insert into streams (product_id, name)
            select products.id, stream from unnest($1::text[], $2::text[]) as new (product, stream)
            join products on products.name = product on conflict do nothing",
            &products,
            &streams
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("create_streams"))?;
        let rows = sqlx::query!(
            "-- name: created_streams
            select streams.id, streams.revision
            from unnest($1::text[], $2::text[]) with ordinality as new (product, stream, number)
            join products on products.name = product
            join streams on streams.product_id = products.id and streams.name = stream order by number",
            &products,
            &streams
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("created_streams"))?;
        if rows.len() != ids.len() {
            return Err(StoreError::corrupt("streams", "a stream that was just created is missing"));
        }
        let changed_at = Timestamp::UNIX_EPOCH;
        let heads = ids.iter().zip(rows).map(|(id, row)| {
            let (key, revision) = (StreamKey(row.id), Revision(row.revision));
            Head { key, revision, changed_at, ..Head::absent(id.clone()) }
        });
        Ok(heads.collect())
    }

    async fn lock_existing(&mut self, id: &StreamId) -> Result<Option<(StreamKey, Revision, bool)>, StoreError> {
        let row = sqlx::query!(
            "-- name: lock_stream
            select streams.id, streams.revision,
                streams.deleted_revision is not distinct from streams.revision as \"is_deleted!\"
            from streams join products on products.id = streams.product_id
            where products.name = $1 and streams.name = $2
            for update of streams",
            id.product.as_str(),
            id.stream.as_str()
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("lock_stream"))?;
        Ok(row.map(|row| (StreamKey(row.id), Revision(row.revision), row.is_deleted)))
    }

    /// Creates the rows of a stream and of its product, if they do not exist.
    async fn ensure_stream(&mut self, id: &StreamId) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: ensure_product
            insert into products (name) values ($1) on conflict do nothing",
            id.product.as_str()
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("ensure_product"))?;
        sqlx::query!(
            "-- name: ensure_stream
            insert into streams (product_id, name) select id, $2 from products where name = $1 on conflict do nothing",
            id.product.as_str(),
            id.stream.as_str()
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("ensure_stream"))
    }

    /// Marks a locked stream as deleted at its newest revision. Any later revision creates it again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn mark_deleted(&mut self, key: StreamKey, number: Revision) -> Result<(), StoreError> {
        self.forget_follows(key).await?;
        sqlx::query!("-- name: mark_deleted\nupdate streams set deleted_revision = $2 where id = $1", key.0, number.0)
            .execute(self.connection())
            .await
            .map(drop)
            .map_err(StoreError::at("mark_deleted"))
    }

    /// Saves the next state of a locked stream under the given revision.
    ///
    /// # Errors
    /// The database is unavailable, or a constraint rejects the state.
    pub async fn save_stream(
        &mut self,
        key: StreamKey,
        before: &Stream,
        after: &Stream,
        number: Revision,
    ) -> Result<(), StoreError> {
        let arches: Vec<String> = after.arches.iter().map(ToString::to_string).collect();
        let mirrors: Vec<String> = after.mirrors.iter().map(ToString::to_string).collect();
        let base = after.base.as_deref();
        sqlx::query!(
            "-- name: save_stream
            update streams
            set revision = $2, arches = $3, mirrors = $4, protection = $5, stopped_since = $6, stopped_because = $7,
                edge_rule = $8, identity = $9, newest_targets = $10, default_rollout = $11, description = $12,
                base_id = (select base.id from streams as base join products on products.id = base.product_id
                    where products.name = $13 and base.name = $14),
                base_lag = $15, base_policies = $16, follow = $17
            where id = $1",
            key.0,
            number.0,
            &arches,
            &mirrors,
            document::protection(&after.protection).map(Json) as _,
            after.stop.as_ref().map(|stop| stop.since.0),
            after.stop.as_ref().map(|stop| stop.reason.as_str()),
            after.rules.edge_rule.as_str(),
            after.rules.identity.as_str(),
            newest_targets(after.rules.targets),
            after.default_rollout.map(Preset::as_str),
            after.description.as_ref().map(Description::as_str),
            base.map(|base| base.stream.product.as_str()),
            base.map(|base| base.stream.stream.as_str()),
            base.and_then(|base| base.lag).map(|lag| i64::try_from(lag.0).unwrap_or(i64::MAX)),
            base.map(|base| Json(document::base_policies(&base.policies))) as _,
            after.follow.as_deref().map(FollowDocument::from).map(Json) as _,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("save_stream"))?;
        if before.follow.is_some() && after.follow.is_none() {
            self.end_following(key).await?;
        }
        let has_other_blocked_updates = before.blocked_updates != after.blocked_updates;
        if has_other_blocked_updates {
            self.clear_blocked_updates(key).await?;
        }
        let changed = self.save_releases(key, before, after, number).await?;
        self.save_payloads(key, &changed).await?;
        self.save_policies(&changed).await?;
        self.save_predecessors(key, &changed).await?;
        self.save_artifacts(&changed).await?;
        self.save_rollouts(&changed).await?;
        if has_other_blocked_updates {
            self.save_blocked_updates(key, after).await?;
        }
        Ok(())
    }
}

/// Returns the value of the column; none stands for all.
fn newest_targets(targets: TargetLimit) -> Option<i16> {
    match targets {
        TargetLimit::All => None,
        TargetLimit::Newest(newest) => i16::try_from(newest.get()).ok(),
    }
}
