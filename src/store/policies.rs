//! Rows of barriers, dead ends and blocked updates.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, ReleaseKeys, origin},
    rows::{StreamKey, parse, parse_some, texts},
    transaction::Transaction,
};
use crate::domain::{
    ids::Version,
    policy::{barrier::Barrier, blocked_update::BlockedUpdate, dead_end::DeadEnd},
    reason::Reason,
    stream::Stream,
};

fn reason(table: &'static str, text: &str) -> Result<Reason, StoreError> {
    Reason::from_record(text).map_err(|error| StoreError::corrupt(table, error))
}

impl Transaction {
    pub(super) async fn fill_policies(&mut self, key: StreamKey, releases: &mut Loaded) -> Result<(), StoreError> {
        let barriers = sqlx::query!(
            "-- name: barriers
            select release_id, reason, arches, barriers.origin
            from barriers join releases on releases.id = release_id where stream_id = $1",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("barriers"))?;
        for row in barriers {
            releases.get("barriers", row.release_id)?.barrier = Some(Box::new(Barrier {
                reason: reason("barriers", &row.reason)?,
                arches: parse_some("barriers", row.arches.as_ref())?,
                origin: origin("barriers", &row.origin)?,
            }));
        }
        let dead_ends = sqlx::query!(
            "-- name: dead_ends
            select release_id, reason, arches, dead_ends.origin
            from dead_ends join releases on releases.id = release_id where stream_id = $1",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("dead_ends"))?;
        for row in dead_ends {
            releases.get("dead_ends", row.release_id)?.dead_end = Some(Box::new(DeadEnd {
                reason: reason("dead_ends", &row.reason)?,
                arches: parse_some("dead_ends", row.arches.as_ref())?,
                origin: origin("dead_ends", &row.origin)?,
            }));
        }
        Ok(())
    }

    pub(super) async fn save_policies(&mut self, keys: &ReleaseKeys<'_>) -> Result<(), StoreError> {
        for Changed { row, release, .. } in &keys.changed {
            if let Some(Barrier { reason, arches, origin }) = release.barrier.as_deref() {
                sqlx::query!(
                    "-- name: save_barrier
                    insert into barriers (release_id, reason, arches, origin) values ($1, $2, $3, $4)",
                    row,
                    reason.as_str(),
                    texts(arches.as_ref()) as _,
                    origin.as_str()
                )
                .execute(self.connection())
                .await
                .map_err(StoreError::at("save_barrier"))?;
            }
            if let Some(DeadEnd { reason, arches, origin }) = release.dead_end.as_deref() {
                sqlx::query!(
                    "-- name: save_dead_end
                    insert into dead_ends (release_id, reason, arches, origin) values ($1, $2, $3, $4)",
                    row,
                    reason.as_str(),
                    texts(arches.as_ref()) as _,
                    origin.as_str()
                )
                .execute(self.connection())
                .await
                .map_err(StoreError::at("save_dead_end"))?;
            }
        }
        Ok(())
    }

    pub(super) async fn blocked_updates(&mut self, key: StreamKey) -> Result<Vec<BlockedUpdate>, StoreError> {
        let rows = sqlx::query!(
            "-- name: blocked_updates
            select first.version as first, last.version as last, target.version as target, reason, arches,
                blocked_updates.origin
            from blocked_updates
            join releases as first on first.id = first_release_id
            join releases as last on last.id = last_release_id
            join releases as target on target.id = target_release_id
            where blocked_updates.stream_id = $1 order by blocked_updates.position",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("blocked_updates"))?;
        rows.into_iter()
            .map(|row| {
                Ok(BlockedUpdate {
                    first: parse("releases", &row.first)?,
                    last: parse("releases", &row.last)?,
                    target: parse("releases", &row.target)?,
                    reason: reason("blocked_updates", &row.reason)?,
                    arches: parse_some("blocked_updates", row.arches.as_ref())?,
                    origin: origin("blocked_updates", &row.origin)?,
                })
            })
            .collect()
    }

    /// Deletes all blocked updates. They refer to releases, so they are deleted before any release.
    pub(super) async fn clear_blocked_updates(&mut self, key: StreamKey) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: clear_blocked_updates
            delete from blocked_updates where stream_id = $1",
            key.0
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("clear_blocked_updates"))
    }

    pub(super) async fn save_blocked_updates(
        &mut self,
        key: StreamKey,
        keys: &ReleaseKeys<'_>,
        after: &Stream,
    ) -> Result<(), StoreError> {
        let row = |version: &Version| {
            keys.row(version).ok_or_else(|| StoreError::corrupt("blocked_updates", "a version without a release"))
        };
        for (position, blocked) in (0i32..).zip(&after.blocked_updates) {
            sqlx::query!(
                "-- name: save_blocked_update
                insert into blocked_updates
                    (stream_id, position, first_release_id, last_release_id, target_release_id, reason, arches, origin)
                values ($1, $2, $3, $4, $5, $6, $7, $8)",
                key.0,
                position,
                row(&blocked.first)?,
                row(&blocked.last)?,
                row(&blocked.target)?,
                blocked.reason.as_str(),
                texts(blocked.arches.as_ref()) as _,
                blocked.origin.as_str()
            )
            .execute(self.connection())
            .await
            .map_err(StoreError::at("save_blocked_update"))?;
        }
        Ok(())
    }
}
