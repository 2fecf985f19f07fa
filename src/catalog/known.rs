//! The payloads of all streams. With them, a poll finds out by one look-up whether its node runs a release of another stream.

use hashbrown::{HashTable, hash_table::Entry};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
};

/// One hasher for the process: hashes of different states of the catalog are compared.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hashes of the payloads of one stream, sorted.
pub(super) type PayloadHashes = Arc<[u64]>;

/// Hashes payloads.
pub(super) fn hashes<T: AsRef<str>>(payloads: impl Iterator<Item = T>) -> PayloadHashes {
    let mut hashes: Vec<u64> = payloads.map(|payload| HASHER.hash_one(payload.as_ref())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}

/// The number of parts, so that a change copies few hashes: a power of two.
const SHARDS: usize = 64;

/// The number of streams that have a payload, by its hash. Clones share each part until it changes.
#[derive(Debug, Clone)]
pub(super) struct KnownPayloads([Arc<Shard>; SHARDS]);

#[derive(Debug, Clone, Default)]
struct Shard {
    hashes: HashTable<u64>,
    /// For payloads of several streams, the number of streams after the first.
    repeated: HashMap<u64, u32>,
}

impl Default for KnownPayloads {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl KnownPayloads {
    /// Returns true if any stream has the payload. A false positive has a probability of about 2^-64 per payload, which is good enough for
    /// counting.
    pub(super) fn contains(&self, payload: &str) -> bool {
        let hash = HASHER.hash_one(payload);
        self.0.get(shard_of(hash)).is_some_and(|shard| shard.hashes.find(hash, |known| *known == hash).is_some())
    }

    /// Replaces the payloads of a stream. Most changes of a stream change few of its payloads, or none.
    pub(super) fn replace(&mut self, before: &[u64], after: &[u64]) {
        if std::ptr::eq(before, after) {
            return;
        }
        let is_in = |sorted: &[u64], hash: &u64| sorted.binary_search(hash).is_ok();
        for hash in after.iter().filter(|hash| !is_in(before, hash)) {
            self.change(*hash, Shard::add);
        }
        for hash in before.iter().filter(|hash| !is_in(after, hash)) {
            self.change(*hash, Shard::remove);
        }
    }

    fn change(&mut self, hash: u64, change: fn(&mut Shard, u64)) {
        if let Some(shard) = self.0.get_mut(shard_of(hash)) {
            change(Arc::make_mut(shard), hash);
        }
    }
}

/// Returns the index of a hash's part. Tables use other bits of it: the lowest and the highest.
fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> 32).unwrap_or(0) % SHARDS
}

impl Shard {
    fn add(&mut self, hash: u64) {
        match self.hashes.entry(hash, |known| *known == hash, |known| *known) {
            Entry::Vacant(vacant) => drop(vacant.insert(hash)),
            Entry::Occupied(_) => *self.repeated.entry(hash).or_default() += 1,
        }
    }

    fn remove(&mut self, hash: u64) {
        match self.repeated.get_mut(&hash) {
            Some(1) => drop(self.repeated.remove(&hash)),
            Some(count) => *count -= 1,
            None => {
                if let Ok(known) = self.hashes.find_entry(hash, |known| *known == hash) {
                    known.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn exactly_the_payloads_of_all_streams_are_known(states in vec((0usize..3, vec(0u8..20, 0..12)), 0..12)) {
            let texts = |payloads: &[u8]| payloads.iter().map(ToString::to_string).collect::<Vec<_>>();
            let (mut known, mut streams) = (KnownPayloads::default(), [const { Vec::new() }; 3]);
            for (stream, payloads) in states {
                let before = std::mem::replace(&mut streams[stream], payloads);
                let [before, after] = [&before, &streams[stream]].map(|payloads| hashes(texts(payloads).into_iter()));
                known.replace(&before, &after);
                let present: BTreeSet<u8> = streams.iter().flatten().copied().collect();
                prop_assert!((0..20).all(|payload| known.contains(&payload.to_string()) == present.contains(&payload)));
            }
        }
    }

    #[test]
    fn a_payload_is_known_while_any_stream_has_it() {
        let (both, one) = (hashes(["a", "b", "b"].into_iter()), hashes(["b"].into_iter()));
        let mut known = KnownPayloads::default();
        let is_known = |known: &KnownPayloads| ["a", "b", "c"].map(|payload| known.contains(payload));
        known.replace(&[], &both);
        known.replace(&[], &one);
        let before = known.clone();
        assert_eq!(is_known(&known), [true, true, false]);
        known.replace(&both, &[]);
        assert_eq!(is_known(&known), [false, true, false]);
        known.replace(&one, &hashes(["c"].into_iter()));
        assert_eq!(is_known(&known), [false, false, true]);
        assert_eq!(is_known(&before), [true, true, false]);
    }
}
