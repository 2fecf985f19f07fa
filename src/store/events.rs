//! Events and what they cover. The one process that holds [`Task::Events`](super::task_lock::Task) writes them.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    epoch::Epoch,
    event::{Event, EventKind, EventRollout},
    ids::ProductName,
    reason::Reason,
    rollout::id::RolloutId,
    stream::Revision,
};
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use std::collections::HashMap;

/// The tables that backups leave out.
pub const TABLES: [&str; 4] = ["events", "event_cursor", "event_cursor_streams", "event_cursor_stops"];

/// Which events there are, and the time that they cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor {
    /// The id of the newest event.
    pub last_id: i64,
    /// The id of the newest event that was deleted. All later ones are kept.
    pub deleted_to: i64,
    /// The time up to which rollouts were followed.
    pub covered_until: Epoch,
}

/// A product stop whose end was not written as an event yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStop {
    /// The row id of the stop.
    pub id: i64,
    /// The product.
    pub product: ProductName,
    /// The stop.
    pub stop: EmergencyStop,
    /// When it was lifted.
    pub lifted_at: Option<Epoch>,
    /// Whether its begin was written as an event.
    pub is_begin_written: bool,
}

/// What moves the cursor.
#[derive(Debug, Default)]
pub struct CursorMoves {
    /// The streams with other revisions, and the newest of those.
    pub streams: Vec<(StreamKey, Revision)>,
    /// The product stops that began or ended, and whether they have ended.
    pub stops: Vec<(i64, bool)>,
}

/// The columns of an event that depend on its kind.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

impl Details {
    fn of_rollout(rollout: &EventRollout, share: f64) -> Self {
        Self {
            release: Some(rollout.release.to_string()),
            rollout: Some(rollout.id.number()),
            share: Some(share),
            ..Self::default()
        }
    }

    fn rollout(&self) -> Option<Result<EventRollout, StoreError>> {
        let (release, id) = (self.release.as_deref()?, RolloutId::from_number(self.rollout?)?);
        Some(parse("events", release).map(|release| EventRollout { release, id }))
    }

    fn kind(self, name: &str) -> Result<EventKind, StoreError> {
        let rollout = self.rollout().transpose()?;
        let kind = match name {
            "revision" => self.revision.zip(self.actor).zip(self.reason).map(|((revision, actor), reason)| {
                EventKind::Revision { revision: Revision(revision), command: self.command, actor, reason }
            }),
            "rollout_share" => {
                rollout.zip(self.share).map(|(rollout, share)| EventKind::RolloutShare { rollout, share })
            }
            "gate_waiting" => {
                rollout.zip(self.share).map(|(rollout, next_share)| EventKind::GateWaiting { rollout, next_share })
            }
            "stop_begun" => self.reason.map(|reason| EventKind::StopBegun { reason }),
            "stop_ended" => Some(EventKind::StopEnded),
            _ => None,
        };
        kind.ok_or_else(|| StoreError::corrupt("events", format!("details of an event of the kind {name:?}")))
    }
}

fn name_and_details(kind: &EventKind) -> (&'static str, Details) {
    match kind {
        EventKind::Revision { revision, command, actor, reason } => {
            let details = Details {
                revision: Some(revision.0),
                command: command.clone(),
                actor: Some(actor.clone()),
                reason: Some(reason.clone()),
                ..Details::default()
            };
            ("revision", details)
        }
        EventKind::RolloutShare { rollout, share } => ("rollout_share", Details::of_rollout(rollout, *share)),
        EventKind::GateWaiting { rollout, next_share } => ("gate_waiting", Details::of_rollout(rollout, *next_share)),
        EventKind::StopBegun { reason } => {
            ("stop_begun", Details { reason: Some(reason.clone()), ..Details::default() })
        }
        EventKind::StopEnded => ("stop_ended", Details::default()),
    }
}

