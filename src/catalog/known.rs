//! The payloads of all streams. With them, a poll finds out by one look-up whether its node runs a release of another stream.

use std::{
    collections::{HashMap, hash_map::Entry},
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

/// The number of streams that have a payload, by its hash. Clones share it until one changes.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownPayloads(Arc<HashMap<u64, u32>>);

impl KnownPayloads {
    /// Returns true if any stream has the payload. A false positive has a probability of about 2^-64 per payload, which is good enough for
    /// counting.
    pub(super) fn contains(&self, payload: &str) -> bool {
        self.0.contains_key(&HASHER.hash_one(payload))
    }

    /// Replaces the payloads of a stream. Most changes of a stream do not change its payloads and cost nothing here.
    pub(super) fn replace(&mut self, before: &[u64], after: &[u64]) {
        if before == after {
            return;
        }
        let known = Arc::make_mut(&mut self.0);
        for hash in after {
            *known.entry(*hash).or_default() += 1;
        }
        for hash in before {
            if let Entry::Occupied(mut count) = known.entry(*hash) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
