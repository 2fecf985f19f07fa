//! Reads events for one caller, from an id on.

use super::feed::{Numbered, PAGE};
use crate::{
    auth::{Identity, Role},
    domain::{
        event::Event,
        ids::{ProductName, StreamId, StreamName},
    },
    manage::{manager::Manage, read::ReadError, records::StoreError},
};
use tokio::sync::{broadcast, watch};

/// Which events a caller wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Only those of this product.
    pub product: Option<ProductName>,
    /// Only those of streams with this name, and of the products that have such streams.
    pub stream: Option<StreamName>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq)]
pub enum EventItem {
    /// Events were deleted before the reader could get them.
    Missed {
        /// The oldest event that is kept, or the next one.
        oldest: i64,
    },
    /// An event and its id.
    Event(i64, Event),
}

/// Reads the events that a caller may read.
pub struct EventReader {
    manage: Manage,
    caller: Identity,
    filter: EventFilter,
    receiver: broadcast::Receiver<Numbered>,
    /// The id of the newest event that was read, whether the caller got it or not.
    position: i64,
    /// Whether there may be events in the table that the feed does not bring.
    is_behind: bool,
}

impl EventFilter {
    fn selects(&self, event: &Event) -> bool {
        self.product.as_ref().is_none_or(|product| *product == event.product)
            && self.stream.as_ref().zip(event.stream.as_ref()).is_none_or(|(wanted, stream)| wanted == stream)
    }
}

impl Manage {
    /// Distributes new events to the readers of this process. Never returns.
    pub async fn distribute_events(&self, wake: watch::Receiver<()>) {
        self.events().run(self.store(), wake).await;
    }

    /// Checks that a caller may read events of the filter.
    ///
    /// # Errors
    /// The caller may read no stream, or no stream of the product that the filter names.
    pub fn check_events(&self, caller: &Identity, filter: &EventFilter) -> Result<(), ReadError> {
        if let Some(product) = &filter.product {
            return self.product_reader(caller, product.clone()).map(drop);
        }
        if caller.has_anywhere(Role::Viewer) {
            return Ok(());
        }
        Err(ReadError::denied(caller, Role::Viewer, "at least one stream"))
    }

    /// Returns a reader of the events after an id, or else of those from now on. Returns `None` if no process has begun to write events.
    ///
    /// # Errors
    /// The caller may not read, or the database failed.
    pub async fn event_reader(
        &self,
        caller: Identity,
        filter: EventFilter,
        after: Option<i64>,
    ) -> Result<Option<EventReader>, ReadError> {
        self.check_events(&caller, &filter)?;
        // Before the cursor is read: what is written later is received.
        let receiver = self.events().subscribe();
        let Some(cursor) = self.reading("event_cursor").await?.event_cursor().await? else { return Ok(None) };
        let position = after.unwrap_or(cursor.last_id);
        Ok(Some(EventReader { manage: self.clone(), caller, filter, receiver, position, is_behind: true }))
    }
}

impl EventReader {
    /// Returns the id of the newest event that was read, from which another reader can continue.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Returns true if the table has to be read before the next event can be received.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Reads the next events from the table.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_page(&mut self) -> Result<Vec<EventItem>, StoreError> {
        let mut transaction = self.manage.reading("read_events").await?;
        let cursor = transaction.event_cursor().await?;
        let events = transaction.events_after(self.position, PAGE).await?;
        drop(transaction);
        let mut items = Vec::new();
        if let Some(cursor) = cursor.filter(|cursor| self.position < cursor.deleted_to) {
            self.position = cursor.deleted_to;
            items.push(EventItem::Missed { oldest: cursor.deleted_to.saturating_add(1) });
        }
        self.is_behind = events.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
        items.extend(self.take(&events));
        if !self.is_behind {
            self.manage.events().join(self.position);
        }
        Ok(items)
    }

    /// Waits for events. Returns none if the reader has fallen behind. Nothing is lost if this future is dropped.
    pub async fn receive(&mut self) -> Vec<EventItem> {
        // Fails if the buffer did not hold everything.
        let Ok(events) = self.receiver.recv().await else {
            self.is_behind = true;
            return Vec::new();
        };
        let newer = events.iter().map(|(id, _)| *id).find(|id| *id > self.position);
        // Ids have no gaps.
        if newer.is_some_and(|id| id > self.position.saturating_add(1)) {
            self.is_behind = true;
            return Vec::new();
        }
        self.take(&events)
    }

    fn take(&mut self, events: &[(i64, Event)]) -> Vec<EventItem> {
        let mut items = Vec::new();
        for (id, event) in events.iter().filter(|(id, _)| *id > self.position) {
            if self.filter.selects(event) && self.may_read(event) {
                items.push(EventItem::Event(*id, event.clone()));
            }
        }
        self.position = events.last().map_or(self.position, |(id, _)| self.position.max(*id));
        items
    }

    fn may_read(&self, event: &Event) -> bool {
        let product = &event.product;
        match &event.stream {
            Some(stream) => {
                self.caller.may(Role::Viewer, &StreamId { product: product.clone(), stream: stream.clone() })
            }
            None => self.caller.may_on_some(Role::Viewer, product),
        }
    }
}
