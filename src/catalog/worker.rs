//! The thread that encodes answers and renders full graphs of new revisions.

use super::{
    encoding::{Budget, Coding, Encode},
    rendered::Rendered,
    scopes::StreamScopes,
};
use crate::{domain::epoch::Epoch, telemetry::Metrics};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak, mpsc::Receiver},
};

/// A job of the thread. The queue does not keep answers alive.
pub(super) enum Job {
    /// Encodes an answer.
    Encode(Weak<Rendered>, Coding),
    /// Renders and encodes the full graphs that scopes inherited, for a given time.
    Prepare { scopes: Weak<StreamScopes>, at: Epoch, is_stopped: bool },
}

pub(super) struct Worker {
    encode: Arc<dyn Encode>,
    budget: Budget,
    metrics: Metrics,
    /// The cached encodings.
    cached: Vec<(Weak<Rendered>, Coding)>,
    has_warned: bool,
}

impl Worker {
    pub(super) fn new(encode: Arc<dyn Encode>, budget: Budget, metrics: Metrics) -> Self {
        Self { encode, budget, metrics, cached: Vec::new(), has_warned: false }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        lower_priority();
        for job in jobs {
            // A bug in one job must not end the thread: then no answer would be encoded any more.
            if catch_unwind(AssertUnwindSafe(|| self.work(job))).is_err() {
                tracing::error!("encoder job panicked");
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Encode(rendered, coding) => {
                if let Some(rendered) = rendered.upgrade() {
                    self.encode(&rendered, coding);
                }
            }
            Job::Prepare { scopes, at, is_stopped } => self.prepare(&scopes, at, is_stopped),
        }
    }

    fn prepare(&mut self, scopes: &Weak<StreamScopes>, at: Epoch, is_stopped: bool) {
        let Some(count) = scopes.upgrade().map(|scopes| scopes.iter().count()) else { return };
        for index in 0..count {
            let inherited = scopes.upgrade().and_then(|scopes| Some(scopes.iter().nth(index)?.inherited()));
            for in_use in inherited.iter().flat_map(|inherited| inherited.iter()) {
                // If there is a newer revision, these scopes are gone and the newer ones inherit the rest.
                let Some(scopes) = scopes.upgrade() else { return };
                let Some(scope) = scopes.iter().nth(index) else { return };
                let visibility = scope.graph().visibility(&in_use.node_profile.node_context(is_stopped), at);
                let render = AssertUnwindSafe(|| scope.prepare_full_graph(&in_use.node_profile, &visibility));
                let Ok(rendered) = catch_unwind(render) else { continue };
                for coding in &in_use.codings {
                    if rendered.slot(*coding).enqueue() {
                        self.encode(&rendered, *coding);
                    }
                }
            }
            if let (Some(scopes), Some(inherited)) = (scopes.upgrade(), inherited)
                && let Some(scope) = scopes.iter().nth(index)
            {
                scope.clear_inherited(&inherited);
            }
        }
    }

    /// Encodes an answer in a coding that was requested.
    fn encode(&mut self, rendered: &Arc<Rendered>, coding: Coding) {
        let slot = rendered.slot(coding);
        if !slot.is_queued() {
            return;
        }
        if self.budget.max() == 0 {
            return slot.set_unavailable();
        }
        // Without any room, encoding would be in vain. It can be requested again.
        if !self.make_room_for(1) {
            return slot.clear();
        }
        let encode = AssertUnwindSafe(|| self.encode.encode(coding, &rendered.body));
        let encoded = catch_unwind(encode).unwrap_or_else(|_| Err(io::Error::other("the encoder panicked")));
        match encoded {
            Ok(bytes) if bytes.is_empty() => {
                self.fail(rendered, coding, &io::Error::other("the encoder returned nothing"));
            }
            Err(error) => self.fail(rendered, coding, &error),
            // An encoding that is not smaller than the body, or larger than the budget, is not tried again.
            Ok(bytes) if bytes.len() >= rendered.body.len() || bytes.len() > self.budget.max() => {
                slot.set_unavailable();
            }
            Ok(bytes) if self.make_room_for(bytes.len()) => {
                slot.fill(bytes, &self.budget);
                self.forget_dropped();
                self.cached.push((Arc::downgrade(rendered), coding));
            }
            Ok(_) => slot.clear(),
        }
    }

    fn fail(&mut self, rendered: &Rendered, coding: Coding, error: &io::Error) {
        rendered.slot(coding).set_unavailable();
        self.metrics.encoding_failed(coding.as_str());
        if !std::mem::replace(&mut self.has_warned, true) {
            let (error, coding) = (error as &dyn std::error::Error, coding.as_str());
            tracing::warn!(error, coding, "encoding failed, answers are sent unencoded");
        }
    }

    /// Evicts encodings until `bytes` more fit. Returns false if that is impossible.
    fn make_room_for(&mut self, bytes: usize) -> bool {
        while !self.budget.has_room_for(bytes) {
            let Some(victim) = self.victim() else { return false };
            let (rendered, coding) = self.cached.swap_remove(victim);
            if let Some(rendered) = rendered.upgrade() {
                rendered.slot(coding).clear();
            }
        }
        true
    }

    /// Forgets the encodings of answers that were dropped.
    fn forget_dropped(&mut self) {
        self.cached.retain(|(rendered, _)| rendered.strong_count() > 0);
    }

    /// Chooses the encoding to evict: at random among those that were not sent since the last eviction, which protects those in constant
    /// use from rarely used ones. One that is being sent stays: evicting it frees nothing.
    fn victim(&self) -> Option<usize> {
        let cached = self.cached.iter().enumerate();
        let evictable = cached.filter_map(|(index, (rendered, coding))| {
            let rendered = rendered.upgrade()?;
            let slot = rendered.slot(*coding);
            (!slot.is_being_sent()).then(|| (index, slot.take_used()))
        });
        let (used, unused): (Vec<_>, Vec<_>) = evictable.partition(|(_, is_used)| *is_used);
        fastrand::choice(if unused.is_empty() { used } else { unused }).map(|(index, _)| index)
    }
}

/// How much processor time this thread leaves to the others, from 0 (equal shares) to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lowers the priority of this thread. On Linux, the call for "this process" applies to the calling thread only.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(error = &error as &dyn std::error::Error, "priority of the encoder thread not lowered");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
