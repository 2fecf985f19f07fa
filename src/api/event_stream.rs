//! Streams of server-sent events: how many there are, how long they last, and what is sent on them.

use super::model::{EventModel, MissedEventsModel};
use crate::manage::{EventItem, EventReader, records::StoreError};
use axum::response::sse::Event as SentEvent;
use jiff::Timestamp;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How often something is sent while there are no events, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The longest time for which a stream is open: a client whose token was revoked cannot open another one.
const MAX_LIFETIME: Duration = Duration::from_mins(15);
/// The number of events that wait for a slow client. Further ones wait in the table.
const BUFFERED_EVENTS: usize = 64;

/// The streams of this process.
pub(super) struct EventStreams {
    permits: Arc<Semaphore>,
    max: usize,
    closing: CancellationToken,
}

/// What a stream is opened with.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamOptions {
    /// Whether the stream stays open after the events that there are.
    pub(super) follows: bool,
    /// How long it is open at most.
    pub(super) lifetime: Duration,
}

type Sender = mpsc::Sender<Result<SentEvent, Infallible>>;
/// The events of a stream, for its response.
pub(super) type Receiver = mpsc::Receiver<Result<SentEvent, Infallible>>;

/// The client is gone.
struct Gone;

impl EventStreams {
    /// Allows `max` streams at a time.
    pub(super) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(max)), max, closing: CancellationToken::new() }
    }

    /// Returns the right to open a stream, or `None` if there are too many.
    pub(super) fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    /// Returns the number of open streams.
    pub(super) fn open(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Sends events until the client is gone, the lifetime ends, or all streams are closed. The task runs on the calling runtime, to which the
    /// connections to the database belong; the response may be sent on another one.
    pub(super) fn spawn(&self, reader: EventReader, options: StreamOptions, permit: OwnedSemaphorePermit) -> Receiver {
        let (sender, receiver) = mpsc::channel(BUFFERED_EVENTS);
        let closing = self.closing.clone();
        tokio::spawn(async move {
            let end = Instant::now() + options.lifetime;
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = sender.closed() => {}
                () = tokio::time::sleep_until(end) => {}
                // Without an error, the client is gone or has all events. It reconnects with the id of the last one.
                sent = send_all(reader, &sender, options.follows) => {
                    if let Err(error) = sent {
                        tracing::debug!(error = &error as &dyn std::error::Error, "event stream ended");
                    }
                }
            }
            drop(permit);
        });
        receiver
    }
}

/// Returns how long a stream is open at most: no longer than the token of its caller is valid.
pub(super) fn lifetime(now: Timestamp, token_expires_at: Option<Timestamp>) -> Duration {
    let valid = token_expires_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    valid.map_or(MAX_LIFETIME, |valid| valid.min(MAX_LIFETIME))
}

async fn send_all(mut reader: EventReader, sender: &Sender, follows: bool) -> Result<(), StoreError> {
    // A client without events so far reconnects from here.
    let mut next = vec![position(&reader)];
    loop {
        for event in next {
            if send(sender, event).await.is_err() {
                return Ok(());
            }
        }
        next = if reader.is_behind() {
            reader.read_page().await?.into_iter().map(sent_event).collect()
        } else if follows {
            match tokio::time::timeout(KEEP_ALIVE, reader.receive()).await {
                Ok(items) => items.into_iter().map(sent_event).collect(),
                Err(_) => vec![position(&reader).comment("keep-alive")],
            }
        } else {
            return Ok(());
        };
    }
}

async fn send(sender: &Sender, event: SentEvent) -> Result<(), Gone> {
    sender.send(Ok(event)).await.map_err(|_| Gone)
}

/// Returns an id without an event: where a client continues that reconnects.
fn position(reader: &EventReader) -> SentEvent {
    SentEvent::default().id(reader.position().to_string())
}

fn sent_event(item: EventItem) -> SentEvent {
    match item {
        EventItem::Event(id, event) => {
            let model = EventModel::new(id, event);
            let sent = SentEvent::default().id(id.to_string()).event(model.kind.as_str());
            sent.data(serde_json::to_string(&model).unwrap_or_default())
        }
        EventItem::Missed { oldest } => {
            let data = serde_json::to_string(&MissedEventsModel { oldest }).unwrap_or_default();
            SentEvent::default().id((oldest - 1).to_string()).event("missed").data(data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_its_token_or_after_15_minutes() {
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let after = |seconds: i64| lifetime(now, Timestamp::from_second(1_790_000_000 + seconds).ok()).as_secs();
        assert_eq!([after(-10), after(0), after(60), after(900), after(86_400)], [0, 0, 60, 900, 900]);
        assert_eq!(lifetime(now, None), MAX_LIFETIME);
    }

    #[test]
    fn streams_are_counted_until_their_permits_are_dropped() {
        let streams = EventStreams::new(2);
        let held = [streams.acquire(), streams.acquire()];
        assert!(held.iter().all(Option::is_some) && streams.acquire().is_none());
        assert_eq!(streams.open(), 2);
        drop(held);
        assert_eq!(streams.open(), 0);
    }
}
