//! Keeps the lint findings of the newest states of streams in memory: linting a long stream takes longer than reading it.

use crate::domain::{
    dialect::{Dialect, findings},
    epoch::Epoch,
    finding::Finding,
    ids::StreamId,
    stream::Stream,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The time in seconds after which findings are computed again: they depend on which rollouts are under way.
const MAX_AGE: i64 = 60;

/// Findings by stream. They are used only for the state that they were computed from.
#[derive(Debug, Default)]
pub(super) struct FindingsCache(Mutex<HashMap<StreamId, Entry>>);

#[derive(Debug)]
struct Entry {
    /// Does not keep the state in memory.
    stream: Weak<Stream>,
    at: Epoch,
    findings: Arc<[Finding]>,
}

impl FindingsCache {
    /// Returns the findings of a state, if they are kept and recent.
    pub(super) fn get(&self, stream: &Arc<Stream>, now: Epoch) -> Option<Arc<[Finding]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&stream.id)?;
        let is_same = Weak::ptr_eq(&found.stream, &Arc::downgrade(stream));
        let is_recent = (0..MAX_AGE).contains(&now.since(found.at));
        (is_same && is_recent).then(|| found.findings.clone())
    }

    /// Returns the findings of a state, from the cache if they are there.
    pub(super) fn get_or_compute(
        &self,
        dialect: Option<&dyn Dialect>,
        stream: &Arc<Stream>,
        now: Epoch,
    ) -> Arc<[Finding]> {
        self.get(stream, now).unwrap_or_else(|| self.compute(dialect, stream, now))
    }

    /// Computes the findings of a state, and keeps them.
    pub(super) fn compute(&self, dialect: Option<&dyn Dialect>, stream: &Arc<Stream>, now: Epoch) -> Arc<[Finding]> {
        let findings: Arc<[Finding]> = findings(dialect, stream, now).into();
        self.keep(stream, now, findings.clone());
        findings
    }

    /// Keeps the findings of a state.
    pub(super) fn keep(&self, stream: &Arc<Stream>, now: Epoch, findings: Arc<[Finding]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.stream.strong_count() > 0);
        let entry = Entry { stream: Arc::downgrade(stream), at: now, findings };
        kept.insert(stream.id.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    #[test]
    fn findings_are_kept_for_one_state_and_a_minute() {
        let cache = FindingsCache::default();
        let [stream, other] = [0; 2].map(|_| Arc::new(Stream::empty(samples::id())));
        assert!(cache.get(&stream, Epoch(0)).is_none());
        cache.compute(None, &stream, Epoch(0));
        assert!(cache.get(&stream, Epoch(59)).is_some() && cache.get(&stream, Epoch(60)).is_none());
        assert!(cache.get(&stream, Epoch(-1)).is_none(), "the clock went back");
        assert!(cache.get(&other, Epoch(0)).is_none(), "an equal state may have another time");
        drop(stream);
        cache.compute(None, &Arc::new(Stream::empty(samples::id())), Epoch(0));
        assert!(cache.get(&other, Epoch(0)).is_none());
    }
}
