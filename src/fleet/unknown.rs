//! Payloads that nodes run and no stream knows: what to make aliases or mirrors of.

use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, TryLockError},
};

/// The most payloads that are told apart.
const MOST: usize = 1000;

/// Counts of this process, bounded in number and size.
#[derive(Debug, Default)]
pub struct UnknownPayloads(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    payloads: HashMap<Key, Count>,
    others: u64,
}

/// The rarest makes room for a newcomer, who takes over its rank: what is polled more often than those that come and go stays,
/// and a newcomer that goes on polling stays too (the "space-saving" counting of frequent elements).
#[derive(Debug, Clone, Copy)]
struct Count {
    polls: u64,
    rank: u64,
}

impl Counts {
    fn count(&mut self, key: Key) {
        if let Some(count) = self.payloads.get_mut(&key) {
            *count = Count { polls: count.polls + 1, rank: count.rank + 1 };
            return;
        }
        let rarest =
            || self.payloads.iter().min_by_key(|(_, count)| count.rank).map(|(key, count)| (key.clone(), *count));
        let mut rank = 1;
        if self.payloads.len() >= MOST
            && let Some((rarest, count)) = rarest()
        {
            self.payloads.remove(&rarest);
            self.others += count.polls;
            rank += count.rank;
        }
        self.payloads.insert(key, Count { polls: 1, rank });
    }
}

/// Product, stream, arch, scheme, payload.
type Key = [String; 5];

/// A payload that no release has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownPayload {
    /// The product that was asked.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// What the nodes run.
    pub payload: String,
    /// How many polls brought it since it was last too rare to be told apart; one node brings several.
    pub polls: u64,
}

/// What was counted since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknowns {
    /// The most frequent first.
    pub payloads: Vec<UnknownPayload>,
    /// Polls with payloads that look like none, or were too rare to be told apart.
    pub others: u64,
}

impl UnknownPayloads {
    /// A poll brought this payload. Only what looks like a payload is kept: a node's id does not.
    pub fn count(&self, product: &str, stream: &str, arch: &str, scheme: &str, payload: &str) {
        // A poll waits for nobody: what comes at the very same time is not counted.
        let mut counts = match self.0.try_lock() {
            Ok(counts) => counts,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if looks_like_a_payload(payload) {
            counts.count([product, stream, arch, scheme, payload].map(ToOwned::to_owned));
        } else {
            counts.others += 1;
        }
    }

    /// What was counted.
    #[must_use]
    pub fn list(&self) -> Unknowns {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut payloads: Vec<UnknownPayload> = counts
            .payloads
            .iter()
            .map(|([product, stream, arch, scheme, payload], count)| UnknownPayload {
                product: product.clone(),
                stream: stream.clone(),
                arch: arch.clone(),
                scheme: scheme.clone(),
                payload: payload.clone(),
                polls: count.polls,
            })
            .collect();
        payloads.sort_by(|a, b| b.polls.cmp(&a.polls).then_with(|| a.payload.cmp(&b.payload)));
        Unknowns { payloads, others: counts.others }
    }
}

/// A SHA-256 by itself, or at the end of a pull spec whose repository is of a sensible length.
fn looks_like_a_payload(payload: &str) -> bool {
    let digest = match payload.split_once('@') {
        Some((repository, digest)) if (1..=255).contains(&repository.len()) => digest.strip_prefix("sha256:"),
        Some(_) => None,
        None => Some(payload),
    };
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_payload_is_kept_and_only_so_many() {
        let unknown = UnknownPayloads::default();
        for odd in ["", "46d354cf6750611965bb70cbc6c2d868", "x@sha256:00", "@sha256:00", &"z".repeat(64)] {
            unknown.count("os", "stable", "x86_64", "checksum", odd);
        }
        assert_eq!(unknown.list(), Unknowns { payloads: Vec::new(), others: 5 });
        let payload = |n: usize| format!("{n:064x}");
        let poll = |n: usize| unknown.count("os", "stable", "x86_64", "checksum", &payload(n));
        let flood = || (0..3 * MOST).for_each(|n| poll(1_000_000 + n));
        // What is polled often is found among ever so many that come once, whichever came first.
        (0..9).for_each(|_| poll(5));
        flood();
        (0..20).for_each(|_| poll(6));
        flood();
        let list = unknown.list();
        assert_eq!(list.payloads.len(), MOST);
        let polls =
            |n: usize| list.payloads.iter().find(|unknown| unknown.payload == payload(n)).map(|found| found.polls);
        assert_eq!((polls(5), polls(6)), (Some(9), Some(20)));
        let told_apart: u64 = list.payloads.iter().map(|unknown| unknown.polls).sum();
        assert_eq!(told_apart + list.others, u64::try_from(5 + 29 + 6 * MOST).unwrap());
    }
}
