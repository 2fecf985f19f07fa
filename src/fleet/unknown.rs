//! Payloads that nodes run and no stream knows: what to make aliases or mirrors of.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The most payloads that are told apart.
const MOST: usize = 1000;

/// Counts of this process, bounded in number and size.
#[derive(Debug, Default)]
pub struct UnknownPayloads(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    polls: BTreeMap<Key, u64>,
    others: u64,
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
    /// How many polls brought it; one node brings several.
    pub polls: u64,
}

/// What was counted since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknowns {
    /// The most frequent first.
    pub payloads: Vec<UnknownPayload>,
    /// Polls with payloads beyond those that are told apart, or that look like none.
    pub others: u64,
}

impl UnknownPayloads {
    /// A poll brought this payload. Only what looks like a payload is kept: a node's id does not.
    pub fn count(&self, product: &str, stream: &str, arch: &str, scheme: &str, payload: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = [product, stream, arch, scheme, payload].map(ToOwned::to_owned);
        let room = counts.polls.len() < MOST;
        if let Some(polls) = counts.polls.get_mut(&key) {
            *polls += 1;
        } else if room && looks_like_a_payload(payload) {
            counts.polls.insert(key, 1);
        } else {
            counts.others += 1;
        }
    }

    /// What was counted.
    #[must_use]
    pub fn list(&self) -> Unknowns {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut payloads: Vec<UnknownPayload> = counts
            .polls
            .iter()
            .map(|([product, stream, arch, scheme, payload], polls)| UnknownPayload {
                product: product.clone(),
                stream: stream.clone(),
                arch: arch.clone(),
                scheme: scheme.clone(),
                payload: payload.clone(),
                polls: *polls,
            })
            .collect();
        payloads.sort_by_key(|unknown| std::cmp::Reverse(unknown.polls));
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
        for n in 0..MOST + 7 {
            unknown.count("os", "stable", "x86_64", "checksum", &format!("{n:064x}"));
        }
        unknown.count("os", "stable", "x86_64", "checksum", &format!("{:064x}", 5));
        let list = unknown.list();
        assert_eq!((list.payloads.len(), list.others, list.payloads[0].polls), (MOST, 5 + 7, 2));
        assert_eq!(list.payloads[0].payload, format!("{:064x}", 5));
    }
}
