//! Rows of barriers, dead ends and blocked updates.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, origin},
    rows::{StreamKey, parse, parse_some, texts},
    transaction::Transaction,
};
use crate::domain::{
    ids::Arch,
    origin::Origin,
    policy::{barrier::Barrier, blocked_update::BlockedUpdate, dead_end::DeadEnd},
    reason::Reason,
    stream::Stream,
};
use serde::Serialize;
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap};

fn reason(table: &'static str, text: &str) -> Result<Reason, StoreError> {
    Reason::from_record(text).map_err(|error| StoreError::corrupt(table, error))
}

impl Transaction {
    pub(super) async fn fill_policies(&mut self, streams: &[i64], releases: &mut Loaded) -> Result<(), StoreError> {
        let barriers = sqlx::query!(
            "-- name: barriers
            select release_id, reason, arches, barriers.origin
            from barriers join releases on releases.id = release_id where stream_id = any($1)",
            streams
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
            from dead_ends join releases on releases.id = release_id where stream_id = any($1)",
            streams
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

    pub(super) async fn save_policies(&mut self, changed: &[Changed<'_>]) -> Result<(), StoreError> {
        let changed = changed.iter().filter(|changed| changed.has_other_policies());
        let (mut barriers, mut dead_ends) = (Vec::new(), Vec::new());
        for Changed { row, release, .. } in changed {
            if let Some(Barrier { reason, arches, origin }) = release.barrier.as_deref() {
                barriers.push(PolicyRow::new(*row, reason, arches.as_ref(), *origin));
            }
            if let Some(DeadEnd { reason, arches, origin }) = release.dead_end.as_deref() {
                dead_ends.push(PolicyRow::new(*row, reason, arches.as_ref(), *origin));
            }
        }
        if barriers.is_empty() && dead_ends.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "-- name: save_policies
            with saved as (
                insert into barriers (release_id, reason, arches, origin)
                select * from jsonb_to_recordset($1) as row (release_id bigint, reason text, arches text[], origin text)
            )
            insert into dead_ends (release_id, reason, arches, origin)
            select * from jsonb_to_recordset($2) as row (release_id bigint, reason text, arches text[], origin text)",
            Json(barriers) as _,
            Json(dead_ends) as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_policies"))
    }

    /// Returns the blocked updates of some streams, by stream.
    pub(super) async fn blocked_updates(
        &mut self,
        streams: &[i64],
    ) -> Result<HashMap<i64, Vec<BlockedUpdate>>, StoreError> {
        let rows = sqlx::query!(
            "-- name: blocked_updates
            select blocked_updates.stream_id, first.version as first, last.version as last, target.version as target, reason, arches,
                blocked_updates.origin
            from blocked_updates
            join releases as first on first.id = first_release_id
            join releases as last on last.id = last_release_id
            join releases as target on target.id = target_release_id
            where blocked_updates.stream_id = any($1) order by blocked_updates.position",
            streams
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("blocked_updates"))?;
        let mut blocked_updates: HashMap<i64, Vec<BlockedUpdate>> = HashMap::new();
        for row in rows {
            blocked_updates.entry(row.stream_id).or_default().push(BlockedUpdate {
                first: parse("releases", &row.first)?,
                last: parse("releases", &row.last)?,
                target: parse("releases", &row.target)?,
                reason: reason("blocked_updates", &row.reason)?,
                arches: parse_some("blocked_updates", row.arches.as_ref())?,
                origin: origin("blocked_updates", &row.origin)?,
            });
        }
        Ok(blocked_updates)
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

    pub(super) async fn save_blocked_updates(&mut self, key: StreamKey, after: &Stream) -> Result<(), StoreError> {
        let rows: Vec<BlockedRow<'_>> = (0i32..).zip(&after.blocked_updates).map(BlockedRow::new).collect();
        let count = rows.len();
        // Of releases with the same version, the older one is meant.
        let done = sqlx::query!(
            "-- name: save_blocked_updates
            insert into blocked_updates
                (stream_id, position, first_release_id, last_release_id, target_release_id, reason, arches, origin)
            select $1, listed.position, oldest.id, newest.id, target.id, listed.reason, listed.arches, listed.origin
            from jsonb_to_recordset($2) as listed
                (position integer, first text, last text, target text, reason text, arches text[], origin text)
            join releases as oldest on oldest.stream_id = $1 and oldest.version = listed.first and oldest.occurrence = 0
            join releases as newest on newest.stream_id = $1 and newest.version = listed.last and newest.occurrence = 0
            join releases as target on target.stream_id = $1 and target.version = listed.target and target.occurrence = 0",
            key.0,
            Json(rows) as _
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("save_blocked_updates"))?;
        if usize::try_from(done.rows_affected()) == Ok(count) {
            return Ok(());
        }
        Err(StoreError::corrupt("blocked_updates", "a version without a release"))
    }
}

/// A row of a barrier or a dead end.
#[derive(Serialize)]
struct PolicyRow {
    release_id: i64,
    reason: String,
    arches: Option<Vec<String>>,
    origin: &'static str,
}

impl PolicyRow {
    fn new(release_id: i64, reason: &Reason, arches: Option<&BTreeSet<Arch>>, origin: Origin) -> Self {
        Self { release_id, reason: reason.as_str().into(), arches: texts(arches), origin: origin.as_str() }
    }
}

#[derive(Serialize)]
struct BlockedRow<'a> {
    position: i32,
    first: &'a str,
    last: &'a str,
    target: &'a str,
    reason: &'a str,
    arches: Option<Vec<String>>,
    origin: &'static str,
}

impl<'a> BlockedRow<'a> {
    fn new((position, blocked): (i32, &'a BlockedUpdate)) -> Self {
        Self {
            position,
            first: blocked.first.as_str(),
            last: blocked.last.as_str(),
            target: blocked.target.as_str(),
            reason: blocked.reason.as_str(),
            arches: texts(blocked.arches.as_ref()),
            origin: blocked.origin.as_str(),
        }
    }
}
