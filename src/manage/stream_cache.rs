//! Keeps the newest states of streams in memory: a command then does not load a whole stream again.

use crate::{
    domain::{ids::StreamId, stream::Stream},
    store::{Known, streams::Head},
};
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
    known: Known,
    last_use: u64,
}

impl StreamCache {
    /// Returns the newest state of a stream that is kept.
    pub(super) fn get(&self, id: &StreamId) -> Option<Known> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let last_use = kept.uses;
        let state = kept.states.get_mut(id)?;
        state.last_use = last_use;
        Some(state.known.clone())
    }

    /// Keeps the state that belongs to a head, and drops the states that were not used for the longest time.
    pub(super) fn keep(&self, head: &Head, stream: Arc<Stream>) -> Arc<Stream> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let known = Known { revision: head.revision, changed_at: head.changed_at, stream: stream.clone() };
        let state = State { known, last_use: kept.uses };
        // A reader may have begun before the newest change.
        let is_older =
            |newest: &State| newest.known.revision > head.revision && newest.known.changed_at > head.changed_at;
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
        self.states.values().map(|state| state.known.stream.releases.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::{ProductName, StreamName, Version},
        origin::Origin,
        release::Release,
        stream::Revision,
    };
    use jiff::Timestamp;

    fn head(name: &str, revision: i64) -> Head {
        let product = ProductName::parse("os").unwrap();
        let id = StreamId { product, stream: StreamName::parse(name).unwrap() };
        Head { revision: Revision(revision), ..Head::absent(id) }
    }

    fn head_at(name: &str, revision: i64, second: i64) -> Head {
        Head { changed_at: Timestamp::from_second(second).unwrap(), ..head(name, revision) }
    }

    fn stream(head: &Head, releases: usize) -> Arc<Stream> {
        let mut stream = Stream::empty(head.id.clone());
        let release = |n: usize| Release::published(Version::parse(&format!("1.{n}")).unwrap(), Origin::Local);
        stream.releases = (0..releases).map(|n| release(n).into()).collect();
        Arc::new(stream)
    }

    fn is_kept(cache: &StreamCache, head: &Head) -> bool {
        cache.get(&head.id).is_some_and(|known| known.is_at(head))
    }

    #[test]
    fn a_state_is_returned_only_for_its_own_head() {
        let (cache, first) = (StreamCache::default(), head("stable", 1));
        let kept = cache.keep(&first, stream(&first, 1));
        assert!(Arc::ptr_eq(&cache.get(&first.id).unwrap().stream, &kept));
        assert!(is_kept(&cache, &first) && !is_kept(&cache, &head("stable", 2)));
        assert!(cache.get(&head("testing", 1).id).is_none());
        let second = head_at("stable", 2, 20);
        cache.keep(&second, stream(&second, 2));
        cache.keep(&head_at("stable", 1, 10), stream(&first, 1));
        assert!(is_kept(&cache, &second), "an older state does not replace a newer one");
        assert!(!is_kept(&cache, &Head { changed_at: Timestamp::MAX, ..second }), "a backup was restored");
    }

    #[test]
    fn the_states_that_were_used_last_stay() {
        let cache = StreamCache::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| head(name, 1));
        cache.keep(&a, stream(&a, MAX_RELEASES / 2));
        cache.keep(&b, stream(&b, MAX_RELEASES / 2));
        assert!(is_kept(&cache, &a));
        cache.keep(&c, stream(&c, 1));
        assert!(is_kept(&cache, &a) && is_kept(&cache, &c));
        assert!(!is_kept(&cache, &b));
        // A stream that is larger than the limit is kept alone.
        cache.keep(&b, stream(&b, MAX_RELEASES + 1));
        assert!(is_kept(&cache, &b) && !is_kept(&cache, &a));
    }
}
