//! Detects idle HTTP/2 connections. Pings, settings and window updates do not count as activity: they cost a client nothing.

use super::endpoint::Answer;
use axum::Error;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The activity of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    io_timeout: Duration,
    state: Mutex<State>,
    end_requested: Notify,
}

#[derive(Debug)]
struct State {
    /// Requests whose response is not ready yet.
    working: usize,
    /// The last time at which a request began, a response was ready, or a part of a body was handed over.
    last: Instant,
    had_requests: bool,
    /// When the client was asked to close the connection.
    ending_since: Option<Instant>,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Check again at this time.
    Wait(Instant),
    /// Ask the client to close the connection, and finish its requests.
    End,
    /// Close the connection: the client does not.
    Cut,
}

/// How long a client that never made a request may take to close the connection.
const UNUSED_GRACE: Duration = Duration::from_secs(1);

impl Activity {
    /// Creates the record of a new connection. It may be idle for `io_timeout`.
    pub(super) fn new(io_timeout: Duration) -> Self {
        let state = State { working: 0, last: Instant::now(), had_requests: false, ending_since: None };
        Self { io_timeout, state: Mutex::new(state), end_requested: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a request, unless the connection is ending: new requests must not keep it open.
    pub(super) fn begin(self: &Arc<Self>) -> Option<RequestGuard> {
        let mut state = self.state();
        if state.ending_since.is_some() {
            return None;
        }
        state.working += 1;
        (state.last, state.had_requests) = (Instant::now(), true);
        Some(RequestGuard(self.clone()))
    }

    /// Requests that the connection ends after the requests in progress.
    pub(super) fn request_end(&self) {
        self.end_requested.notify_one();
    }

    /// Waits until [`Self::request_end`] is called.
    pub(super) async fn end_requested(&self) {
        self.end_requested.notified().await;
    }

    /// Records that the client is asked to close the connection. Returns true the first time.
    pub(super) fn begin_end(&self) -> bool {
        let mut state = self.state();
        let is_first = state.ending_since.is_none();
        state.ending_since.get_or_insert_with(Instant::now);
        is_first
    }

    /// Returns what to do with the connection now.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let state = self.state();
        if state.working > 0 {
            return Verdict::Wait(now + self.io_timeout);
        }
        let (until, then) = match state.ending_since {
            None => (state.last + self.io_timeout, Verdict::End),
            Some(since) if state.had_requests => (since.max(state.last) + self.io_timeout, Verdict::Cut),
            Some(since) => (since + self.io_timeout.min(UNUSED_GRACE), Verdict::Cut),
        };
        if now < until { Verdict::Wait(until) } else { then }
    }
}

/// A request whose response is not ready, until this is dropped.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.working -= 1;
        state.last = Instant::now();
    }
}

/// A body that records when its parts are taken.
#[derive(Debug)]
pub(super) struct TrackedBody {
    body: Answer,
    /// The rest of a part that was too large.
    rest: Bytes,
    activity: Option<Arc<Activity>>,
}

/// The maximum size of a part of a body. A part is taken when the client has room for it, which shows whether it reads a large answer.
pub(super) const MAX_PART_BYTES: usize = 64 << 10;

impl TrackedBody {
    /// Wraps the body of a response that is ready, and records its parts if its request was recorded.
    pub(super) fn new(body: Answer, request: Option<RequestGuard>) -> Self {
        Self { body, rest: Bytes::new(), activity: request.map(|request| request.0.clone()) }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = if self.rest.is_empty() {
            std::task::ready!(Pin::new(&mut self.body).poll_frame(context))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut self.rest))))
        };
        if let Some(activity) = &self.activity {
            activity.state().last = Instant::now();
        }
        let Some(Ok(frame)) = frame else {
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::new)));
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(mut data) => {
                if data.len() > MAX_PART_BYTES {
                    self.rest = data.split_off(MAX_PART_BYTES);
                }
                Frame::data(data)
            }
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), u64::try_from(self.rest.len()).unwrap_or(u64::MAX));
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Either, Full};

    const IO_TIMEOUT: Duration = Duration::from_millis(300);

    fn after(activity: &Activity, milliseconds: u64) -> Verdict {
        activity.verdict(Instant::now() + Duration::from_millis(milliseconds))
    }

    /// Moves the recorded times into the past, as if this time had passed.
    fn pass(activity: &Activity, milliseconds: u64) {
        let (mut state, time) = (activity.state(), Duration::from_millis(milliseconds));
        state.last -= time;
        state.ending_since = state.ending_since.map(|since| since - time);
    }

    #[test]
    fn a_connection_without_requests_ends_and_is_cut() {
        for (io_timeout, grace) in [(IO_TIMEOUT, IO_TIMEOUT), (10 * UNUSED_GRACE, UNUSED_GRACE)] {
            let activity = Arc::new(Activity::new(io_timeout));
            assert!(matches!(activity.verdict(Instant::now()), Verdict::Wait(_)));
            assert_eq!(activity.verdict(Instant::now() + io_timeout), Verdict::End);
            assert!(activity.begin_end() && !activity.begin_end());
            assert!(matches!(activity.verdict(Instant::now()), Verdict::Wait(_)));
            assert_eq!(activity.verdict(Instant::now() + grace), Verdict::Cut);
        }
    }

    #[test]
    fn requests_in_progress_and_readers_keep_a_connection_open() {
        let activity = Arc::new(Activity::new(IO_TIMEOUT));
        let work = activity.begin();
        pass(&activity, 1000);
        assert!(matches!(after(&activity, 0), Verdict::Wait(_)));
        let body = Either::Left(Full::new(Bytes::from(vec![b'x'; 3 * MAX_PART_BYTES - 1])));
        let mut body = TrackedBody::new(body, work);
        assert!(matches!(after(&activity, 0), Verdict::Wait(_)), "the response was ready just now");
        assert_eq!(after(&activity, 300), Verdict::End);
        activity.begin_end();
        assert!(activity.begin().is_none());
        for remaining in [3 * MAX_PART_BYTES - 1, 2 * MAX_PART_BYTES - 1, MAX_PART_BYTES - 1] {
            pass(&activity, 1000);
            assert_eq!(after(&activity, 0), Verdict::Cut);
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (u64::try_from(remaining).ok(), false));
            let part = body.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap();
            assert_eq!(part.len(), remaining.min(MAX_PART_BYTES));
            assert!(matches!(after(&activity, 0), Verdict::Wait(_)), "the client reads");
        }
        assert!(body.is_end_stream());
        assert_eq!(after(&activity, 300), Verdict::Cut);
    }

    #[test]
    fn requests_after_the_end_do_not_keep_a_connection_open() {
        let activity = Arc::new(Activity::new(IO_TIMEOUT));
        drop(activity.begin());
        activity.begin_end();
        pass(&activity, 1000);
        let work = activity.begin();
        let mut body = TrackedBody::new(Either::Left(Full::new(Bytes::from_static(b"x"))), work);
        assert!(body.frame().now_or_never().unwrap().is_some());
        assert_eq!(after(&activity, 0), Verdict::Cut);
    }
}