impl Transaction {
    /// Returns the cursor, or `None` if no process has begun to write events.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn event_cursor(&mut self) -> Result<Option<EventCursor>, StoreError> {
        let row = sqlx::query!("-- name: event_cursor\nselect last_id, deleted_to, covered_until from event_cursor");
        let row = row.fetch_optional(self.connection()).await.map_err(StoreError::at("event_cursor"))?;
        Ok(row.map(|row| EventCursor {
            last_id: row.last_id,
            deleted_to: row.deleted_to,
            covered_until: Epoch(row.covered_until),
        }))
    }

    /// Returns the revision of each stream up to which events were written.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn event_revisions(&mut self) -> Result<HashMap<StreamKey, Revision>, StoreError> {
        let rows = sqlx::query!("-- name: event_revisions\nselect stream_id, revision from event_cursor_streams");
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("event_revisions"))?;
        Ok(rows.into_iter().map(|row| (StreamKey(row.stream_id), Revision(row.revision))).collect())
    }

    /// Returns the product stops whose end was not written as an event yet, in the order of their begin.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn event_stops(&mut self) -> Result<Vec<EventStop>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: event_stops
            select product_stops.id, products.name as product, since, reason, lifted_at,
                event_cursor_stops.stop_id is not null as "is_begin_written!"
            from product_stops
            join products on products.id = product_id
            left join event_cursor_stops on event_cursor_stops.stop_id = product_stops.id
            where event_cursor_stops.has_ended is not true
            order by since, product_stops.id"#
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("event_stops"))?;
        let stop = |since, reason: &str| {
            let reason = Reason::new(reason).map_err(|error| StoreError::corrupt("product_stops", error))?;
            Ok::<_, StoreError>(EmergencyStop { since: Epoch(since), reason })
        };
        let stops = rows.into_iter().map(|row| {
            Ok(EventStop {
                id: row.id,
                product: parse("products", &row.product)?,
                stop: stop(row.since, &row.reason)?,
                lifted_at: row.lifted_at.map(Epoch),
                is_begin_written: row.is_begin_written,
            })
        });
        stops.collect()
    }

    /// Begins to write events. Fails if another process has begun.
    ///
    /// # Errors
    /// The database is unavailable, or has a cursor.
    pub async fn begin_events(&mut self, cursor: &EventCursor, moves: &CursorMoves) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: begin_events
            insert into event_cursor (last_id, deleted_to, covered_until) values ($1, $2, $3)",
            cursor.last_id,
            cursor.deleted_to,
            cursor.covered_until.0
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("begin_events"))?;
        self.move_cursor(moves).await
    }

    /// Adds events, whose ids follow that of the newest one, moves the cursor, deletes old events, and notifies the readers at commit. Returns
    /// false if the cursor is no longer the given one: another process writes.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn add_events(
        &mut self,
        events: &[Event],
        from: &EventCursor,
        to: &EventCursor,
        moves: &CursorMoves,
    ) -> Result<bool, StoreError> {
        let update = sqlx::query!(
            "-- name: move_event_cursor
            update event_cursor set last_id = $2, deleted_to = $3, covered_until = $4 where last_id = $1",
            from.last_id,
            to.last_id,
            to.deleted_to,
            to.covered_until.0
        );
        let updated = update.execute(self.connection()).await.map_err(StoreError::at("move_event_cursor"))?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        // Of more events than are kept, only the newest are stored.
        let numbered = (from.last_id + 1..).zip(events).filter(|(id, _)| *id > to.deleted_to);
        self.insert_events(numbered).await?;
        sqlx::query!("-- name: delete_events\ndelete from events where id <= $1", to.deleted_to)
            .execute(self.connection())
            .await
            .map_err(StoreError::at("delete_events"))?;
        self.move_cursor(moves).await?;
        self.announce_events().await?;
        Ok(true)
    }

    async fn insert_events<'a>(&mut self, events: impl Iterator<Item = (i64, &'a Event)>) -> Result<(), StoreError> {
        let (mut ids, mut times, mut products, mut streams) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut kinds, mut details) = (Vec::new(), Vec::new());
        for (id, event) in events {
            let (kind, content) = name_and_details(&event.kind);
            ids.push(id);
            times.push(event.at.to_sqlx());
            products.push(event.product.to_string());
            streams.push(event.stream.as_ref().map(ToString::to_string));
            kinds.push(kind.to_owned());
            details.push(serde_json::to_value(content).map_err(|error| StoreError::corrupt("events", error))?);
        }
        sqlx::query!(
            "-- name: insert_events
            insert into events (id, at, product, stream, kind, details)
            select * from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::jsonb[])",
            &ids,
            &times as _,
            &products,
            &streams as _,
            &kinds,
            &details
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("insert_events"))
    }

    async fn move_cursor(&mut self, moves: &CursorMoves) -> Result<(), StoreError> {
        let (streams, revisions): (Vec<i64>, Vec<i64>) =
            moves.streams.iter().map(|(key, revision)| (key.0, revision.0)).unzip();
        sqlx::query!(
            "-- name: move_event_revisions
            insert into event_cursor_streams (stream_id, revision) select * from unnest($1::bigint[], $2::bigint[])
            on conflict (stream_id) do update set revision = excluded.revision",
            &streams,
            &revisions
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("move_event_revisions"))?;
        let (stops, ended): (Vec<i64>, Vec<bool>) = moves.stops.iter().copied().unzip();
        sqlx::query!(
            "-- name: move_event_stops
            insert into event_cursor_stops (stop_id, has_ended) select * from unnest($1::bigint[], $2::boolean[])
            on conflict (stop_id) do update set has_ended = excluded.has_ended",
            &stops,
            &ended
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("move_event_stops"))
    }

    /// Returns at most `limit` events after an id, oldest first, with their ids.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn events_after(&mut self, id: i64, limit: i64) -> Result<Vec<(i64, Event)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: events_after
            select id, at as "at: jiff_sqlx::Timestamp", product, stream, kind, details as "details: Json<Details>"
            from events where id > $1 order by id limit $2"#,
            id,
            limit
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("events_after"))?;
        let events = rows.into_iter().map(|row| {
            let Json(details) = row.details;
            let event = Event {
                at: row.at.to_jiff(),
                product: parse("events", &row.product)?,
                stream: row.stream.as_deref().map(|stream| parse("events", stream)).transpose()?,
                kind: details.kind(&row.kind)?,
            };
            Ok((row.id, event))
        });
        events.collect()
    }
}
