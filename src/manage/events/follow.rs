//! The events of one stream between two reads of the database.

use crate::{
    domain::{
        admission::emergency_stop::EmergencyStop,
        epoch::Epoch,
        event::{Event, EventKind, Progress, StreamEvent},
        ids::StreamId,
        stream::{Revision, Stream},
    },
    manage::records::StoreError,
    store::{StreamKey, Transaction, events::EventStop, revisions::RevisionChange, streams::Head},
};
use jiff::Timestamp;

/// An event, and the time by which it is ordered among those of other streams.
pub(super) type TimedEvent = (Epoch, Event);

/// A stream at the revision and the time up to which its events were written.
pub(super) struct Followed {
    pub(super) head: Head,
    pub(super) progress: Progress,
}

/// What happened to the stop of a product since the last events.
#[derive(Debug, Default)]
pub(super) struct StopChanges {
    /// The stop that began first.
    begun: Option<EmergencyStop>,
    /// When the stop that was in force, or began first, was lifted.
    lifted_at: Option<Epoch>,
    /// The stop in force now.
    present: Option<EmergencyStop>,
}

impl StopChanges {
    /// Summarises the stops of one product, in the order of their begin.
    pub(super) fn new<'a>(stops: impl Iterator<Item = &'a EventStop>) -> Self {
        let mut changes = Self::default();
        for (number, stop) in stops.enumerate() {
            if number == 0 {
                changes.begun = Some(stop.stop.clone()).filter(|_| !stop.is_begin_written);
                changes.lifted_at = stop.lifted_at;
            }
            if stop.lifted_at.is_none() {
                changes.present = Some(stop.stop.clone());
            }
        }
        changes
    }

    /// Begins and ends the stop as far as that was before a change at `at`.
    fn apply_before(&mut self, progress: &mut Progress, at: Epoch) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        if let Some(stop) = self.begun.take_if(|stop| stop.since <= at) {
            events.extend(progress.begin_product_stop(stop, at));
        }
        // Lifting a stop pauses rollouts in the transaction in which it ends. The end comes after these changes, which may have the same second.
        let has_ended = self.lifted_at.is_some_and(|lifted_at| lifted_at <= at) && progress.stays_closed_after_stop();
        if progress.stream().product_stop.is_some() && has_ended {
            events.extend(progress.end_product_stop(at));
            self.lifted_at = None;
        }
        events
    }

    /// Begins and ends the stop after the last change.
    fn apply_rest(mut self, progress: &mut Progress, now: Epoch) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        if let Some(stop) = self.begun.take() {
            events.extend(progress.begin_product_stop(stop, now));
        }
        if self.lifted_at.is_some() && progress.stream().product_stop.is_some() {
            events.extend(progress.end_product_stop(now));
        }
        if let Some(stop) = self.present.filter(|stop| progress.stream().product_stop.as_ref() != Some(stop)) {
            events.extend(progress.begin_product_stop(stop, now));
        }
        events
    }
}

impl Followed {
    /// Follows a stream to its head and to `now`, and returns its events.
    pub(super) async fn follow(
        &mut self,
        transaction: &mut Transaction,
        head: &Head,
        mut stops: StopChanges,
        now: Epoch,
    ) -> Result<Vec<TimedEvent>, StoreError> {
        let mut events = Vec::new();
        let reached = self.head.revision;
        let changes = if reached < head.revision {
            transaction.revision_changes(head.key, Revision(reached.0 + 1), head.revision).await?
        } else {
            Vec::new()
        };
        for change in changes {
            let next = self.state_after(transaction, head.key, &change).await?;
            // The clock of the process that made the change may be ahead.
            let at = Epoch::from(change.made_at).min(now);
            let mut before = stops.apply_before(&mut self.progress, at);
            before.extend(self.progress.advance(at));
            events.extend(before.into_iter().map(|event| timed(&head.id, event)));
            events.push((at, revision_event(&head.id, change)));
            events.extend(self.progress.change(next, at).into_iter().map(|event| timed(&head.id, event)));
        }
        let mut rest = stops.apply_rest(&mut self.progress, now);
        rest.extend(self.progress.advance(now));
        events.extend(rest.into_iter().map(|event| timed(&head.id, event)));
        self.head = head.clone();
        Ok(events)
    }

    async fn state_after(
        &self,
        transaction: &mut Transaction,
        key: StreamKey,
        change: &RevisionChange,
    ) -> Result<Stream, StoreError> {
        if let Some(delta) = &change.delta {
            let invalid = |problems: Vec<_>| {
                let first = problems.first().map(ToString::to_string);
                StoreError::corrupt("revisions", first.unwrap_or_default())
            };
            return self.progress.stream().with_delta(delta).map_err(invalid);
        }
        let missing = || StoreError::corrupt("revisions", format!("revision {} has no content", change.number));
        transaction.revision(key, change.number).await?.ok_or_else(missing)
    }
}

fn timed(id: &StreamId, event: StreamEvent) -> TimedEvent {
    let at = Timestamp::from_second(event.at.0).unwrap_or_default();
    let (product, stream) = (id.product.clone(), Some(id.stream.clone()));
    (event.at, Event { at, product, stream, kind: event.kind })
}

fn revision_event(id: &StreamId, change: RevisionChange) -> Event {
    let kind = EventKind::Revision {
        revision: change.number,
        command: change.action,
        actor: change.actor.name,
        reason: change.reason,
    };
    Event { at: change.made_at, product: id.product.clone(), stream: Some(id.stream.clone()), kind }
}
