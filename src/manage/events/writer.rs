//! Writes events. Every process that may write runs this, and the one that holds the lock writes.

use super::follow::{Followed, StopChanges, TimedEvent};
use crate::{
    domain::{
        epoch::Epoch,
        event::{Event, EventKind, Progress},
        stream::{Revision, Stream},
    },
    manage::{manager::Manage, records::StoreError},
    store::{
        StreamKey, Transaction,
        events::{CursorMoves, EventCursor, EventStop},
        streams::Head,
        task_lock::{Task, TaskLock},
    },
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Writes the events of the database while it holds the lock.
pub struct EventWriter {
    manage: Manage,
    /// The number of events that are kept.
    max_events: u32,
    lock: Option<TaskLock>,
    covered: Option<Covered>,
}

/// What the events cover, at a cursor.
struct Covered {
    cursor: EventCursor,
    /// The revision of each stream up to which events were written.
    revisions: HashMap<StreamKey, Revision>,
    /// The streams of which a share or a gate is to come. States of others are not kept in memory.
    streams: HashMap<StreamKey, Followed>,
    /// Whether all streams were looked at in this process, so that only these and changed ones can have events.
    is_complete: bool,
    /// Revisions that cannot be read. Each is logged once.
    broken: HashMap<StreamKey, Revision>,
}

/// What the database has to be covered.
struct Present {
    /// The streams that may have new events.
    heads: Vec<Head>,
    stops: Vec<EventStop>,
    now: Epoch,
}

/// The longest time in which the database must answer.
const MAX_TIME: Duration = Duration::from_secs(30);

impl EventWriter {
    /// Creates a writer that keeps the newest `max_events` events.
    #[must_use]
    pub fn new(manage: Manage, max_events: u32) -> Self {
        Self { manage, max_events, lock: None, covered: None }
    }

    /// Writes events whenever it is woken, and when a rollout reaches a share or a gate. Never returns.
    pub async fn run(mut self, mut wake: watch::Receiver<()>) {
        loop {
            let written = tokio::time::timeout(MAX_TIME, self.write()).await;
            let next = match written.unwrap_or(Err(StoreError::Timeout { seconds: MAX_TIME.as_secs() })) {
                Ok(next) => next,
                Err(error) => {
                    // The lock is lost with its connection, and another process may have got it.
                    (self.lock, self.covered) = (None, None);
                    tracing::warn!(error = &error as &dyn std::error::Error, "events cannot be written now");
                    None
                }
            };
            tokio::select! {
                woken = wake.changed() => {
                    if woken.is_err() {
                        return std::future::pending().await;
                    }
                }
                () = self.wait_until(next) => {}
            }
        }
    }

    async fn wait_until(&self, next: Option<Epoch>) {
        let Some(next) = next.and_then(|next| Timestamp::from_second(next.0).ok()) else {
            return std::future::pending().await;
        };
        let remaining = next.duration_since(self.manage.clock().now());
        tokio::time::sleep(Duration::try_from(remaining).unwrap_or_default()).await;
    }

    /// Writes all new events, if this process holds the lock. Returns when a rollout reaches the next share or gate.
    ///
    /// # Errors
    /// The database is unavailable, or another process has begun to write.
    pub async fn write(&mut self) -> Result<Option<Epoch>, StoreError> {
        if !self.holds_lock().await? {
            self.covered = None;
            return Ok(None);
        }
        let mut transaction = self.manage.store().begin_on_snapshot("write_events").await?;
        let cursor = transaction.event_cursor().await?;
        let (stops, now) = (transaction.event_stops().await?, self.manage.now());
        let Some(cursor) = cursor else {
            let heads = transaction.heads_with_deleted().await?;
            self.begin(&mut transaction, &Present { heads, stops, now }).await?;
            transaction.commit().await?;
            return Ok(None);
        };
        // The clock of the process that wrote before may be ahead.
        let now = now.max(cursor.covered_until);
        // Taken: if this fails, what was followed is loaded again.
        let mut covered = match self.covered.take().filter(|covered| covered.cursor == cursor) {
            Some(covered) => covered,
            None => Covered::new(cursor, transaction.event_revisions().await?),
        };
        let heads = covered.heads_to_follow(&mut transaction, &stops, now).await?;
        let present = Present { heads, stops, now };
        let (events, moves) = covered.follow(&self.manage, &mut transaction, &present).await?;
        if !events.is_empty() {
            covered.cursor = self.cursor_after(&cursor, events.len(), now);
            if !transaction.add_events(&events, &cursor, &covered.cursor, &moves).await? {
                return Err(StoreError::Lost);
            }
            transaction.commit().await?;
            self.manage.metrics().events_written(events.len());
        }
        let next = covered.streams.values().filter_map(|followed| followed.progress.next_event()).min();
        self.covered = Some(covered);
        Ok(next)
    }

    async fn holds_lock(&mut self) -> Result<bool, StoreError> {
        let mut lock = match self.lock.take() {
            Some(lock) => lock,
            None => self.manage.store().task_lock(Task::Events).await?,
        };
        let is_held = lock.try_hold().await?;
        self.lock = Some(lock);
        Ok(is_held)
    }

    /// Begins at the present, without events about what was before. Ids begin at the time in milliseconds, so that they are higher than those
    /// before a restore.
    async fn begin(&self, transaction: &mut Transaction, present: &Present) -> Result<(), StoreError> {
        let last_id = self.manage.clock().now().as_millisecond();
        let cursor = EventCursor { last_id, deleted_to: last_id, covered_until: present.now };
        let moves = CursorMoves {
            streams: present.heads.iter().map(|head| (head.key, head.revision)).collect(),
            stops: present.stops.iter().map(|stop| (stop.id, stop.lifted_at.is_some())).collect(),
        };
        transaction.begin_events(&cursor, &moves).await
    }

    fn cursor_after(&self, cursor: &EventCursor, events: usize, covered_until: Epoch) -> EventCursor {
        let last_id = cursor.last_id.saturating_add(i64::try_from(events).unwrap_or(i64::MAX));
        let deleted_to = cursor.deleted_to.max(last_id.saturating_sub(self.max_events.into()));
        EventCursor { last_id, deleted_to, covered_until }
    }
}

impl Covered {
    fn new(cursor: EventCursor, revisions: HashMap<StreamKey, Revision>) -> Self {
        Self { cursor, revisions, streams: HashMap::new(), is_complete: false, broken: HashMap::new() }
    }

    /// Returns the heads of the streams that may have new events: those that changed or reach a share or a gate. After a takeover, or when a stop
    /// of a product begins or ends, that is any.
    async fn heads_to_follow(
        &self,
        transaction: &mut Transaction,
        stops: &[EventStop],
        now: Epoch,
    ) -> Result<Vec<Head>, StoreError> {
        let is_new = |stop: &EventStop| !stop.is_begin_written || stop.lifted_at.is_some();
        if !self.is_complete || stops.iter().any(is_new) {
            return transaction.heads_with_deleted().await;
        }
        let mut heads = transaction.heads_without_events().await?;
        let changed: HashSet<StreamKey> = heads.iter().map(|head| head.key).collect();
        let is_due = |followed: &&Followed| followed.progress.next_event().is_some_and(|next| next <= now);
        let due = self.streams.values().filter(is_due).map(|followed| &followed.head);
        heads.extend(due.filter(|head| !changed.contains(&head.key)).cloned());
        Ok(heads)
    }

    /// Follows streams and products to the present. Returns the events in the order of their times.
    async fn follow(
        &mut self,
        manage: &Manage,
        transaction: &mut Transaction,
        present: &Present,
    ) -> Result<(Vec<Event>, CursorMoves), StoreError> {
        let (mut events, mut moves) = (Vec::new(), CursorMoves::default());
        for stop in &present.stops {
            let written = stop_events(stop, present.now);
            if !written.is_empty() {
                moves.stops.push((stop.id, stop.lifted_at.is_some()));
            }
            events.extend(written);
        }
        for head in &present.heads {
            if self.broken.get(&head.key) == Some(&head.revision) {
                continue;
            }
            match self.follow_stream(manage, transaction, head, present).await {
                Ok(found) => events.extend(found),
                // The other streams are followed. This one continues once an operator has repaired it.
                Err(error @ StoreError::Corrupt { .. }) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, stream = %head.id, revision = %head.revision, "stream cannot be followed");
                    self.broken.insert(head.key, head.revision);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if self.revisions.insert(head.key, head.revision) != Some(head.revision) {
                moves.streams.push((head.key, head.revision));
            }
        }
        self.is_complete = true;
        events.sort_by_key(|(at, _)| *at);
        Ok((events.into_iter().map(|(_, event)| event).collect(), moves))
    }

    async fn follow_stream(
        &mut self,
        manage: &Manage,
        transaction: &mut Transaction,
        head: &Head,
        present: &Present,
    ) -> Result<Vec<TimedEvent>, StoreError> {
        let mut followed = match self.streams.remove(&head.key) {
            Some(followed) => followed,
            None => self.load(manage, transaction, head, present).await?,
        };
        let stops = StopChanges::new(present.stops_of(head));
        let events = followed.follow(transaction, head, stops, present.now).await?;
        if followed.progress.next_event().is_some() {
            self.streams.insert(head.key, followed);
        }
        Ok(events)
    }

    /// Loads the state of a stream at the cursor. The newest one is usually in memory, where it is shared.
    async fn load(
        &self,
        manage: &Manage,
        transaction: &mut Transaction,
        head: &Head,
        present: &Present,
    ) -> Result<Followed, StoreError> {
        let revision = self.revisions.get(&head.key).copied().unwrap_or_default();
        let stream = match revision {
            Revision(0) => Arc::new(Stream::empty(head.id.clone())),
            revision if revision == head.revision => manage.load_stream(transaction, head).await?,
            revision => {
                let missing = || StoreError::corrupt("revisions", format!("{} has no revision {revision}", head.id));
                Arc::new(transaction.revision(head.key, revision).await?.ok_or_else(missing)?)
            }
        };
        let stop = present.stops_of(head).find(|stop| stop.is_begin_written);
        let product_stop = stop.map(|stop| stop.stop.clone());
        let stream = if stream.product_stop == product_stop {
            stream
        } else {
            Arc::new(Stream { product_stop, ..Stream::clone(&stream) })
        };
        let progress = Progress::new(stream, self.cursor.covered_until);
        Ok(Followed { head: Head { revision, ..head.clone() }, progress })
    }
}

impl Present {
    /// Returns the stops of the product of a stream.
    fn stops_of(&self, head: &Head) -> impl Iterator<Item = &EventStop> {
        self.stops.iter().filter(|stop| stop.product == head.id.product)
    }
}

/// Returns the events of a product stop that were not written yet.
fn stop_events(stop: &EventStop, now: Epoch) -> Vec<TimedEvent> {
    let begun = EventKind::StopBegun { reason: stop.stop.reason.as_str().to_owned() };
    let begun = Some((stop.stop.since, begun)).filter(|_| !stop.is_begin_written);
    let ended = stop.lifted_at.map(|at| (at, EventKind::StopEnded));
    let event = |(at, kind): (Epoch, EventKind)| {
        let time = Timestamp::from_second(at.0).unwrap_or_default();
        (at.min(now), Event { at: time, product: stop.product.clone(), stream: None, kind })
    };
    begun.into_iter().chain(ended).map(event).collect()
}
