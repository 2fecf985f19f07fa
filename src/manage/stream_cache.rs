//! Keeps the newest states of streams in memory: a command then does not load a whole stream again.

use crate::{
    domain::{
        ids::StreamId,
        stream::{Revision, Stream},
    },
    store::streams::Head,
};
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The maximum number of releases that all kept streams have together. A single stream that has more is still kept.
const MAX_RELEASES: usize = 20_000;

/// States of streams by revision. A state is used only if it belongs to the head that was read from the database.
#[derive(Debug, Default)]
pub(super) struct StreamCache(Mutex<States>);

#[derive(Debug, Default)]
struct States {
    states: HashMap<StreamId, State>,
    uses: u64,
}

#[derive(Debug)]
struct State {
    revision: Revision,
    /// Distinguishes revisions of the same number, for example after a backup was restored.
    changed_at: Timestamp,
    stream: Arc<Stream>,
    last_use: u64,
}

impl StreamCache {
    /// Returns the state that belongs to a head, if it is kept.
    pub(super) fn get(&self, head: &Head) -> Option<Arc<Stream>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let last_use = kept.uses;
        let state = kept.states.get_mut(&head.id)?;
        if state.revision != head.revision || state.changed_at != head.changed_at {
            return None;
        }
        state.last_use = last_use;
        Some(state.stream.clone())
    }

    /// Keeps the state that belongs to a head, and drops the states that were not used for the longest time.
    pub(super) fn keep(&self, head: &Head, stream: Stream) -> Arc<Stream> {
        let stream = Arc::new(stream);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let state =
            State { revision: head.revision, changed_at: head.changed_at, stream: stream.clone(), last_use: kept.uses };
        // A reader may have begun before the newest change.
        let is_older = |newest: &State| newest.revision > head.revision && newest.changed_at > head.changed_at;
        if !kept.states.get(&head.id).is_some_and(is_older) {
            kept.states.insert(head.id.clone(), state);
        }
        let evicted = kept.evict();
        drop(kept);
        // Large states are freed without the lock.
        drop(evicted);
        stream
    }
}

impl States {
    fn evict(&mut self) -> Vec<State> {
        let mut evicted = Vec::new();
        while self.states.len() > 1 && self.releases() > MAX_RELEASES {
            let oldest = self.states.iter().min_by_key(|(_, state)| state.last_use).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            evicted.extend(self.states.remove(&oldest));
        }
        evicted
    }

    fn releases(&self) -> usize {
        self.states.values().map(|state| state.stream.releases.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{ProductName, StreamName, Version},
        origin::Origin,
        release::Release,
    };

    fn head(name: &str, revision: i64) -> Head {
        let product = ProductName::parse("os").unwrap();
        let id = StreamId { product, stream: StreamName::parse(name).unwrap() };
        Head { revision: Revision(revision), ..Head::absent(id) }
    }

    fn head_at(name: &str, revision: i64, second: i64) -> Head {
        Head { changed_at: Timestamp::from_second(second).unwrap(), ..head(name, revision) }
    }

    fn stream(head: &Head, releases: usize) -> Stream {
        let mut stream = Stream::empty(head.id.clone());
        let release = |n: usize| Release::published(Version::parse(&format!("1.{n}")).unwrap(), Origin::Local);
        stream.releases = (0..releases).map(|n| release(n).into()).collect();
        stream
    }

    #[test]
    fn a_state_is_returned_only_for_its_own_head() {
        let (cache, first) = (StreamCache::default(), head("stable", 1));
        let kept = cache.keep(&first, stream(&first, 1));
        assert!(Arc::ptr_eq(&cache.get(&first).unwrap(), &kept));
        assert!(cache.get(&head("stable", 2)).is_none());
        assert!(cache.get(&head("testing", 1)).is_none());
        let second = head_at("stable", 2, 20);
        cache.keep(&second, stream(&second, 2));
        cache.keep(&head_at("stable", 1, 10), stream(&first, 1));
        assert!(cache.get(&second).is_some(), "an older state does not replace a newer one");
        let restored = Head { changed_at: Timestamp::MAX, ..first };
        assert!(cache.get(&restored).is_none());
    }

    #[test]
    fn the_states_that_were_used_last_stay() {
        let cache = StreamCache::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| head(name, 1));
        cache.keep(&a, stream(&a, MAX_RELEASES / 2));
        cache.keep(&b, stream(&b, MAX_RELEASES / 2));
        assert!(cache.get(&a).is_some());
        cache.keep(&c, stream(&c, 1));
        assert!(cache.get(&a).is_some() && cache.get(&c).is_some());
        assert!(cache.get(&b).is_none());
        // A stream that is larger than the limit is kept alone.
        cache.keep(&b, stream(&b, MAX_RELEASES + 1));
        assert!(cache.get(&b).is_some() && cache.get(&a).is_none());
    }
}
